"""Opens the source that a place names."""

from __future__ import annotations

from pathlib import Path

from shoplake.sources.base import Source
from shoplake.sources.local import LocalSource
from shoplake.sources.s3 import S3Source
from shoplake.storage.uris import is_s3


def open_source(uri: str | Path) -> Source:
    """The source that a folder's path or an ``s3://`` URI names.

    Raises:
        UsageError: The folder is not there, or it is a URI of another kind; or S3 is meant and its package or settings are
            missing.
    """
    return S3Source(str(uri)) if is_s3(uri) else LocalSource(uri)
