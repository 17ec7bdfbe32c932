"""How a place is named: the path of a folder, or an ``s3://`` URI. Nothing else knows the scheme."""

from __future__ import annotations

import re
from pathlib import Path

from shoplake.errors import UsageError

SCHEME = "s3://"


def is_s3(place: str | Path) -> bool:
    """Whether a place or a location is on S3."""
    return str(place).startswith(SCHEME)


def is_uri(text: str) -> bool:
    """Whether a place is a URI other than a file's; also one that lost a slash in ``pathlib``."""
    return bool(re.match(r"[a-z][a-z0-9+]+:/", text)) and not text.startswith("file://")


def expanded(text: str) -> Path:
    """The path of a local place, with a leading ``~`` as a shell reads it: it stays as it is where there is no such user."""
    path = Path(text.removeprefix("file://"))
    try:
        return path.expanduser()
    except RuntimeError:
        return path


def local_path(location: str) -> Path:
    """A location of the table format as a path of this machine."""
    return Path(location.removeprefix("file://"))


def lies_before(folder: str, path: str) -> bool:
    """Whether all that is in a folder, given with its slash, sorts before a path or is that path."""
    return folder < path and not path.startswith(folder)


def split(uri: str) -> tuple[str, str]:
    """The bucket and the prefix (without a trailing slash) of ``s3://bucket/prefix``.

    Raises:
        UsageError: It names no bucket, or a prefix that no object can have.
    """
    name, _, prefix = uri.removeprefix(SCHEME).partition("/")
    prefix = prefix.strip("/")
    wrong = prefix and any(part in (".", "..", "") for part in prefix.split("/"))
    if wrong or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]+", name):
        raise UsageError(f"{uri!r} names no bucket and prefix", remedy="Give s3://BUCKET or s3://BUCKET/PREFIX.")
    return name, prefix
