"""Opens the storage that a place names."""

from __future__ import annotations

from pathlib import Path

from shoplake.storage.base import Storage
from shoplake.storage.local import LocalStorage
from shoplake.storage.s3 import S3Storage
from shoplake.storage.uris import is_s3


def open_storage(root: str | Path) -> Storage:
    """The storage that a folder's path or an ``s3://`` URI names; nothing is read or made yet.

    Raises:
        UsageError: It is a URI of another kind, or an existing file; or S3 is meant and its package or settings are missing.
    """
    return S3Storage(str(root)) if is_s3(root) else LocalStorage(root)
