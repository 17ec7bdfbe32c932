"""Finds a person's rows in the tables: which data files contain them, and what the ledger and gold need to know of them."""

from __future__ import annotations

from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from shoplake.lake import parquet, raw_lines
from shoplake.lake.hours import start_of_hour
from shoplake.lake.snapshots import DataFile, View
from shoplake.operations.erase.raw_files import is_about
from shoplake.parsing import BOM, parse_line
from shoplake.tables import EVENTS, QUARANTINE, Table


@dataclass(frozen=True)
class PersonRows:
    """The rows of a person in the tables.

    Attributes:
        files: The data files that contain them, by table.
        events: The person's events: ``source_file``, ``event_time`` and ``extra``.
        quarantined: The person's quarantined lines: ``source_file`` and ``extra``.
    """

    files: dict[str, list[DataFile]]
    events: list[dict[str, Any]]
    quarantined: list[dict[str, Any]]

    @property
    def hours(self) -> list[datetime]:
        """The hours of the events."""
        return sorted({start_of_hour(row["event_time"]) for row in self.events})

    @property
    def lines(self) -> Counter[str]:
        """How many lines of each source file the rows stand for."""
        return Counter(row["source_file"] for row in [*self.events, *self.quarantined])


def find(view: View, user: str, threads: int) -> PersonRows:
    """Find a person's rows in every data file of events and quarantine."""
    found = PersonRows(defaultdict(list), [], [])
    with ThreadPoolExecutor(threads) as pool:
        for table, rows in ((EVENTS, found.events), (QUARANTINE, found.quarantined)):
            snapshot = view[table.name]
            parts = pool.map(lambda file, table=table: _rows_in(table, file, view, user), snapshot.files)
            for file, part in zip(snapshot.files, parts, strict=True):
                if part:
                    found.files[table.name].append(file)
                    rows.extend(part)
    return found


def of_person(table: Table, rows: pa.Table, user: str) -> pa.ChunkedArray | pa.Array:
    """A mask: which rows of events or quarantine are the person's."""
    if table is EVENTS:
        return parquet.among(rows.column("user_id"), [user])
    mask = [is_about(_line(row), user) for row in rows.select(["raw", "encoding"]).to_pylist()]
    return pa.array(mask, pa.bool_())


def _rows_in(table: Table, file: DataFile, view: View, user: str) -> list[dict[str, Any]]:
    """The columns that matter of the person's rows in a data file of events or quarantine."""
    storage = view[table.name].storage
    if table is QUARANTINE:
        with parquet.reading(file.path):
            rows = parquet.read(table, storage.read(file.path))
        mine = rows.filter(of_person(table, rows, user)).to_pylist()
        return [{"source_file": row["source_file"], "extra": parse_line(_line(row)).extra} for row in mine]
    with parquet.reading(file.path), storage.open(file.path) as stream:
        mask = of_person(table, parquet.read_together(table, [stream], ["user_id"]), user)
        if not pc.any(mask).as_py():
            return []
        stream.seek(0)
        rows = parquet.read_together(table, [stream], ["source_file", "event_time", "extra"])
    return list(rows.filter(mask).to_pylist())


def _line(row: dict[str, Any]) -> bytes:
    return raw_lines.to_bytes(row["raw"], row["encoding"]).removeprefix(BOM)
