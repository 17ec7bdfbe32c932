"""The five-minute slots of source files: which slot a file is of, by its name, and which slots have no file."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

SLOT = timedelta(minutes=5)
LONGEST_GAP = timedelta(days=366)
_HIVE = re.compile(r"(?:^|/)year=(\d{4})/month=(\d\d)/day=(\d\d)/hour=(\d\d)/minute=(\d\d)/", re.ASCII)
_FLAT = re.compile(r"(?:^|/)events-(\d{4})(\d\d)(\d\d)-(\d\d)(\d\d)\d\d\.[^/]*$", re.ASCII)


@dataclass(frozen=True)
class Gap:
    """Slots in a row that have no file.

    Attributes:
        start: Start of the first one, UTC.
        end: End of the last one.
    """

    start: datetime
    end: datetime

    @property
    def slots(self) -> int:
        """How many."""
        return (self.end - self.start) // SLOT


def minute(path: str) -> datetime | None:
    """The minute that a source file's path names, UTC: its Hive folders or, where there are none, its name; else None."""
    found = _HIVE.search(path) or _FLAT.search(path)
    if not found:
        return None
    try:
        return datetime(*map(int, found.groups()))  # type: ignore[arg-type] # noqa: DTZ001 - UTC without a zone
    except ValueError:
        return None


def slot(path: str) -> datetime | None:
    """The start of the slot that a source file is of, UTC; None where its path names no time."""
    named = minute(path)
    return named and _floor(named)


def gaps(paths: Iterable[str]) -> list[Gap]:
    """The slots without a file between the first and the last file, merged into ranges, in order.

    An empty slot between two files less than two slots apart is not a gap: a schedule that does not run on the full
    five minutes has a little jitter, and nothing is missing. Nor is a span longer than :data:`LONGEST_GAP`: what lies so far
    from all other files is a folder of junk such as ``year=0001``, or another period.
    """
    # Neither a set of paths nor one of minutes: those of a listing come in order, and are then sorted in no time.
    minutes = sorted(dict.fromkeys(found for path in paths if (found := minute(path))))
    shortest = 2 * SLOT
    return [
        Gap(_floor(before) + SLOT, _floor(after))
        for before, after in pairwise(minutes)
        if shortest <= after - before <= LONGEST_GAP
    ]


def _floor(moment: datetime) -> datetime:
    return moment.replace(minute=moment.minute - moment.minute % 5)
