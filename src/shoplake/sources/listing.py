"""What a source has: its source files, and what is left out of them, counted and named."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from shoplake.sources.base import SourceFile
from shoplake.text import count

_SOURCE_FILE = re.compile(r"\.(jsonl|ndjson|json)(\.gz|\.zst)?\Z", re.IGNORECASE)
_NOT_EVENTS = frozenset({"faults-manifest.json"})  # what shoplake generate says of the faults that it made
_MARKERS = ("_success", "_started_", "_committed_")
_NAMED = 5

HIDDEN = "hidden"
MARKER = "marker of a writer or a folder"
OTHER = "another kind of file"
BROKEN_LINK = "broken link"
NOT_A_FILE = "neither a file nor a folder"
LINK_TO_ITSELF = "link to itself"
LOOP = "link to a folder that it lies in"
ODD_NAME = "folder with a name in it that cannot be asked for (such as a//b)"
NOT_UTF8 = "name that is not UTF-8"


def unreadable(why: str) -> str:
    """What to say of an entry that could not be looked at."""
    return f"cannot be read now ({why})"


def kind(name: str) -> str | None:
    """Why a file with this name is left out; None for a source file."""
    if name.startswith("."):
        return HIDDEN
    if name.lower().startswith(_MARKERS) or name.endswith("_$folder$"):
        return MARKER
    return None if _SOURCE_FILE.search(name) and name not in _NOT_EVENTS else OTHER


@dataclass
class LeftOut:
    """Entries of a source that are left out for the same reason.

    Attributes:
        why: The reason.
        entries: How many.
        first: The paths of a few of them.
        trouble: Whether there may be source files that cannot be seen.
    """

    why: str
    entries: int
    first: list[str]
    trouble: bool

    def __str__(self) -> str:
        """For a person: ``2 hidden (.a, .b)``."""
        more = ", ..." if self.entries > len(self.first) else ""
        return f"{self.entries:,} {self.why} ({', '.join(self.first)}{more})"

    def as_json(self) -> dict[str, Any]:
        """As the fixed JSON interface names it."""
        return dict(vars(self))


class Listing(list[SourceFile]):
    """The source files, sorted by path.

    Attributes:
        left_out: What else there is, by reason.
    """

    def __init__(self, files: Iterable[SourceFile] = (), left_out: Iterable[LeftOut] = ()) -> None:
        """Sort the files."""
        super().__init__(sorted(files, key=attrgetter("path")))
        self.left_out = tuple(sorted(left_out, key=lambda each: (not each.trouble, each.why)))


class Collected:
    """Collects what is left out of a listing; a few names of each kind are kept, however many there are."""

    def __init__(self) -> None:
        """Start with nothing."""
        self._kinds: dict[str, LeftOut] = {}

    def add(self, why: str, path: str, *, trouble: bool = False) -> None:
        """Leave an entry out."""
        found = self._kinds.setdefault(why, LeftOut(why, 0, [], trouble))
        found.entries += 1
        if len(found.first) < _NAMED:
            found.first.append(path)

    def listing(self, files: Iterable[SourceFile]) -> Listing:
        """The source files, with what was left out."""
        return Listing(files, self._kinds.values())


def trouble(left_out: Iterable[LeftOut]) -> str:
    """What could not be looked at, in a sentence; empty if there is nothing."""
    some = [each for each in left_out if each.trouble]
    if not some:
        return ""
    entries = count(sum(each.entries for each in some), "entry", "entries")
    return f"{entries} of the source could not be looked at: {', '.join(map(str, some))}"
