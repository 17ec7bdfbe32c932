"""Finds the source files that are there now."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import BinaryIO, Protocol

SUFFIX = ".jsonl.gz"


@dataclass(frozen=True, order=True)
class SourceFile:
    """One raw object as the listing shows it.

    Attributes:
        path: Its name below the source, with forward slashes: what the ledger and the lineage know it by.
        version: Changes whenever the object is replaced.
        bytes: Compressed size.
    """

    path: str
    version: str
    bytes: int


class ReplacedError(FileNotFoundError):
    """The version that the listing showed is not there any more: the object was replaced meanwhile."""


class Source(Protocol):
    """A place that holds source files."""

    @property
    def name(self) -> str:
        """The place, as messages show it."""
        ...

    def list(self) -> list[SourceFile]:
        """Every source file, sorted by path."""
        ...

    def open(self, file: SourceFile) -> BinaryIO:
        """The raw bytes of a file.

        Raises:
            FileNotFoundError: It is gone (or :class:`ReplacedError`), now or while it is being read.
            OSError: It cannot be read.
        """
        ...

    def replace(self, file: SourceFile, content: bytes) -> None:
        """Put other bytes in the place of a file, all of them or none, if it is still in the version that was listed.

        Raises:
            FileNotFoundError: It is not there in that version any more.
            OSError: It cannot be written.
        """
        ...

    def still_there(self, paths: Collection[str]) -> set[str]:
        """Those of the given files that exist now, whatever a listing says."""
        ...
