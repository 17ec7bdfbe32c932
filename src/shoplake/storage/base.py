"""Where the bytes of a lake are: whole objects by location, and one object that is only ever swapped."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO, Protocol


@dataclass(frozen=True)
class StoredFile:
    """One object as the storage lists it.

    Attributes:
        location: Its absolute location.
        bytes: Its size.
        modified: When it was written, by the storage's clock, UTC with a zone.
    """

    location: str
    bytes: int
    modified: datetime


class Storage(Protocol):
    """A folder or prefix in which a lake lives. Locations are absolute, as the table format wants them."""

    @property
    def root(self) -> str:
        """Its own location, without a slash at the end."""
        ...

    def read(self, location: str) -> bytes:
        """The bytes of an object.

        Raises:
            MissingFileError: It is not there.
            FatalError: It cannot be read.
        """
        ...

    def read_if_there(self, location: str) -> bytes | None:
        """The bytes of an object, None if there is none.

        Raises:
            FatalError: It cannot be read.
        """
        ...

    def read_all(self, locations: Sequence[str]) -> list[bytes]:
        """The bytes of several objects, in order; requested at once where each has latency.

        Raises:
            MissingFileError: One is not there.
            FatalError: One cannot be read.
        """
        ...

    def open(self, location: str) -> BinaryIO:
        """A seekable stream of an object, for reading parts of it.

        Raises:
            MissingFileError: It is not there.
            OSError: It cannot be read; also while it is being read, or a ShoplakeError then.
        """
        ...

    def write(self, location: str, content: bytes | memoryview) -> None:
        """Create an object; it survives a power failure once this returns.

        Raises:
            OSError: No space is left, or permission is denied.
        """
        ...

    def swap(self, location: str, old: bytes | None, new: bytes) -> bool:
        """Replace an object, only if it still has the old content (None: only if there is none). Atomic.

        Args:
            location: The object.
            old: Its content now.
            new: Its content afterwards; it must differ from all earlier ones.

        Returns:
            Whether it was replaced; if not, somebody else was first.

        Raises:
            UnknownOutcomeError: No response; it may have been replaced, or may still be.
        """
        ...

    def hint(self, hints: Callable[[], Mapping[str, bytes]]) -> None:
        """Replace small files on which nothing rests, each whole, where that costs neither a fee nor a round trip.

        Args:
            hints: Their content by location. It is called where they are kept, while nobody swaps.

        Raises:
            ShoplakeError: What the call raises.
            OSError: No space is left, or permission is denied.
        """
        ...

    def delete(self, locations: Iterable[str]) -> None:
        """Delete objects; missing ones are ignored."""
        ...

    def list(self, prefix: str) -> Iterator[StoredFile]:
        """Every object below a location, at any depth, or the object at it; in no particular order.

        Raises:
            FatalError: It cannot be listed.
        """
        ...

    def lock(self, waiting: Callable[[str], None] | None) -> AbstractContextManager[None]:
        """Be the only run that writes here, where that can be arranged; nothing may rest on it.

        Args:
            waiting: Is told, once, who is being waited for.

        Raises:
            FatalError: The place cannot be written to.
        """
        ...
