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

    Whoever reads the file sees the old content or the new, whole. The new one is safe from a loss of power after the block.

    Args:
        path: The file; its folder exists.
        existing: Whether a file that is already there is replaced.

    Raises:
        FileExistsError: There is a file, and it is not to be replaced.
        OSError: There is no room or no permission.
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
            os.link(fresh, path)  # a rename would replace a file that came meanwhile
    finally:
        fresh.unlink(missing_ok=True)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk, so that a rename outlives a power cut; not every file system can."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
