"""Where the bytes of a lake are: whole objects by location, and one object that is only ever swapped."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Protocol

from shoplake.errors import FatalError, UsageError

_LOCK_FILE = ".swap"


@dataclass(frozen=True)
class StoredFile:
    """One object as the storage lists it.

    Attributes:
        location: Its absolute location.
        bytes: Its size.
        modified: When it was written, by the storage's clock, UTC with a zone.
    """

    location: str
    bytes: int
    modified: datetime


class Storage(Protocol):
    """A folder or prefix in which a lake lives. Locations are absolute, as the table format wants them."""

    @property
    def root(self) -> str:
        """Its own location, without a slash at the end."""
        ...

    def read(self, location: str) -> bytes:
        """The bytes of an object.

        Raises:
            FatalError: It is not there or cannot be read.
        """
        ...

    def read_if_there(self, location: str) -> bytes | None:
        """The bytes of an object, None if there is none.

        Raises:
            FatalError: It cannot be read.
        """
        ...

    def open(self, location: str) -> BinaryIO:
        """An object to seek and read in, for those who need only parts of it.

        Raises:
            OSError: It is not there or cannot be read.
        """
        ...

    def write(self, location: str, content: bytes | memoryview) -> None:
        """Make a new object; safe from a loss of power once this returns.

        Raises:
            OSError: There is no room or no permission.
        """
        ...

    def swap(self, location: str, old: bytes | None, new: bytes) -> bool:
        """Replace an object, only if it still has the old content (None: only if there is none). Atomic.

        Returns:
            Whether it was replaced; if not, somebody else was first.
        """
        ...

    def delete(self, locations: Iterable[str]) -> None:
        """Remove objects, as far as they are there."""
        ...

    def list(self, prefix: str) -> Iterator[StoredFile]:
        """Every object below a location, at any depth, or the object at it; in no order, and nothing if there is none.

        Raises:
            FatalError: It cannot be listed.
        """
        ...


class LocalStorage:
    """A folder of this machine."""

    def __init__(self, root: str | Path) -> None:
        """Name the folder; nothing is read or made yet.

        Raises:
            UsageError: It is a URI of a storage that is not supported, or an existing file.
        """
        text = str(root)
        if "://" in text and not text.startswith("file://"):
            raise UsageError(f"{text} is not a local folder", remedy="A lake is a folder of this machine, for now.")
        self.folder = Path(text.removeprefix("file://")).expanduser().resolve()
        if self.folder.exists() and not self.folder.is_dir():
            raise UsageError(f"the lake {self.folder} is a file", remedy="Name a folder; it is made if missing.")

    @property
    def root(self) -> str:
        """The absolute folder."""
        return str(self.folder)

    def read(self, location: str) -> bytes:
        """The bytes of a file."""
        content = self.read_if_there(location)
        if content is None:
            raise FatalError(f"{location} is missing", remedy="Was the lake moved or partly deleted?")
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

    def open(self, location: str) -> BinaryIO:
        """A file to seek and read in."""
        return local_path(location).open("rb")

    def write(self, location: str, content: bytes | memoryview) -> None:
        """Make a new file; a failed attempt leaves none."""
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
            fresh = path.with_name(f".{path.name}.new")
            with fresh.open("wb") as stream:
                stream.write(new)
                stream.flush()
                os.fsync(stream.fileno())
            fresh.replace(path)
        return True

    def delete(self, locations: Iterable[str]) -> None:
        """Remove files, as far as they are there."""
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
    def _swapping(self) -> Iterator[None]:
        """Between processes; the operating system lets go of it with the process that holds it."""
        lock = os.open(self.folder / _LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)


def _stored(path: Path) -> Iterator[StoredFile]:
    with suppress(FileNotFoundError):  # went meanwhile
        status = path.stat()
        yield StoredFile(str(path), status.st_size, datetime.fromtimestamp(status.st_mtime, UTC))


def _refuse(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


def local_path(location: str) -> Path:
    """A location of the table format as a path of this machine."""
    return Path(location.removeprefix("file://"))
