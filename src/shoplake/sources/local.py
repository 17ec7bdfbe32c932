"""Source files in a folder of this machine."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from shoplake.errors import UsageError
from shoplake.sources import listing
from shoplake.sources.base import SourceFile
from shoplake.sources.listing import Collected, Listing
from shoplake.storage.atomic import replacing
from shoplake.storage.uris import expanded, is_uri


class LocalSource:
    """Source files in a folder of this machine, at any depth.

    A name that starts with a dot marks a file that is still being written (or hidden); it is left out, and so is everything in
    a folder with such a name. Links are followed. An entry that cannot be looked at is left out alone.
    """

    def __init__(self, root: str | Path) -> None:
        """Name the folder.

        Raises:
            UsageError: It does not exist, or is not a folder.
        """
        text = str(root)
        if is_uri(text):
            raise UsageError(
                f"{text} is neither a local folder nor on S3", remedy="A source is a folder, or s3://BUCKET/PREFIX."
            )
        self.root = expanded(text).absolute()
        if not os.path.isdir(self.root):  # noqa: PTH112 - Path.is_dir raises where a folder above may not be entered
            raise UsageError(
                f"the source {self.root} is not a folder",
                remedy="Name the folder that holds the raw files, or generate some: shoplake generate --out DIR",
            )

    @property
    def name(self) -> str:
        """The folder."""
        return str(self.root)

    def list(self) -> Listing:
        """Every source file below the folder, sorted by path, and what is left out."""
        collected = Collected()
        return collected.listing(self._walk(collected))

    def open(self, file: SourceFile) -> BinaryIO:
        """The raw bytes of a file."""
        return (self.root / file.path).open("rb")

    def replace(self, file: SourceFile, content: bytes) -> None:
        """Replace the bytes of a file; whoever is reading it sees the old ones to their end."""
        path = self.root / file.path
        with replacing(path) as stream:
            stream.write(content)
            status = path.stat()
            os.fchmod(stream.fileno(), stat.S_IMODE(status.st_mode))
            if _version(status) != file.version:
                raise FileNotFoundError(errno.ENOENT, "it was replaced", str(path))

    def still_there(self, paths: Collection[str]) -> set[str]:
        """The given files that exist now."""
        return {path for path in paths if os.path.isfile(self.root / path)}  # noqa: PTH113 - as for the root

    def _walk(self, collected: Collected) -> Iterator[SourceFile]:
        """Every source file; folders wait on a list, so that no depth is too deep."""
        waiting = [_Folder(str(self.root), "", frozenset())]
        while waiting:
            folder = waiting.pop()
            try:
                status = os.stat(folder.place)  # noqa: PTH116 - a text, which may be long
                entries = list(os.scandir(folder.place))
            except OSError as error:
                if not folder.prefix:
                    raise UsageError(
                        f"the source {self.root} cannot be listed: {error.strerror}", remedy="Check its permissions."
                    ) from error
                collected.add(listing.unreadable(error.strerror or str(error)), folder.prefix, trouble=True)
                continue
            here = (status.st_dev, status.st_ino)
            if here in folder.above:
                collected.add(listing.LOOP, folder.prefix, trouble=True)
                continue
            for entry in entries:
                path = f"{folder.prefix}{entry.name}"
                if not _is_utf8(path):
                    collected.add(listing.NOT_UTF8, path, trouble=True)
                elif entry.name.startswith("."):
                    collected.add(listing.HIDDEN, path)
                elif _is_folder(entry):
                    waiting.append(_Folder(entry.path, f"{path}/", folder.above | {here}))
                elif file := _look(entry, path, collected):
                    yield file


@dataclass(frozen=True)
class _Folder:
    """A folder to be listed: its place, its path below the source with a slash, and the folders that it lies in."""

    place: str
    prefix: str
    above: frozenset[tuple[int, int]]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _look(entry: os.DirEntry[str], path: str, collected: Collected) -> SourceFile | None:
    """A source file; what is none, or cannot be looked at, is left out."""
    try:
        status = entry.stat()
    except FileNotFoundError:
        if entry.is_symlink():
            collected.add(listing.BROKEN_LINK, path)
        return None  # or deleted since it was listed; the next run sees what is there then
    except OSError as error:
        itself = error.errno == errno.ELOOP
        collected.add(
            listing.LINK_TO_ITSELF if itself else listing.unreadable(error.strerror or str(error)), path, trouble=True
        )
        return None
    why = listing.kind(entry.name) if stat.S_ISREG(status.st_mode) else listing.NOT_A_FILE
    if why:
        collected.add(why, path)
        return None
    return SourceFile(path, _version(status), status.st_size)


def _is_utf8(path: str) -> bool:
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _version(status: os.stat_result) -> str:
    return f"{status.st_size}-{status.st_mtime_ns}"
