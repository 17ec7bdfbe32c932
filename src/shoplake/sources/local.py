"""Source files in a folder of this machine."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import BinaryIO

from shoplake.errors import UsageError
from shoplake.sources.base import SUFFIX, SourceFile
from shoplake.storage.atomic import replacing
from shoplake.storage.uris import is_uri


class LocalSource:
    """Source files in a folder of this machine, at any depth.

    A name that starts with a dot marks a file that is still being written (or hidden); it is ignored, and so is everything in a
    folder with such a name.
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
        self.root = Path(text.removeprefix("file://")).expanduser().absolute()
        if not self.root.is_dir():
            raise UsageError(
                f"the source {self.root} is not a folder",
                remedy="Name the folder that holds the .jsonl.gz files, or generate some: shoplake generate --out DIR",
            )

    @property
    def name(self) -> str:
        """The folder."""
        return str(self.root)

    def list(self) -> list[SourceFile]:
        """Every source file below the folder, sorted by path."""
        return sorted(self._walk(str(self.root), ""))

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
        return {path for path in paths if (self.root / path).is_file()}

    def _walk(self, folder: str, prefix: str) -> Iterator[SourceFile]:
        try:
            entries = list(os.scandir(folder))
        except OSError as error:
            raise UsageError(
                f"the folder {folder} cannot be listed: {error.strerror}", remedy="Check its permissions."
            ) from error
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir():
                yield from self._walk(entry.path, f"{prefix}{entry.name}/")
            elif entry.name.endswith(SUFFIX) and entry.is_file():
                try:
                    status = entry.stat()
                except FileNotFoundError:
                    continue  # deleted since it was listed; the next run sees what is there then
                path = f"{prefix}{entry.name}"
                yield SourceFile(_printable(path), _version(status), status.st_size)


def _version(status: os.stat_result) -> str:
    return f"{status.st_size}-{status.st_mtime_ns}"


def _printable(path: str) -> str:
    try:
        path.encode("utf-8")
    except UnicodeEncodeError as error:
        raise UsageError(
            f"the source has a file name that is not UTF-8: {os.fsencode(path)!r}", remedy="Rename or move that file."
        ) from error
    return path
