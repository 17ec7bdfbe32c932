"""Finds the source files that are there now."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Protocol

if TYPE_CHECKING:
    from shoplake.sources.listing import Listing


@dataclass(frozen=True, order=True)
class SourceFile:
    """One raw object as the listing shows it.

    Attributes:
        path: Its name below the source, with forward slashes: its name in the ledger and the lineage.
        version: Changes whenever the object is replaced.
        bytes: Compressed size.
    """

    path: str
    version: str
    bytes: int


class ReplacedError(FileNotFoundError):
    """The version that was listed no longer exists: the object has been replaced."""


class Source(Protocol):
    """A place that holds source files."""

    @property
    def name(self) -> str:
        """The place, as messages show it."""
        ...

    def list(self, after: str = "") -> Listing:
        """Every source file, sorted by path, and what is left out.

        Args:
            after: Only those whose path sorts after this one; what lies before is not even looked at.

        Raises:
            ShoplakeError: The place itself cannot be listed. An entry that cannot be looked at is left out alone.
        """
        ...

    def open(self, file: SourceFile) -> BinaryIO:
        """The raw bytes of a file.

        Raises:
            FileNotFoundError: It was deleted (or :class:`ReplacedError`: replaced), before or during the reading.
            OSError: It cannot be read.
        """
        ...

    def replace(self, file: SourceFile, content: bytes) -> None:
        """Replace the bytes of a file, all or nothing, if it still has the version that was listed.

        Raises:
            FileNotFoundError: It no longer has that version.
            OSError: It cannot be written.
        """
        ...

    def still_there(self, paths: Collection[str]) -> set[str]:
        """The given files that exist now, whatever a listing says."""
        ...
