"""A lake in a folder of this machine."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from shoplake.errors import FatalError, MissingFileError, UsageError
from shoplake.storage.atomic import replacing
from shoplake.storage.base import StoredFile
from shoplake.storage.uris import expanded, is_uri, local_path
from shoplake.text import is_utf8

_SWAP_LOCK = ".swap"
_RUN_LOCK = ".lock"


class LocalStorage:
    """A folder of this machine."""

    def __init__(self, root: str | Path) -> None:
        """Name the folder; nothing is read or made yet.

        Raises:
            UsageError: It is a URI of a storage that is not supported, an existing file, or not UTF-8.
        """
        text = str(root)
        if is_uri(text):
            raise UsageError(
                f"{text} is neither a local folder nor on S3", remedy="A lake is a folder, or s3://BUCKET/PREFIX."
            )
        self.folder = Path(
            os.path.realpath(expanded(text))
        )  # Path's own methods raise at loops and where it may not look
        if not is_utf8(str(self.folder)):
            raise UsageError(
                f"the path of the lake {self.folder} is not UTF-8",
                remedy="Its tables name files by their paths, in UTF-8.",
            )
        if os.path.exists(self.folder) and not os.path.isdir(self.folder):  # noqa: PTH110, PTH112
            raise UsageError(f"the lake {self.folder} is a file", remedy="Name a folder; it is created if missing.")

    @property
    def root(self) -> str:
        """The absolute folder."""
        return str(self.folder)

    def read(self, location: str) -> bytes:
        """The bytes of a file."""
        content = self.read_if_there(location)
        if content is None:
            raise MissingFileError(location)
        return content

    def read_if_there(self, location: str) -> bytes | None:
        """The bytes of a file, None if there is none."""
        try:
            return local_path(location).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise FatalError(
                f"{location} cannot be read: {error.strerror}", remedy="Check the lake's permissions."
            ) from error

    def read_all(self, locations: Sequence[str]) -> list[bytes]:
        """The bytes of several files, one after the other: a disk has little latency."""
        return [self.read(location) for location in locations]

    def open(self, location: str) -> BinaryIO:
        """A seekable stream of a file."""
        try:
            return local_path(location).open("rb")
        except FileNotFoundError as error:
            raise MissingFileError(location) from error

    def write(self, location: str, content: bytes | memoryview) -> None:
        """Create a file; a failed attempt leaves none."""
        path = local_path(location)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with path.open("xb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
        except OSError:
            with suppress(OSError):
                path.unlink()
            raise

    def swap(self, location: str, old: bytes | None, new: bytes) -> bool:
        """Replace a file, only if it still has the old content."""
        path = local_path(location)
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._swapping():
            if self.read_if_there(location) != old:
                return False
            with replacing(path) as stream:
                stream.write(new)
        return True

    def hint(self, hints: Callable[[], Mapping[str, bytes]]) -> None:
        """Replace small files that differ; they are not flushed to the disk."""
        with self._swapping():
            for location, content in hints().items():
                if self.read_if_there(location) != content:
                    path = local_path(location)
                    fresh = path.with_name(f".{path.name}.new")
                    fresh.write_bytes(content)
                    fresh.replace(path)

    def delete(self, locations: Iterable[str]) -> None:
        """Delete files; missing ones are ignored."""
        for location in locations:
            with suppress(FileNotFoundError):
                local_path(location).unlink()

    def list(self, prefix: str) -> Iterator[StoredFile]:
        """Every file below a folder, or the file of that name."""
        path = local_path(prefix)
        try:
            if path.is_file():
                yield from _stored(path)
            for folder, _, names in os.walk(path, onerror=_refuse):
                for name in names:
                    yield from _stored(Path(folder, name))
        except OSError as error:
            raise FatalError(f"{prefix} cannot be listed: {error.strerror}", remedy="Check its permissions.") from error

    @contextmanager
    def lock(self, waiting: Callable[[str], None] | None) -> Iterator[None]:
        """Be the only run of this machine that writes here.

        The lock is the operating system's: it ends with the process that holds it, however that ends.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = os.open(self.folder / _RUN_LOCK, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise FatalError(
                f"the lake {self.root} cannot be written to: {error.strerror}",
                remedy="Check the folder's permissions and that its disk is not mounted read-only.",
            ) from error
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if waiting:
                    holder = os.read(lock, 200).decode("utf-8", "replace") or "{}"
                    waiting(f"another run{_who(holder)} is writing to this lake; waiting for it to end")
                fcntl.flock(lock, fcntl.LOCK_EX)
            os.ftruncate(lock, 0)
            os.pwrite(lock, json.dumps({"pid": os.getpid()}).encode(), 0)
            yield
        finally:
            os.close(lock)

    @contextmanager
    def _swapping(self) -> Iterator[None]:
        """Excludes other processes; the operating system releases the lock when the process ends."""
        lock = os.open(self.folder / _SWAP_LOCK, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)


def _who(holder: str) -> str:
    try:
        return f" (process {json.loads(holder)['pid']})"
    except (ValueError, KeyError, TypeError):
        return ""


def _stored(path: Path) -> Iterator[StoredFile]:
    with suppress(FileNotFoundError):  # deleted since it was listed
        status = path.stat()
        yield StoredFile(str(path), status.st_size, datetime.fromtimestamp(status.st_mtime, UTC))


def _refuse(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error
