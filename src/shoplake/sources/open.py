"""Opens the source that a place names."""

from __future__ import annotations

import os
from pathlib import Path

from shoplake.sources.base import Source
from shoplake.sources.local import LocalSource
from shoplake.sources.s3 import S3Source
from shoplake.storage.uris import is_s3


def known_as(source: Source, given: str | None) -> str:
    """What a lake knows a source by: the name that was given, or its place, with links resolved."""
    return given or (source.name if is_s3(source.name) else os.path.realpath(source.name))


def open_source(uri: str | Path) -> Source:
    """The source that a folder's path or an ``s3://`` URI names.

    Raises:
        UsageError: The folder is not there, or it is a URI of another kind; or S3 is meant and its package or settings are
            missing.
    """
    return S3Source(str(uri)) if is_s3(uri) else LocalSource(uri)
