"""A place on S3 that tests handle like a folder: the part of pathlib that they use."""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import PurePosixPath
from types import SimpleNamespace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from obstore.store import S3Store


@dataclass(frozen=True, order=True)
class S3Path:
    """A key, or a prefix of keys, of a bucket; as text it is its URI."""

    store: S3Store = field(compare=False)
    bucket: str
    path: PurePosixPath

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.path}"

    def __truediv__(self, name: object) -> S3Path:
        return S3Path(self.store, self.bucket, self.path / str(name))

    @property
    def parent(self) -> S3Path:
        return S3Path(self.store, self.bucket, self.path.parent)

    @property
    def name(self) -> str:
        return self.path.name

    def relative_to(self, other: S3Path) -> PurePosixPath:
        return self.path.relative_to(other.path)

    def mkdir(self, **_: object) -> None:
        """A bucket has no folders."""

    def read_bytes(self) -> bytes:
        return bytes(self.store.get(str(self.path)).bytes())

    def write_bytes(self, content: bytes) -> None:
        self.store.put(str(self.path), content, attributes={"Content-Encoding": "gzip"})

    def unlink(self, *, missing_ok: bool = False) -> None:
        self.store.delete(str(self.path))

    def stat(self) -> SimpleNamespace:
        meta = self.store.head(str(self.path))
        return SimpleNamespace(st_size=meta["size"], st_mtime_ns=meta["last_modified"].timestamp())

    def exists(self) -> bool:
        return any(True for _ in self.rglob("*"))

    def rglob(self, pattern: str) -> list[S3Path]:
        found = [
            S3Path(self.store, self.bucket, PurePosixPath(one["path"]))
            for page in self.store.list(str(self.path))
            for one in page
        ]
        return [one for one in found if fnmatch(one.name, pattern)]
