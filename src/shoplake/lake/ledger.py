"""The ledger: which version of which source file is in the lake, and what became of its lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

import pyarrow as pa

from shoplake.lake import parquet, settled
from shoplake.lake.commits import Commit
from shoplake.lake.parquet import arrow_schema
from shoplake.lake.settled import Settled
from shoplake.lake.snapshots import DataFile, TableSnapshot
from shoplake.tables import LEDGER

INGESTED = "ingested"
UNREADABLE = "unreadable"
REOPENED = "reopened"
REWRITTEN = "rewritten"
TO_DO = (REOPENED, REWRITTEN)
"""Files that the next batch ingests again: because of other files, or because an erasure rewrote the object."""

SOURCE = "shoplake.source"
"""A property of the table: what the lake knows its source by."""

CLOCK_TOLERANCE = timedelta(minutes=1)
"""How far the clocks of machines may differ. A later arrival than that is from the future: a clock was ahead."""

LEDGER_FILES = 32
LEDGER_ROWS = 4096
"""A month's small files are merged where there are many; one of so many rows stays as it is."""

_AT_ONCE = 16  # data files in memory

KEYS_NAMED = 500
KEY_LENGTH = 4096
_KEYS_LENGTH = 32_768  # of all keys that are named together
OTHER_KEYS = "(other keys)"
"""Stands in ``unknown_keys`` for the keys that are not named there, with the sum of their lines."""


def bounded(unknown_keys: Mapping[str, int]) -> dict[str, int]:
    """The most frequent of some unknown keys, sorted; what is left over counts as :data:`OTHER_KEYS`, long keys are cut.

    Bounding twice changes nothing.
    """
    counts: Counter[str] = Counter()
    for key, number in unknown_keys.items():
        counts[key if len(key) <= KEY_LENGTH else f"{key[: KEY_LENGTH - 3]}..."] += number
    others = counts.pop(OTHER_KEYS, 0)
    named: dict[str, int] = {}
    length = 0
    for key, number in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        length += len(key)
        if len(named) < KEYS_NAMED and length <= _KEYS_LENGTH:
            named[key] = number
        else:
            others += number
    return dict(sorted(named.items())) | ({OTHER_KEYS: others} if others else {})


@dataclass(frozen=True)
class Entry:
    """One row of the ledger; the attributes are its columns (see the data dictionary)."""

    source_file: str
    version: str
    bytes: int
    status: str
    error: str | None
    lines: int
    accepted: int
    duplicates: int
    quarantined: int
    erased: int
    unknown_keys: str | None
    duplicates_of: tuple[str, ...]
    min_event_time: datetime | None
    max_event_time: datetime | None
    arrived_at: datetime
    batch: str
    engine: str
    seconds: float

    @property
    def plan_entry(self) -> PlanEntry:
        """The columns that planning needs."""
        return PlanEntry(self.version, self.status, self.duplicates_of)

    @property
    def figures(self) -> tuple[int, int, int, datetime | None, datetime | None]:
        """What became of its lines, leaving out erased ones."""
        counts = (self.accepted, self.duplicates, self.quarantined)
        return (*counts, self.min_event_time, self.max_event_time)


class PlanEntry(NamedTuple):
    """The columns of an entry that planning needs."""

    version: str
    status: str
    duplicates_of: tuple[str, ...]


def plan_entries(ledger: TableSnapshot, after: str = "") -> dict[str, PlanEntry]:
    """The entries of a snapshot of the ledger by source file, as far as planning needs it; reads only those columns.

    Args:
        ledger: The ledger.
        after: Only the entries whose path sorts after this one; data files without such are not read.
    """
    entries = {}
    for columns in _parts(ledger, ("source_file", *PlanEntry._fields), after):
        paths, versions, statuses, links = (column.to_pylist() for column in columns.columns)
        for path, version, status, duplicates_of in zip(paths, versions, statuses, links, strict=True):
            if path > after:
                entries[path] = PlanEntry(version, status, tuple(duplicates_of or ()))
    return entries


def columns(ledger: TableSnapshot, names: Sequence[str]) -> pa.Table:
    """Some columns of every row of a snapshot of the ledger."""
    schema = arrow_schema(LEDGER)
    empty = pa.schema([schema.field(name) for name in names]).empty_table()
    return pa.concat_tables([empty, *_parts(ledger, names)])


