"""Raw lines: inflates a source file for an engine, and reads single lines again where an engine turned them down."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from isal import igzip, isal_zlib

from shoplake.errors import FatalError
from shoplake.sources.base import ReplacedError, Source, SourceFile

_CHUNK = 1 << 20
_NEWLINE = 10


class UnreadableError(Exception):
    """A source file that cannot be read whole: cut, not gzip, or damaged."""


class GoneError(Exception):
    """A source file that was deleted or replaced after it had been listed."""


class Spool:
    """An unnamed file that holds one inflated source file at a time.

    It is kept from file to file, so that its pages are made once. On Linux it is in memory and touches no disk.

    Attributes:
        bytes: Inflated size, with the newline at the end.
    """

    bytes = 0

    def __init__(self) -> None:
        """Make it, empty."""
        if hasattr(os, "memfd_create"):
            self._file = os.fdopen(os.memfd_create("shoplake"), "r+b", buffering=0)
        else:
            self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - closed by close()

    def fill(self, source: Source, file: SourceFile) -> str:
        """Hold this file from now on, checksum verified, its last line ended by a newline.

        Returns:
            A path of this process under which the inflated bytes can be opened and read, also in parallel.

        Raises:
            UnreadableError: The file is not whole.
            GoneError: The file was deleted or replaced.
            OSError: It cannot be read.
            FatalError: There is no room for it.
        """
        buffer = bytearray(_CHUNK)
        view = memoryview(buffer)
        last = _NEWLINE
        self._file.seek(0)
        with _inflated(source, file) as stream:
            while count := stream.readinto(buffer):
                last = buffer[count - 1]
                self._write(view[:count], file)
        if last != _NEWLINE:
            self._write(memoryview(b"\n"), file)
        self.bytes = self._file.tell()
        self._file.truncate(self.bytes)
        return f"/dev/fd/{self._file.fileno()}"

    def _write(self, octets: memoryview, file: SourceFile) -> None:
        written = 0
        while written < len(octets):
            try:
                written += self._file.write(octets[written:])
            except OSError as error:
                raise FatalError(
                    f"no room to inflate {file.path}: {error.strerror}", remedy="Free memory or disk space."
                ) from error

    def close(self) -> None:
        """Give its memory back."""
        self._file.close()


def numbered_lines(source: Source, file: SourceFile) -> Iterator[tuple[int, bytes]]:
    """Every line that is not blank, with its number from 1, as its bytes without the newline.

    Raises:
        UnreadableError: The file is not whole.
        GoneError: The file was deleted or replaced.
    """
    for first, lines in line_blocks(source, file):
        for number, line in enumerate(lines, first):
            if line.strip():
                yield number, line


def line_blocks(source: Source, file: SourceFile) -> Iterator[tuple[int, list[bytes]]]:
    """Every line, blank ones too, in blocks of lines that follow each other: the number of a block's first, and its lines.

    Raises:
        UnreadableError: The file is not whole.
        GoneError: The file was deleted.
    """
    with _inflated(source, file) as stream:
        rest = b""
        number = 1
        while chunk := stream.read(_CHUNK):
            lines = (rest + chunk).split(b"\n")
            rest = lines.pop()
            yield number, lines
            number += len(lines)
        yield number, [rest]


@contextmanager
def _inflated(source: Source, file: SourceFile) -> Iterator[igzip.IGzipFile]:
    try:
        with source.open(file) as compressed, igzip.GzipFile(fileobj=compressed, mode="rb") as stream:
            yield stream
    except ReplacedError as error:
        raise GoneError("was replaced") from error
    except FileNotFoundError as error:
        raise GoneError("was deleted") from error
    except EOFError as error:
        raise UnreadableError("cut: the gzip stream ends too early") from error
    except igzip.BadGzipFile as error:
        raise UnreadableError(f"not a complete gzip file: {error}") from error
    except isal_zlib.error as error:  # type: ignore[misc]
        raise UnreadableError(f"damaged gzip data: {error}") from error
