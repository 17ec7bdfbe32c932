"""The data files of a lake on S3 as the file system that DuckDB asks for: read-only, in ranges, by known names and sizes.

Why not ``obstore.fsspec``, which registers with DuckDB too (read at obstore 0.12.1):

- Its open file has one position. DuckDB's threads share an open file, and each seeks and then reads: one thread would read
  where another one has just moved to.
- It sends a HEAD request for each file's size and another one for its time; here manifests name the sizes, and a data file
  never changes.
- It buffers 1 MB for each read of a file, where DuckDB asks for exactly the column chunks it needs.
- Its failures are obstore's exceptions, of which DuckDB keeps the text. Here they pass through :class:`Bucket`, which
  retries and says what to do, and the failure itself is kept.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from shoplake.errors import MissingFileError, ShoplakeError, UsageError, installing
from shoplake.storage.bucket import bucket
from shoplake.storage.uris import split

try:
    import fsspec
except ImportError as missing:
    raise UsageError("S3 needs an additional package", remedy=installing("s3")) from missing

_NEVER_CHANGES = datetime(1970, 1, 1, tzinfo=UTC)


class S3Files(fsspec.AbstractFileSystem):  # type: ignore[misc]
    """What is read here never changes: every data file has a name of its own.

    DuckDB keeps only the text of a failure; the failure itself is kept here for the caller.
    """

    protocol = "s3"
    cachable = False

    def __init__(self) -> None:
        """Start without any files."""
        super().__init__()
        self._sizes: dict[str, int] = {}
        self._failures: list[ShoplakeError] = []

    def expect(self, sizes: Mapping[str, int]) -> None:
        """Announce files to be read, with their sizes."""
        self._sizes.update(sizes)

    def failure(self) -> ShoplakeError | None:
        """The last failure since the previous call."""
        failure = self._failures[-1] if self._failures else None
        self._failures.clear()
        return failure

    def read(self, path: str, start: int, end: int) -> bytes:
        """Bytes of a file; called from many threads."""
        name, key = split(path)
        try:
            try:
                return bucket(name).get_range(key, start, end)
            except FileNotFoundError as error:
                raise MissingFileError(path) from error
        except ShoplakeError as error:
            self._failures.append(error)
            raise

    # What DuckDB calls.

    def glob(self, path: str, **_: Any) -> list[str]:
        """The path itself: names are never patterns here."""
        return [path]

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        """Name, size and kind of a file."""
        if path not in self._sizes:
            raise FileNotFoundError(f"{path} is not a data file of this lake")
        return {"name": path, "size": self._sizes[path], "type": "file"}

    def modified(self, path: str) -> datetime:  # noqa: ARG002 - the same for all
        """The same time for all, so that DuckDB may keep what it has read before."""
        return _NEVER_CHANGES

    def open(self, path: str, mode: str = "rb", **_: Any) -> _Handle:
        """A file to read from."""
        if mode != "rb":
            raise PermissionError(f"{path} can only be read")
        return _Handle(self, path, self.info(path)["size"])


class _Handle:
    """An open file. DuckDB's threads share it, and each seeks before it reads: every thread has a position of its own."""

    def __init__(self, files: S3Files, path: str, size: int) -> None:
        self._files, self._path, self._size = files, path, size
        self._mine = threading.local()
        self.closed = False

    def seek(self, offset: int, whence: int = 0) -> int:
        start = {0: 0, 1: self.tell(), 2: self._size}[whence]
        self._mine.position = start + offset
        return start + offset

    def tell(self) -> int:
        return getattr(self._mine, "position", 0)

    def read(self, count: int = -1) -> bytes:
        start = self.tell()
        end = self._size if count < 0 else min(start + count, self._size)
        if start >= end:
            return b""
        content = self._files.read(self._path, start, end)
        self._mine.position = end
        return content

    def close(self) -> None:
        self.closed = True
