"""Finds the source files that are there now."""

from __future__ import annotations

import errno
import io
import os
import shutil
from collections import deque
from collections.abc import Collection, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, cast

from shoplake.errors import UsageError
from shoplake.storage.base import is_uri

if TYPE_CHECKING:
    from shoplake.storage.bucket import Bucket

SUFFIX = ".jsonl.gz"
RANGE_BYTES = 2 * 1024 * 1024
_RANGES_AHEAD = 6


@dataclass(frozen=True, order=True)
class SourceFile:
    """One raw object as the listing shows it.

    Attributes:
        path: Its name below the source, with forward slashes: what the ledger and the lineage know it by.
        version: Changes whenever the object is replaced.
        bytes: Compressed size.
    """

    path: str
    version: str
    bytes: int


class ReplacedError(FileNotFoundError):
    """The version that the listing showed is not there any more: the object was replaced meanwhile."""


class Source(Protocol):
    """A place that holds source files."""

    @property
    def name(self) -> str:
        """The place, as messages show it."""
        ...

    def list(self) -> list[SourceFile]:
        """Every source file, sorted by path."""
        ...

    def open(self, file: SourceFile) -> BinaryIO:
        """The raw bytes of a file.

        Raises:
            FileNotFoundError: It is gone (or :class:`ReplacedError`), now or while it is being read.
            OSError: It cannot be read.
        """
        ...

    def replace(self, file: SourceFile, content: bytes) -> None:
        """Put other bytes in the place of a file, all of them or none, if it is still in the version that was listed.

        Raises:
            FileNotFoundError: It is not there in that version any more.
            OSError: It cannot be written.
        """
        ...

    def still_there(self, paths: Collection[str]) -> set[str]:
        """Those of the given files that exist now, whatever a listing says."""
        ...


def open_source(uri: str | Path) -> Source:
    """The source that a folder's path or an ``s3://`` URI names.

    Raises:
        UsageError: The folder is not there, or it is a URI of another kind; or S3 is meant and its package or settings are
            missing.
    """
    return S3Source(str(uri)) if str(uri).startswith("s3://") else LocalSource(uri)


