"""One way to write a file of this machine: beside its place, to the disk, then renamed into it."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO


@contextmanager
def replacing(path: Path, *, existing: bool = True) -> Iterator[BinaryIO]:
    """A stream whose content takes the place of a file when the block ends; if the block fails, nothing changes.

    Readers of the file see the old content or the new, whole. The new one survives a power failure after the block.

    Args:
        path: The file; its folder exists.
        existing: Whether an existing file may be replaced.

    Raises:
        FileExistsError: There is a file that may not be replaced.
        OSError: No space is left, or permission is denied.
    """
    fresh = path.with_name(f".{path.name}.{uuid.uuid4().hex}.new")
    try:
        with fresh.open("xb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        if existing:
            fresh.replace(path)
        else:
            os.link(fresh, path)  # a rename would replace a file created in between
    finally:
        fresh.unlink(missing_ok=True)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Sync a folder, so that a rename survives a power failure; not every file system can."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
