"""Where the bytes of a lake are: whole objects by location, and one object that is only ever swapped."""

from __future__ import annotations

import fcntl
import io
import json
import os
import re
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, cast

from shoplake.errors import FatalError, UsageError

if TYPE_CHECKING:
    from shoplake.storage.bucket import Bucket

_SWAP_LOCK = ".swap"
_RUN_LOCK = ".lock"
_READERS = 16


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

    def read_all(self, locations: Sequence[str]) -> list[bytes]:
        """The bytes of several objects, in their order; at once where each has to be waited for.

        Raises:
            FatalError: One is not there or cannot be read.
        """
        ...

    def open(self, location: str) -> BinaryIO:
        """An object to seek and read in, for those who need only parts of it.

        Raises:
            OSError: It is not there or cannot be read; also while it is being read, or a ShoplakeError then.
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

        Args:
            location: The object.
            old: What it holds now.
            new: What it is to hold; no earlier content may have been the same.

        Returns:
            Whether it was replaced; if not, somebody else was first.

        Raises:
            UnknownOutcomeError: No answer came; it may have been replaced, or be replaced later still.
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

    def alone(self, waiting: Callable[[str], None] | None) -> AbstractContextManager[None]:
        """Be the only run that writes here, where that can be arranged; nothing may rest on it.

        Args:
            waiting: Is told, once, who is being waited for.

        Raises:
            FatalError: The place cannot be written to.
        """
        ...


def open_storage(root: str | Path) -> Storage:
    """The storage that a folder's path or an ``s3://`` URI names; nothing is read or made yet.

    Raises:
        UsageError: It is a URI of another kind, or an existing file; or S3 is meant and its package or settings are missing.
    """
    return S3Storage(str(root)) if str(root).startswith("s3://") else LocalStorage(root)


class LocalStorage:
    """A folder of this machine."""

    def __init__(self, root: str | Path) -> None:
        """Name the folder; nothing is read or made yet.

        Raises:
            UsageError: It is a URI of a storage that is not supported, or an existing file.
        """
        text = str(root)
        if is_uri(text):
            raise UsageError(
                f"{text} is neither a local folder nor on S3", remedy="A lake is a folder, or s3://BUCKET/PREFIX."
            )
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

    def read_all(self, locations: Sequence[str]) -> list[bytes]:
        """The bytes of several files, one after the other: a disk does not keep one waiting."""
        return [self.read(location) for location in locations]

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
            _sync_folder(path.parent)
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
    def alone(self, waiting: Callable[[str], None] | None) -> Iterator[None]:
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
        """Between processes; the operating system lets go of it with the process that holds it."""
        lock = os.open(self.folder / _SWAP_LOCK, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)


def _sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk, so that a rename outlives a power cut; not every file system can."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


class S3Storage:
    """A prefix of a bucket, on S3 or a server that speaks its protocol and heeds conditions on writes.

    Every failure is a ShoplakeError that says what to do.
    """

    def __init__(self, root: str) -> None:
        """Name the prefix; nothing is read or made yet.

        Raises:
            UsageError: It is no such URI, or the package or the settings for S3 are missing.
        """
        from shoplake.storage import bucket as s3

        name, prefix = s3.split(root)
        self._bucket = s3.bucket(name)
        self._base = f"s3://{name}/"
        self.root = f"{self._base}{prefix}".rstrip("/")

    def __reduce__(self) -> tuple[type[S3Storage], tuple[str]]:
        """Another process, such as one of Spark's, opens it anew, with its own credentials."""
        return S3Storage, (self.root,)

    def read(self, location: str) -> bytes:
        """The bytes of an object."""
        content = self.read_if_there(location)
        if content is None:
            raise FatalError(f"{location} is missing", remedy="Was the lake moved or partly deleted?")
        return content

    def read_if_there(self, location: str) -> bytes | None:
        """The bytes of an object, None if there is none."""
        found = self._bucket.get(self._key(location))
        return None if found is None else found[0]

    def read_all(self, locations: Sequence[str]) -> list[bytes]:
        """The bytes of several objects, asked for at once."""
        if len(locations) < 2:
            return [self.read(location) for location in locations]
        with ThreadPoolExecutor(min(_READERS, len(locations)), thread_name_prefix="shoplake-s3") as pool:
            return list(pool.map(self.read, locations))

    def open(self, location: str) -> BinaryIO:
        """An object to seek and read in."""
        key = self._key(location)
        found = self._bucket.look(key)
        if found is None:
            raise FileNotFoundError(f"{location} is missing")
        return cast("BinaryIO", io.BufferedReader(_Object(self._bucket, key, found.bytes), 1 << 16))

    def write(self, location: str, content: bytes | memoryview) -> None:
        """Make a new object, in several parts at once if it is large."""
        self._bucket.put(self._key(location), content)

    def swap(self, location: str, old: bytes | None, new: bytes) -> bool:
        """Replace an object, only if it still has the old content: by a conditional write.

        Before an object's first one the server must refuse writes that it has to refuse: one that does not look at the
        conditions would lose batches.
        """
        key = self._key(location)
        if old is None and not self._bucket.heeds_conditions(f"{key}.{uuid.uuid4()}"):
            raise FatalError(
                f"the S3 server of {self.root} does not heed conditions on writes (If-Match, If-None-Match)",
                remedy="A lake there would lose batches when two runs meet. Use a server that does, such as AWS S3.",
            )
        return self._bucket.swap(key, old, new)

    def delete(self, locations: Iterable[str]) -> None:
        """Remove objects, as far as they are there."""
        self._bucket.delete(self._key(location) for location in locations)

    def list(self, prefix: str) -> Iterator[StoredFile]:
        """Every object below a prefix, or the object of that name."""
        key = self._key(prefix)
        one = self._bucket.look(key) if key else None
        for found in [*([one] if one else []), *self._bucket.list(key)]:
            yield StoredFile(self._base + found.key, found.bytes, found.modified)

    def alone(self, waiting: Callable[[str], None] | None) -> AbstractContextManager[None]:  # noqa: ARG002 - nobody to wait for
        """Nobody is kept out: of several runs at once, the swap lets one win and the others plan anew."""
        return nullcontext()

    def _key(self, location: str) -> str:
        if not location.startswith(self._base):
            raise FatalError(
                f"{location} is not in {self.root}", remedy="The lake was copied from another place; ingest it anew."
            )
        return location.removeprefix(self._base)


class _Object(io.RawIOBase):
    """One object that does not change, read in ranges."""

    def __init__(self, bucket: Bucket, key: str, size: int) -> None:
        super().__init__()
        self._bucket, self._key, self._size, self._position = bucket, key, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        self._position = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: Any, /) -> int:
        end = min(self._position + len(buffer), self._size)
        if end <= self._position:
            return 0
        content = self._bucket.get_range(self._key, self._position, end)
        buffer[: len(content)] = content
        self._position = end
        return len(content)


def _who(holder: str) -> str:
    try:
        return f" (process {json.loads(holder)['pid']})"
    except (ValueError, KeyError, TypeError):
        return ""


def is_uri(text: str) -> bool:
    """Whether a place is named by a URI other than a file's; also one that lost a slash by way of ``pathlib``."""
    return bool(re.match(r"[a-z][a-z0-9+]+:/", text)) and not text.startswith("file://")


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