class LocalSource:
    """Source files in a folder of this machine, at any depth.

    A name that starts with a dot is a file still being written (or hidden) and is left alone, and so is everything in a
    folder with such a name.
    """

    def __init__(self, root: str | Path) -> None:
        """Name the folder.

        Raises:
            UsageError: It is not there, or is no folder.
        """
        text = str(root)
        if is_uri(text):
            raise UsageError(
                f"{text} is neither a local folder nor on S3", remedy="A source is a folder, or s3://BUCKET/PREFIX."
            )
        self.root = Path(text.removeprefix("file://")).expanduser().absolute()
        if not self.root.is_dir():
            raise UsageError(
                f"the source {self.root} is not a folder",
                remedy="Name the folder that holds the .jsonl.gz files, or make some: shoplake generate --out DIR",
            )

    @property
    def name(self) -> str:
        """The folder."""
        return str(self.root)

    def list(self) -> list[SourceFile]:
        """Every source file below the folder, sorted by path."""
        return sorted(self._walk(str(self.root), ""))

    def open(self, file: SourceFile) -> BinaryIO:
        """The raw bytes of a file."""
        return (self.root / file.path).open("rb")

    def replace(self, file: SourceFile, content: bytes) -> None:
        """Put other bytes in the place of a file; who reads it meanwhile sees the old ones to their end."""
        path = self.root / file.path
        fresh = path.with_name(f".{path.name}.new")
        try:
            with fresh.open("wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            shutil.copymode(path, fresh)
            if _version(path.stat()) != file.version:
                raise FileNotFoundError(errno.ENOENT, "it was replaced", str(path))
            fresh.replace(path)
        finally:
            fresh.unlink(missing_ok=True)

    def still_there(self, paths: Collection[str]) -> set[str]:
        """Those of the given files that exist now."""
        return {path for path in paths if (self.root / path).is_file()}

    def _walk(self, folder: str, prefix: str) -> Iterator[SourceFile]:
        try:
            entries = list(os.scandir(folder))
        except OSError as error:
            raise UsageError(
                f"the folder {folder} cannot be listed: {error.strerror}", remedy="Check its permissions."
            ) from error
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir():
                yield from self._walk(entry.path, f"{prefix}{entry.name}/")
            elif entry.name.endswith(SUFFIX) and entry.is_file():
                try:
                    status = entry.stat()
                except FileNotFoundError:
                    continue  # went between the listing and the look: the next run sees what is there then
                path = f"{prefix}{entry.name}"
                yield SourceFile(_printable(path), _version(status), status.st_size)


def _version(status: os.stat_result) -> str:
    return f"{status.st_size}-{status.st_mtime_ns}"


class S3Source:
    """Source files below a prefix of a bucket, at any depth; names that start with a dot are left alone.

    A file's version is its ETag with its size, and only that version is read.
    """

    def __init__(self, uri: str) -> None:
        """Name the prefix; nothing is asked yet.

        Raises:
            UsageError: It is no such URI, or the package or the settings for S3 are missing.
        """
        from shoplake.storage import bucket as s3

        name, prefix = s3.split(uri)
        self._bucket = s3.bucket(name)
        self._prefix = prefix
        self._below = f"{prefix}/" if prefix else ""

    def __reduce__(self) -> tuple[type[S3Source], tuple[str]]:
        """Another process, such as one of Spark's, opens it anew, with its own credentials."""
        return S3Source, (self.name,)

    @property
    def name(self) -> str:
        """The URI."""
        return f"s3://{self._bucket.name}/{self._prefix}".rstrip("/")

    def list(self) -> list[SourceFile]:
        """Every source file below the prefix, sorted by path."""
        found = []
        for one in self._bucket.list(self._prefix):
            path = one.key.removeprefix(self._below)
            if path.endswith(SUFFIX) and not any(part.startswith(".") for part in path.split("/")):
                found.append(SourceFile(path, f"{one.tag or one.modified.isoformat()}-{one.bytes}", one.bytes))
        return sorted(found)

    def open(self, file: SourceFile) -> BinaryIO:
        """The raw bytes of a file, as they are stored, read in ranges that are fetched ahead."""
        return cast("BinaryIO", io.BufferedReader(_Ranges(self._bucket, self._below + file.path, file), 1 << 20))

    def replace(self, file: SourceFile, content: bytes) -> None:
        """Put other bytes in the place of a file, by a conditional write; its headers stay."""
        if not self._bucket.replace(self._below + file.path, _tag(file), content):
            raise ReplacedError(f"{file.path} was replaced")

    def still_there(self, paths: Collection[str]) -> set[str]:
        """Those of the given files that exist now, asked for one by one: a listing may be behind."""
        if not paths:
            return set()
        ordered = sorted(paths)
        with ThreadPoolExecutor(min(16, len(ordered)), thread_name_prefix="shoplake-s3") as pool:
            there = pool.map(lambda path: self._bucket.look(self._below + path), ordered)
            return {path for path, found in zip(ordered, there, strict=True) if found is not None}


class _Ranges(io.RawIOBase):
    """One object from its first byte to its last; a few ranges of it are fetched at once, and no more are held."""

    def __init__(self, bucket: Bucket, key: str, file: SourceFile) -> None:
        super().__init__()
        self._bucket, self._key, self._path = bucket, key, file.path
        self._tag = _tag(file)
        self._starts = iter(range(0, file.bytes, RANGE_BYTES))
        self._end = file.bytes
        self._pool = ThreadPoolExecutor(_RANGES_AHEAD, thread_name_prefix="shoplake-s3")
        self._coming: deque[Future[bytes]] = deque()
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        if not self._rest:
            self._rest = memoryview(self._next())
        target = memoryview(buffer).cast("B")
        count = min(len(target), len(self._rest))
        target[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
        super().close()

    def _next(self) -> bytes:
        while len(self._coming) < _RANGES_AHEAD and (start := next(self._starts, None)) is not None:
            self._coming.append(self._pool.submit(self._fetch, start))
        return self._coming.popleft().result() if self._coming else b""

    def _fetch(self, start: int) -> bytes:
        from shoplake.storage.bucket import ChangedError

        try:
            return self._bucket.get_range(self._key, start, min(start + RANGE_BYTES, self._end), self._tag)
        except ChangedError as error:
            raise ReplacedError(f"{self._path} was replaced") from error


def _tag(file: SourceFile) -> str:
    """The ETag of a file on S3, empty where the server gives none."""
    tag = file.version.rpartition("-")[0]
    return f'"{tag}"' if ":" not in tag else ""  # a time is no ETag


def _printable(path: str) -> str:
    try:
        path.encode("utf-8")
    except UnicodeEncodeError as error:
        raise UsageError(
            f"the source has a file name that is not UTF-8: {os.fsencode(path)!r}", remedy="Rename or move that file."
        ) from error
    return path
