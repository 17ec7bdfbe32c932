"""The ledger: which version of which source file is in the lake, and what became of its lines."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa
import pyarrow.parquet as pq

from shoplake.parquet import arrow_schema
from shoplake.snapshots import TableSnapshot
from shoplake.tables import LEDGER

INGESTED = "ingested"
UNREADABLE = "unreadable"
REOPENED = "reopened"


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
    duplicates_of: tuple[str, ...]
    min_event_time: datetime | None
    max_event_time: datetime | None
    arrived_at: datetime
    batch: str
    engine: str
    seconds: float


def read(ledger: TableSnapshot) -> dict[str, Entry]:
    """Every entry of a snapshot of the ledger, by source file."""
    entries = {}
    for row in table(ledger).to_pylist():
        row["duplicates_of"] = tuple(row["duplicates_of"] or ())
        entries[row["source_file"]] = Entry(**row)
    return entries


def table(ledger: TableSnapshot) -> pa.Table:
    """Every row of a snapshot of the ledger."""
    if not ledger.files:
        return arrow_schema(LEDGER).empty_table()
    return pa.concat_tables([read_file(file.path) for file in ledger.files])


def read_file(path: str) -> pa.Table:
    """The rows of one data file of the ledger."""
    return pq.read_table(path, schema=arrow_schema(LEDGER), partitioning=None)


def as_rows(entries: Iterable[Entry]) -> pa.Table:
    """Entries as rows of the ledger's table."""
    schema = arrow_schema(LEDGER)
    rows = [vars(entry) | {"duplicates_of": list(entry.duplicates_of)} for entry in entries]
    return pa.Table.from_pylist(rows, schema=schema)


def dependents(entries: Sequence[Entry], of: set[str]) -> set[str]:
    """The files whose duplicates point, directly or in steps, at one of the given files.

    When such a file is replaced, the event may be left only in the dependent one, which must then be read again.
    """
    found: set[str] = set()
    frontier = set(of)
    linked = [entry for entry in entries if entry.duplicates_of]
    while frontier:
        frontier = {
            entry.source_file
            for entry in linked
            if entry.source_file not in found | of and frontier.intersection(entry.duplicates_of)
        }
        found |= frontier
    return found
