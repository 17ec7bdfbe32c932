"""Opens a source file by its first bytes, whatever its name says: gzip, Zstandard, or JSON Lines as they are."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, cast

import pyarrow as pa
from isal import igzip

GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
_LOOK = 4096
_OBJECT = re.compile(rb"(?:\xef\xbb\xbf)?\s*\{\s*[\"}]")


class UnreadableError(Exception):
    """A source file that cannot be read whole: cut, of another format, damaged, or larger than what is read at once."""


def inflated(compressed: BinaryIO, name: str) -> Any:
    """A stream of a file's lines, with ``readinto``; closing it leaves the file open.

    A name that ends in .gz stands for gzip, unless the bytes are clearly JSON Lines: then they were inflated on the way.

    Args:
        compressed: The file, from its first byte.
        name: Its name.

    Raises:
        UnreadableError: The bytes are of another kind; also while they are read.
    """
    stream = io.BufferedReader(cast("io.RawIOBase", _Kept(compressed)), 1 << 17)
    head = stream.peek(_LOOK)[:_LOOK]
    if head.startswith(GZIP):
        return igzip.GzipFile(fileobj=stream, mode="rb")
    if head.startswith(_ZSTD):
        return _Zstandard(cast("BinaryIO", stream))
    if name.lower().endswith((".gz", ".zst")) and not _OBJECT.match(head):
        return igzip.GzipFile(fileobj=stream, mode="rb")  # which says what is wrong
    if b"\0" in head:
        raise UnreadableError("neither gzip nor Zstandard nor text: it has bytes that no text has")
    return stream


@contextmanager
def deflating(target: io.BytesIO, head: bytes) -> Iterator[Any]:
    """A stream that writes lines in the format that a file has, by its first bytes."""
    if head.startswith(GZIP):
        with igzip.GzipFile(fileobj=target, mode="wb", mtime=0) as stream:
            yield stream
    elif head.startswith(_ZSTD):
        lines = io.BytesIO()
        yield lines
        target.write(pa.compress(lines.getvalue(), "zstd", asbytes=True))
    else:
        yield target


class _Kept(io.RawIOBase):
    """Another stream, which stays open when this one is closed."""

    def __init__(self, stream: BinaryIO) -> None:
        super().__init__()
        self._stream = cast("io.BufferedReader", stream)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        return self._stream.readinto(buffer)


class _Zstandard(io.RawIOBase):
    """The inflated bytes of a stream of Zstandard; what fails in the stream itself is raised as it is."""

    def __init__(self, stream: BinaryIO) -> None:
        super().__init__()
        self._source = _Watched(stream)
        self._inflating = pa.CompressedInputStream(pa.PythonFile(self._source, mode="r"), "zstd")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        try:
            octets = self._inflating.read(len(memoryview(buffer).cast("B")))
        except (OSError, pa.ArrowException) as error:
            if self._source.failed:
                raise self._source.failed from error
            raise UnreadableError(f"cut or damaged Zstandard data: {error}") from error
        buffer[: len(octets)] = octets
        return len(octets)


class _Watched:
    """Remembers how the reading of a stream failed: Arrow's own errors are OSErrors as well."""

    closed = False

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.failed: Exception | None = None

    def read(self, size: int) -> bytes:
        try:
            return self._stream.read(size)
        except Exception as error:
            self.failed = error
            raise

    def close(self) -> None:
        """Arrow closes what it has read; the stream is left to those who opened it."""
