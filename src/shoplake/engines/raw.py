"""Raw lines: inflates a source file into an engine, and reads single lines again where an engine turned them down."""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from isal import igzip, isal_zlib

from shoplake.discover import Source, SourceFile

BOM = b"\xef\xbb\xbf"
_CHUNK = 1 << 18
_PIPE_BYTES = 1 << 20
_F_SETPIPE_SZ = getattr(fcntl, "F_SETPIPE_SZ", None)


class UnreadableError(Exception):
    """A source file that cannot be read whole: cut, not gzip, or damaged."""


class GoneError(Exception):
    """A source file that was deleted after it had been listed."""


@dataclass
class Fed:
    """What became of a stream.

    Attributes:
        error: What ended it early, if anything did.
    """

    error: Exception | None = None


@contextmanager
def piped(source: Source, file: SourceFile) -> Iterator[tuple[str, Fed]]:
    """A path from which the inflated file can be read once, as a stream, while it is being inflated.

    Nothing is written to disk and no more than a pipe's buffer is held in memory. After the block, ``Fed`` tells whether
    the file was whole, checksum included: a cut file looks, at the pipe's end, like a shorter one.

    Args:
        source: Where the file is.
        file: The file.
    """
    read_end, write_end = os.pipe()
    if _F_SETPIPE_SZ is not None:
        with contextlib.suppress(OSError):  # a smaller pipe is only slower
            fcntl.fcntl(write_end, _F_SETPIPE_SZ, _PIPE_BYTES)
    fed = Fed()
    feeder = threading.Thread(target=_feed, args=(source, file, write_end, fed), name="inflate", daemon=True)
    feeder.start()
    try:
        yield f"/dev/fd/{read_end}", fed
    finally:
        os.close(read_end)  # a feeder that is still writing gets a broken pipe and ends
        feeder.join()


def _feed(source: Source, file: SourceFile, write_end: int, fed: Fed) -> None:
    buffer = bytearray(_CHUNK)
    view = memoryview(buffer)
    try:
        with _inflated(source, file) as stream:
            while count := stream.readinto(buffer):
                written = 0
                while written < count:
                    written += os.write(write_end, view[written:count])
    except BrokenPipeError:
        pass  # the reader has given up, and says why itself
    except (UnreadableError, GoneError, OSError) as error:
        fed.error = error
    finally:
        os.close(write_end)


def numbered_lines(source: Source, file: SourceFile) -> Iterator[tuple[int, bytes]]:
    """Every line that is not blank, with its number from 1, as its bytes without the newline.

    Raises:
        UnreadableError: The file is not whole.
        GoneError: The file was deleted.
    """
    with _inflated(source, file) as stream:
        rest = b""
        number = 0
        while chunk := stream.read(1 << 20):
            lines = (rest + chunk).split(b"\n")
            rest = lines.pop()
            for line in lines:
                number += 1
                if line.strip():
                    yield number, line
        if rest.strip():
            yield number + 1, rest


@contextmanager
def _inflated(source: Source, file: SourceFile) -> Iterator[igzip.IGzipFile]:
    try:
        with source.open(file) as compressed, igzip.GzipFile(fileobj=compressed, mode="rb") as stream:
            yield stream
    except FileNotFoundError as error:
        raise GoneError(f"{file.path} was deleted") from error
    except EOFError as error:
        raise UnreadableError("cut: the gzip stream ends too early") from error
    except igzip.BadGzipFile as error:
        raise UnreadableError(f"no whole gzip file: {error}") from error
    except isal_zlib.error as error:  # type: ignore[misc]
        raise UnreadableError(f"damaged gzip data: {error}") from error
