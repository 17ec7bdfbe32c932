"""Source files below a prefix of a bucket."""

from __future__ import annotations

import errno
import io
from collections import deque
from collections.abc import Collection, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from shoplake.errors import DeniedError
from shoplake.sources import listing
from shoplake.sources.base import ReplacedError, SourceFile
from shoplake.sources.listing import Collected, Listing
from shoplake.storage.uris import SCHEME, split

if TYPE_CHECKING:
    from shoplake.storage.bucket import Bucket

RANGE_BYTES = 2 * 1024 * 1024
_RANGES_AHEAD = 6


class S3Source:
    """Source files below a prefix of a bucket, at any depth; names that start with a dot are left out.

    A file's version is its ETag with its size, and only that version is read.
    """

    def __init__(self, uri: str) -> None:
        """Name the prefix; no request is sent yet.

        Raises:
            UsageError: The URI is malformed, or the package or the settings for S3 are missing.
        """
        from shoplake.storage.bucket import bucket

        name, prefix = split(uri)
        self._bucket = bucket(name)
        self._prefix = prefix
        self._below = f"{prefix}/" if prefix else ""

    def __reduce__(self) -> tuple[type[S3Source], tuple[str]]:
        """Another process, such as one of Spark's, opens its own, with its own credentials."""
        return S3Source, (self.name,)

    @property
    def name(self) -> str:
        """The URI."""
        return f"{SCHEME}{self._bucket.name}/{self._prefix}".rstrip("/")

    def list(self, after: str = "") -> Listing:
        """Every source file below the prefix whose path sorts after the given one, sorted, and what is left out."""
        collected = Collected()
        return collected.listing(self._files(collected, after))

    def _files(self, collected: Collected, after: str) -> Iterator[SourceFile]:
        def refused(folder: str) -> None:
            collected.add(listing.ODD_NAME, f"{folder}/".removeprefix(self._below), trouble=True)

        for info in self._bucket.list_around(self._prefix, refused, after and self._below + after):
            path = info.key.removeprefix(self._below)
            *folders, name = path.split("/")
            why = listing.HIDDEN if any(part.startswith(".") for part in folders) else listing.kind(name)
            if why:
                marks_a_folder = why == listing.OTHER and not info.bytes
                collected.add(listing.MARKER if marks_a_folder else why, path)
            else:
                yield SourceFile(path, f"{info.tag or info.modified.isoformat()}-{info.bytes}", info.bytes)

    def open(self, file: SourceFile) -> BinaryIO:
        """The raw bytes of a file, as they are stored, read in ranges that are fetched ahead."""
        return cast("BinaryIO", io.BufferedReader(_Ranges(self._bucket, self._below + file.path, file), 1 << 20))

    def replace(self, file: SourceFile, content: bytes) -> None:
        """Replace the bytes of a file by a conditional write; its headers stay."""
        if not self._bucket.replace(self._below + file.path, _tag(file), content):
            raise ReplacedError(f"{file.path} was replaced")

    def still_there(self, paths: Collection[str]) -> set[str]:
        """The given files that exist now, each checked by a request of its own: a listing may lag behind."""
        if not paths:
            return set()
        ordered = sorted(paths)
        with ThreadPoolExecutor(min(16, len(ordered)), thread_name_prefix="shoplake-s3") as pool:
            heads = pool.map(lambda path: self._bucket.head(self._below + path), ordered)
            return {path for path, head in zip(ordered, heads, strict=True) if head is not None}


class _Ranges(io.RawIOBase):
    """One object from its first byte to its last; a few ranges of it are fetched ahead, and no more are in memory."""

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
        except DeniedError as error:  # of this object: the prefix could be listed
            raise PermissionError(errno.EACCES, "access is denied", self._path) from error


def _tag(file: SourceFile) -> str:
    """The ETag of a file on S3, empty where the server gives none."""
    tag = file.version.rpartition("-")[0]
    return f'"{tag}"' if ":" not in tag else ""  # a version made of a time
