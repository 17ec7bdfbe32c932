"""What a run is going to do: a pure function of the listing and the ledger, so that it prints and tests without I/O."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from shoplake.lake import ledger
from shoplake.lake.hours import start_of_hour
from shoplake.lake.ledger import PlanEntry
from shoplake.sources import slots
from shoplake.sources.base import SourceFile
from shoplake.sources.listing import LeftOut, Listing, trouble


@dataclass(frozen=True)
class Batch:
    """The source files that are ingested together.

    Attributes:
        files: Sorted by path: of equal events, the first file's is kept.
        known: Paths among them that the ledger knows: what the lake holds of them goes.
        replaced: Paths among those whose object was replaced since an earlier batch ingested it.
        reingested: Paths among those that were ingested in this very version (but for erased lines) and are to be again.
    """

    files: tuple[SourceFile, ...]
    known: frozenset[str]
    replaced: frozenset[str]
    reingested: frozenset[str]

    @property
    def bytes(self) -> int:
        """Compressed size."""
        return sum(file.bytes for file in self.files)

    def only(self, files: Iterable[SourceFile]) -> Batch:
        """The batch with these of its files alone."""
        kept = tuple(files)
        paths = frozenset(file.path for file in kept)
        return Batch(kept, self.known & paths, self.replaced & paths, self.reingested & paths)

    def without(self, files: Collection[SourceFile]) -> Batch:
        """The batch without some of its files."""
        return self.only(file for file in self.files if file not in files) if files else self


@dataclass(frozen=True)
class Plan:
    """What a run is going to do.

    Attributes:
        batches: In the order they are done; empty when there is nothing new.
        known: Source files that are in the lake as they are and stay untouched.
        reopened: Paths that an earlier run left to be done again.
        left_out: What else the source has, as far as it was looked at.
    """

    batches: tuple[Batch, ...]
    known: int
    reopened: tuple[str, ...]
    left_out: tuple[LeftOut, ...] = ()

    @property
    def files(self) -> int:
        """Source files to ingest."""
        return sum(len(batch.files) for batch in self.batches)

    @property
    def bytes(self) -> int:
        """Their compressed size."""
        return sum(batch.bytes for batch in self.batches)

    @property
    def replaced(self) -> tuple[str, ...]:
        """Paths whose object was replaced since it was ingested."""
        return tuple(sorted(path for batch in self.batches for path in batch.replaced))


NEWEST = 2016
"""Source files that every run looks at, the last by name: a week of them, if one comes every five minutes."""

MOST_FILES = 1000
"""Source files of one batch, at most: so that ten thousand tiny ones are not lost together."""


def make(
    listing: Sequence[SourceFile],
    entries: Mapping[str, PlanEntry],
    batch_bytes: int,
    only: Collection[str] | None = None,
    settled: int = 0,
) -> Plan:
    """Plan a run.

    Args:
        listing: What the source holds, sorted by path.
        entries: What the ledger knows, by path.
        batch_bytes: Compressed bytes of a batch at most; a single larger file is a batch of its own, and reopened files
            are done together, because they hold the same events.
        only: Paths to take on instead of all that is new, known or not; what an earlier run left to be done again comes
            with them.
        settled: Source files that are in the lake, besides those of the listing, and were not looked at.
    """
    due = [file for file in listing if _is_due(file, entries.get(file.path), only)]
    reopened = [file for file in due if _is_reopened(file, entries)]
    rest = [file for file in due if not _is_reopened(file, entries)]
    groups = [*([tuple(reopened)] if reopened else []), *_groups(rest, batch_bytes)]
    batches = tuple(
        Batch(
            group,
            frozenset(file.path for file in group if file.path in entries),
            frozenset(file.path for file in group if _is_replaced(file, entries.get(file.path))),
            frozenset(file.path for file in group if _is_reingested(file, entries.get(file.path))),
        )
        for group in groups
    )
    left_out = listing.left_out if isinstance(listing, Listing) else ()
    known = len(listing) - len(due) + settled
    return Plan(batches, known, tuple(file.path for file in reopened), left_out)


def settles(listing: Listing) -> str:
    """The path up to which no run need look before the next sweep, once all of a listing is done; empty if each has to.

    That is all but the newest files, where new ones come last by name: every path names its minute, in ascending order.
    """
    if len(listing) <= NEWEST or trouble(listing.left_out):
        return ""
    minutes = [slots.minute(file.path) for file in listing]
    if any(before is None or after is None or after < before for before, after in pairwise(minutes)):
        return ""
    return listing[-NEWEST - 1].path


def _is_due(file: SourceFile, entry: PlanEntry | None, only: Collection[str] | None) -> bool:
    if entry and entry.status in ledger.TO_DO:
        return True
    if only is not None:
        return file.path in only
    return entry is None or entry.version != file.version


def _is_reopened(file: SourceFile, entries: Mapping[str, PlanEntry]) -> bool:
    return file.path in entries and entries[file.path].status == ledger.REOPENED


def _is_replaced(file: SourceFile, entry: PlanEntry | None) -> bool:
    return (
        entry is not None
        and entry.version != file.version
        and entry.status not in {ledger.UNREADABLE, ledger.REWRITTEN}
    )


def _is_reingested(file: SourceFile, entry: PlanEntry | None) -> bool:
    if entry is None or entry.status == ledger.UNREADABLE:
        return False
    return entry.version == file.version or entry.status == ledger.REWRITTEN


def _groups(files: Sequence[SourceFile], batch_bytes: int) -> Iterator[tuple[SourceFile, ...]]:
    """Cut the files into batches, where it can be between two hours: a batch that ends inside one publishes it twice."""
    group: list[SourceFile] = []
    size = 0
    for file in files:
        half_full_at_an_hours_end = size >= batch_bytes / 2 and _hour(file) != _hour(group[-1])
        full = size + file.bytes > batch_bytes or len(group) == MOST_FILES
        if group and (full or half_full_at_an_hours_end):
            yield tuple(group)
            group, size = [], 0
        group.append(file)
        size += file.bytes
    if group:
        yield tuple(group)


def _hour(file: SourceFile) -> datetime | None:
    """The hour of the file's slot; None where its path names no time."""
    slot = slots.slot(file.path)
    return slot and start_of_hour(slot)