def _parts(ledger: TableSnapshot, names: Sequence[str], after: str = "") -> Iterator[pa.Table]:
    """Some columns of each data file that may have a path after the given one; some files are fetched side by side."""
    files = [file for file in ledger.files if file.upper["source_file"] > after]
    for start in range(0, len(files), _AT_ONCE):
        some = files[start : start + _AT_ONCE]
        for file, content in zip(some, ledger.storage.read_all([file.path for file in some]), strict=True):
            with parquet.reading(file.path):
                yield parquet.read(LEDGER, content, names)


def source_of(ledger: TableSnapshot) -> str | None:
    """What the lake knows its source by; None before the first batch, and in lakes of earlier versions."""
    return ledger.metadata["properties"].get(SOURCE) if ledger.metadata else None


def read(ledger: TableSnapshot) -> dict[str, Entry]:
    """Every entry of a snapshot of the ledger, by source file."""
    entries = {}
    for row in table(ledger).to_pylist():
        row["duplicates_of"] = tuple(row["duplicates_of"] or ())
        entries[row["source_file"]] = Entry(**row)
    return entries


def table(ledger: TableSnapshot) -> pa.Table:
    """Every row of a snapshot of the ledger."""
    return rows_of(ledger, ledger.files)


def rows_of(ledger: TableSnapshot, files: Iterable[DataFile]) -> pa.Table:
    """The rows of some data files of the ledger."""
    tables = [arrow_schema(LEDGER).empty_table()]
    for file in files:
        with parquet.reading(file.path):
            tables.append(parquet.read(LEDGER, ledger.storage.read(file.path)))
    return pa.concat_tables(tables)


def as_rows(entries: Iterable[Entry]) -> pa.Table:
    """Entries as rows of the ledger's table."""
    schema = arrow_schema(LEDGER)
    rows = [vars(entry) | {"duplicates_of": list(entry.duplicates_of)} for entry in entries]
    return pa.Table.from_pylist(rows, schema=schema)


def dependents(entries: Mapping[str, Entry | PlanEntry], paths: set[str]) -> set[str]:
    """The files whose duplicates point, directly or in steps, at one of the given files.

    When such a file is replaced, only the dependent one may still have the event, so it must be read again.
    """
    reached: set[str] = set()
    frontier = set(paths)
    links = {path: entry.duplicates_of for path, entry in entries.items() if entry.duplicates_of}
    while frontier:
        frontier = {path for path, targets in links.items() if frontier.intersection(targets)} - reached - paths
        reached |= frontier
    return reached


def write(
    commit: Commit,
    replaced: Collection[str],
    entries: Mapping[str, Entry],
    now: datetime,
    properties: Mapping[str, str] | None = None,
    settles: Settled | None = None,
) -> None:
    """Write entries in place of those of the given paths.

    From time to time this also merges the month's small files, so that reading the ledger stays cheap. What is settled
    stays so, unless a file of that is to be ingested again now.

    Args:
        commit: What they become visible with.
        replaced: Paths whose entries go.
        entries: The new entries, by path.
        now: The time, UTC without a zone.
        properties: Recorded in the summary of the ledger's snapshot.
        settles: What is settled now, if that is another than before.
    """
    import pyarrow.compute as pc

    stored = commit.base[LEDGER.name]
    rows = as_rows(entries.values())
    this_month = f"{now:%Y-%m}"
    month = [
        file for file in stored.files if file.rows < LEDGER_ROWS and f"{file.lower['arrived_at']:%Y-%m}" == this_month
    ]
    merge = month if len(month) >= LEDGER_FILES else []
    if merge:
        earlier = rows_of(stored, merge)
        keep = pc.invert(pc.is_in(earlier.column("source_file"), pa.array(list(entries))))
        rows = pa.concat_tables([earlier.filter(keep), rows])
    months = pc.floor_temporal(rows.column("arrived_at"), unit="month")
    new = [commit.write(LEDGER, month, rows.filter(pc.equal(months, month))) for month in pc.unique(months).to_pylist()]
    commit.replace(LEDGER, replaced, new, merge={file.path for file in merge}, properties=properties)
    to_do = [entry.source_file for entry in entries.values() if entry.status in TO_DO]
    for name, value in settled.as_property(settles or settled.read(stored), to_do).items():
        commit.set_property(LEDGER, name, value)
