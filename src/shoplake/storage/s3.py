"""A lake below a prefix of a bucket."""

from __future__ import annotations

import io
import os
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from shoplake.errors import FatalError, MissingFileError
from shoplake.storage.base import StoredFile
from shoplake.storage.uris import SCHEME, split

if TYPE_CHECKING:
    from shoplake.storage.bucket import Bucket

_READERS = 16


class S3Storage:
    """A prefix of a bucket, on S3 or a server that speaks its protocol and supports conditional writes.

    Every failure is a ShoplakeError that says what to do.
    """

    def __init__(self, root: str) -> None:
        """Name the prefix; nothing is read or made yet.

        Raises:
            UsageError: The URI is malformed, or the package or the settings for S3 are missing.
        """
        from shoplake.storage.bucket import bucket

        name, prefix = split(root)
        self._bucket = bucket(name)
        self._base = f"{SCHEME}{name}/"
        self.root = f"{self._base}{prefix}".rstrip("/")

    def __reduce__(self) -> tuple[type[S3Storage], tuple[str]]:
        """Another process, such as one of Spark's, opens its own, with its own credentials."""
        return S3Storage, (self.root,)

    def read(self, location: str) -> bytes:
        """The bytes of an object."""
        content = self.read_if_there(location)
        if content is None:
            raise MissingFileError(location)
        return content

    def read_if_there(self, location: str) -> bytes | None:
        """The bytes of an object, None if there is none."""
        answer = self._bucket.get(self._key(location))
        return answer[0] if answer else None

    def read_all(self, locations: Sequence[str]) -> list[bytes]:
        """The bytes of several objects, requested at once."""
        if len(locations) < 2:
            return [self.read(location) for location in locations]
        with ThreadPoolExecutor(min(_READERS, len(locations)), thread_name_prefix="shoplake-s3") as pool:
            return list(pool.map(self.read, locations))

    def open(self, location: str) -> BinaryIO:
        """An object to seek and read in."""
        key = self._key(location)
        info = self._bucket.head(key)
        if info is None:
            raise MissingFileError(location)
        return cast("BinaryIO", io.BufferedReader(_Object(self._bucket, key, info.bytes), 1 << 16))

    def write(self, location: str, content: bytes | memoryview) -> None:
        """Make a new object, in several parts at once if it is large."""
        self._bucket.put(self._key(location), content)

    def swap(self, location: str, old: bytes | None, new: bytes) -> bool:
        """Replace an object, only if it still has the old content: by a conditional write.

        Before the first write of an object the server is tested: one that ignores the conditions would lose batches.
        """
        key = self._key(location)
        if old is None and not self._bucket.supports_conditional_writes(f"{key}.{uuid.uuid4()}"):
            raise FatalError(
                f"the S3 server of {self.root} ignores the conditions of writes (If-Match, If-None-Match)",
                remedy="A lake there would lose batches when two runs meet. Use one with conditional writes, such as AWS S3.",
            )
        return self._bucket.swap(key, old, new)

    def hint(self, hints: Callable[[], Mapping[str, bytes]]) -> None:
        """There are no hints: each would be one more write, for readers that can ask a catalog."""

    def delete(self, locations: Iterable[str]) -> None:
        """Delete objects; missing ones are ignored."""
        self._bucket.delete(self._key(location) for location in locations)

    def list(self, prefix: str) -> Iterator[StoredFile]:
        """Every object below a prefix, or the object of that name."""
        key = self._key(prefix)
        itself = self._bucket.head(key) if key else None
        for info in [*([itself] if itself else []), *self._bucket.list(key)]:
            yield StoredFile(self._base + info.key, info.bytes, info.modified)

    def lock(self, waiting: Callable[[str], None] | None) -> AbstractContextManager[None]:  # noqa: ARG002 - nobody to wait for
        """There is no lock: of several runs at once, the swap lets one win, and the others plan again."""
        return nullcontext()

    def _key(self, location: str) -> str:
        if not location.startswith(self._base):
            raise FatalError(
                f"{location} is not in {self.root}",
                remedy="The lake was copied from another place as files. Copy it with its paths: shoplake copy LAKE DEST",
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
