"""Raw lines: inflates a source file for an engine, and reads single lines again where an engine turned them down."""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice
from typing import Any

from isal import igzip, isal_zlib

from shoplake import text
from shoplake.errors import FatalError
from shoplake.parsing import FIRST_BYTES, shortened
from shoplake.settings import Bounds
from shoplake.sources.base import ReplacedError, Source, SourceFile
from shoplake.sources.formats import UnreadableError as UnreadableError  # noqa: PLC0414 - what this module raises
from shoplake.sources.formats import inflated

_CHUNK = 1 << 20
_SMALL_CHUNK = 1 << 14  # inflates to 16 MB at most
_END = b"\n" * 8  # blank lines, so that eight bytes can be loaded wherever a value begins
_GZIP = b"\x1f\x8b"


class GoneError(Exception):
    """A source file that was deleted or replaced after it had been listed."""


def fill(buffer: Any, source: Source, file: SourceFile, most: int) -> Iterator[int]:
    """Inflate a file into a writable buffer, block by block, checksum verified.

    Args:
        buffer: Where each block goes.
        source: Where the file is.
        file: Which.
        most: Bytes that it may inflate to.

    Yields:
        How many bytes of the buffer are the next ones of the file.

    Raises:
        UnreadableError: The file is not whole, or inflates to more than ``most``.
        GoneError: The file was deleted or replaced.
    """
    size = 0
    try:
        with source.open(file) as compressed, inflated(compressed, file.path) as stream:
            while count := stream.readinto(buffer):
                if not size and bytes(memoryview(buffer)[:2]) == _GZIP:
                    raise UnreadableError("gzipped twice: what it inflates to is gzip again")
                size += count
                if size > most:
                    raise UnreadableError(f"too large: it inflates to more than {text.size(most)}")
                yield count
    except ReplacedError as error:
        raise GoneError("was replaced") from error
    except FileNotFoundError as error:
        raise GoneError("was deleted") from error
    except (EOFError, igzip.BadGzipFile) as error:
        if _goes_on_otherwise(source, file):
            raise UnreadableError("bytes that are not gzip follow the gzip stream") from error
        if isinstance(error, EOFError):
            raise UnreadableError("cut: the gzip stream ends too early") from error
        raise UnreadableError(f"not a complete gzip file: {error}") from error
    except isal_zlib.error as error:  # type: ignore[misc]
        raise UnreadableError(f"damaged gzip data: {error}") from error


def _goes_on_otherwise(source: Source, file: SourceFile) -> bool:
    """Whether a whole gzip stream is followed by something else, which the reader's errors do not tell."""
    inflater = isal_zlib.decompressobj(wbits=31)
    with suppress(isal_zlib.error), source.open(file) as compressed:  # type: ignore[arg-type]
        while octets := inflater.unused_data or compressed.read(_SMALL_CHUNK):
            if inflater.eof:
                inflater = isal_zlib.decompressobj(wbits=31)
                if not _GZIP.startswith(octets[:2]):
                    return True
            inflater.decompress(octets)
    return False


class Spool:
    """An unnamed file that holds one inflated source file at a time.

    It is kept from file to file, so that its pages are made and mapped once. On Linux it is in memory and touches no disk.
    """

    def __init__(self) -> None:
        """Make it, empty."""
        if hasattr(os, "memfd_create"):
            self._file = os.fdopen(os.memfd_create("shoplake"), "r+b", buffering=0)
        else:
            self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - closed by close()
        self._mapping: mmap.mmap | None = None

    def fill(self, source: Source, file: SourceFile, most: int) -> None:
        """Hold this file from now on, checksum verified, newlines at its end.

        Args:
            source: Where the file is.
            file: Which.
            most: Bytes that it may inflate to.

        Raises:
            UnreadableError: The file is not whole, or too large.
            GoneError: The file was deleted or replaced.
            OSError: It cannot be read.
            FatalError: There is no room for it.
        """
        buffer = bytearray(_CHUNK)
        view = memoryview(buffer)
        self._file.seek(0)
        for count in fill(buffer, source, file, most):
            self._write(view[:count], file.path)
        self._write(_END, file.path)
        self._file.truncate(self._file.tell())

    def hold(self, pieces: Iterable[bytes | memoryview]) -> None:
        """Hold these bytes from now on.

        Raises:
            FatalError: There is no room for them.
        """
        self._file.seek(0)
        remaining = iter(pieces)
        while together := b"".join(islice(remaining, 256)):
            self._write(together, "lines")
        self._file.truncate(self._file.tell())

    @property
    def path(self) -> str:
        """A path of this process under which the bytes can be opened and read, also in parallel."""
        return f"/dev/fd/{self._file.fileno()}"

    def content(self) -> memoryview:
        """The bytes, to be used only until others are held."""
        size = self._file.seek(0, os.SEEK_END)
        if not size:
            return memoryview(b"")
        if self._mapping is None or len(self._mapping) < size:
            self._mapping = mmap.mmap(self._file.fileno(), size, access=mmap.ACCESS_READ)
        return memoryview(self._mapping)[:size]

    def _write(self, octets: memoryview | bytes, what: str) -> None:
        written = 0
        while written < len(octets):
            try:
                written += self._file.write(octets[written:])
            except OSError as error:
                raise FatalError(
                    f"no room to inflate {what}: {error.strerror}", remedy="Free memory or disk space."
                ) from error

    def close(self) -> None:
        """Give its memory back."""
        self._mapping = None
        self._file.close()


def numbered_lines(source: Source, file: SourceFile, bounds: Bounds) -> Iterator[tuple[int, bytes]]:
    """Every line that is not blank, with its number from 1, as its bytes without the newline.

    Raises:
        UnreadableError: The file is not whole, or too large.
        GoneError: The file was deleted or replaced.
    """
    for first, lines in line_blocks(source, file, bounds):
        for number, line in enumerate(lines, first):
            if line.strip():
                yield number, line


def line_blocks(source: Source, file: SourceFile, bounds: Bounds) -> Iterator[tuple[int, list[bytes]]]:
    """Every line, blank ones too, in blocks of lines that follow each other: the number of a block's first, and its lines.

    A line of more bytes than the bound is :func:`~shoplake.parsing.shortened`.

    Raises:
        UnreadableError: The file is not whole, or too large.
        GoneError: The file was deleted.
    """
    buffer = bytearray(min(_CHUNK, bounds.line_bytes))  # so that a line inside a block is never too long
    rest = _Rest(bounds.line_bytes)
    number = 1
    for count in fill(buffer, source, file, bounds.file_bytes):
        lines = buffer[:count].split(b"\n")
        rest.add(bytes(lines[0]))
        if len(lines) > 1:
            whole = [rest.take(), *map(bytes, lines[1:-1])]
            rest.add(bytes(lines[-1]))
            yield number, whole
            number += len(whole)
    yield number, [rest.take()]


class _Rest:
    """A line that has begun and goes on in the next block: whole while it is short enough, else its first bytes."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._pieces: list[bytes] = []
        self._size = 0
        self._blank = True

    def add(self, piece: bytes) -> None:
        self._size += len(piece)
        self._blank = self._blank and not piece.strip()
        self._pieces.append(piece)
        if self._size > self._most:
            self._pieces = [b"".join(self._pieces)[:FIRST_BYTES]]

    def take(self) -> bytes:
        """The line, which ends here; an empty one for white space that is too long."""
        line = b"".join(self._pieces)
        if self._size > self._most:
            line = b"" if self._blank else shortened(line, self._size)
        self._pieces, self._size, self._blank = [], 0, True
        return line
