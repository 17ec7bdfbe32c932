"""Source files in a folder of this machine."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Collection, Iterator, Sequence
from operator import attrgetter
from pathlib import Path
from typing import BinaryIO, NamedTuple

from shoplake.errors import UsageError
from shoplake.sources import listing
from shoplake.sources.base import SourceFile
from shoplake.sources.listing import Collected, Listing
from shoplake.storage.atomic import replacing
from shoplake.storage.uris import expanded, is_uri, lies_before

_NAME = attrgetter("name")


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

    def list(self, after: str = "") -> Listing:
        """Every source file below the folder whose path sorts after the given one, sorted, and what is left out."""
        collected = Collected()
        return collected.listing(self._walk(collected, after))

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

    def _walk(self, collected: Collected, after: str) -> Iterator[SourceFile]:
        """Every source file; folders wait on a list, so that no depth is too deep."""
        waiting = [_Folder(str(self.root), "")]
        while waiting:
            folder = waiting.pop()
            for entry in self._entries(folder, collected):
                name = entry.name
                path = f"{folder.prefix}{name}"
                if after and lies_before(f"{path}/", after):
                    continue
                if not _is_utf8(path):
                    collected.add(listing.NOT_UTF8, path, trouble=True)
                elif name.startswith("."):
                    collected.add(listing.HIDDEN, path)
                elif _is_folder(entry):
                    waiting.append(folder.below(entry))
                elif path > after and (file := _look(entry, path, collected)):
                    yield file

    def _entries(self, folder: _Folder, collected: Collected) -> Sequence[os.DirEntry[str]]:
        """What is in a folder, the last by name first; nothing where it cannot be listed."""
        try:
            if not folder.looped:
                entries = list(os.scandir(folder.place))
                if len(entries) > 1:  # the first folder comes off the list first: what comes in order is sorted at once
                    entries.sort(key=_NAME, reverse=True)
                return entries
        except OSError as error:
            if not folder.prefix:
                raise UsageError(
                    f"the source {self.root} cannot be listed: {error.strerror}", remedy="Check its permissions."
                ) from error
            collected.add(listing.unreadable(error.strerror or str(error)), folder.prefix, trouble=True)
        else:
            collected.add(listing.LOOP, folder.prefix, trouble=True)
        return ()


class _Folder(NamedTuple):
    """A folder to be listed.

    Attributes:
        place: Where it is.
        prefix: Its path below the source, with a slash.
        above: The folder that it lies in, None for the source.
        linked: Whether a link leads to it: only then can it be one of those that it lies in.
    """

    place: str
    prefix: str
    above: _Folder | None = None
    linked: bool = False

    @property
    def looped(self) -> bool:
        """Whether it is one of the folders that it lies in."""
        above = self.above if self.linked else None
        while above and not os.path.samefile(self.place, above.place):  # noqa: PTH121 - long texts
            above = above.above
        return above is not None

    def below(self, entry: os.DirEntry[str]) -> _Folder:
        """A folder in it."""
        return _Folder(entry.path, f"{self.prefix}{entry.name}/", self, self.linked or entry.is_symlink())


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
    if path.isascii():
        return True
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _version(status: os.stat_result) -> str:
    return f"{status.st_size}-{status.st_mtime_ns}"
