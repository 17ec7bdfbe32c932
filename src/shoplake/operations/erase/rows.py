"""Finds people's rows in the tables: which data files contain them, and what the ledger and gold need to know of them."""

from __future__ import annotations

from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shoplake.lake import parquet, raw_lines
from shoplake.lake.hours import start_of_hour
from shoplake.lake.snapshots import DataFile, TableSnapshot, View
from shoplake.operations.erase.people import People
from shoplake.parsing import BOM, parse_line
from shoplake.tables import EVENTS, QUARANTINE, Table

_TEXTS = ("session_id", "search_query", "extra")  # of other people's events, in which an id may stand


@dataclass
class PersonRows:
    """The rows of some people in the tables.

    Attributes:
        people: Who they are.
        files: The data files that contain their rows, by table.
        accepted: Their events, by source file.
        quarantined: Their quarantined lines, by source file.
        extras: The unknown keys of all these, as JSON objects, by source file.
        users: The hours of their events; for each a mask of the people who have any in it.
        events_of: Events of each of the people.
        lines_of: Quarantined lines of each; a line may be about several.
        mentions: Rows of others that contain one of the ids, by table.
    """

    people: People
    files: dict[str, list[DataFile]] = field(default_factory=lambda: defaultdict(list))
    accepted: Counter[str] = field(default_factory=Counter)
    quarantined: Counter[str] = field(default_factory=Counter)
    extras: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    users: dict[datetime, npt.NDArray[np.bool_]] = field(default_factory=dict)
    events_of: npt.NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    lines_of: Counter[str] = field(default_factory=Counter)
    mentions: dict[str, int] = field(default_factory=lambda: {EVENTS.name: 0, QUARANTINE.name: 0})

    @property
    def hours(self) -> list[datetime]:
        """The hours of the events."""
        return sorted(self.users)

    @property
    def user_hours(self) -> int:
        """Rows of ``user_hourly`` that the events make."""
        return sum(int(mask.sum()) for mask in self.users.values())

    @property
    def lines(self) -> Counter[str]:
        """How many lines of each source file the rows stand for."""
        return self.accepted + self.quarantined

    def add_events(self, rows: pa.Table, places: npt.NDArray[np.int64]) -> None:
        """Count events of these people; ``places`` has the place of each one's user among the ids."""
        self.events_of += np.bincount(places, minlength=len(self.people.ids))
        hours = pc.floor_temporal(rows.column("event_time"), unit="hour")
        for hour in pc.unique(hours).to_pylist():
            here = places[pc.equal(hours, pa.scalar(hour, hours.type)).to_numpy(zero_copy_only=False)]
            mask = self.users.setdefault(start_of_hour(hour), np.zeros(len(self.people.ids), bool))
            mask[here] = True
        for row in pc.value_counts(_plain(rows.column("source_file"))).to_pylist():
            self.accepted[row["values"]] += row["counts"]
        some = rows.filter(pc.is_valid(rows.column("extra")))
        for path, extra in zip(
            *(_plain(some.column(name)).to_pylist() for name in ("source_file", "extra")), strict=True
        ):
            self.extras[path].append(extra)

    def add_line(self, row: dict[str, Any], owners: frozenset[str]) -> None:
        """Count a quarantined line that is about some of these people."""
        path = row["source_file"]
        self.quarantined[path] += 1
        self.lines_of.update(owners)
        if extra := parse_line(_line(row).removeprefix(BOM)).extra:
            self.extras[path].append(extra)


def find(view: View, people: People, threads: int) -> PersonRows:
    """Find people's rows in every data file of events and quarantine, and count the rows of others that mention them."""
    found = PersonRows(people, events_of=np.zeros(len(people.ids), np.int64))
    with ThreadPoolExecutor(threads) as pool:
        snapshot = view[EVENTS.name]
        parts = pool.map(lambda file: _events_in(snapshot, file, people), snapshot.files)
        for file, (rows, places, mentions) in zip(snapshot.files, parts, strict=True):
            found.mentions[EVENTS.name] += mentions
            if rows is not None:
                found.files[EVENTS.name].append(file)
                found.add_events(rows, places)
        stored = view[QUARANTINE.name]
        for file, (owned, mentions) in zip(
            stored.files, pool.map(lambda file: _lines_in(stored, file, people), stored.files), strict=True
        ):
            found.mentions[QUARANTINE.name] += mentions
            if owned:
                found.files[QUARANTINE.name].append(file)
            for row, owners in owned:
                found.add_line(row, owners)
    return found


def of_people(table: Table, rows: pa.Table, people: People) -> pa.Array:
    """A mask: which rows of events or quarantine are theirs."""
    if table is EVENTS:
        return pa.array(people.places(rows.column("user_id")) >= 0)
    mask = np.zeros(rows.num_rows, bool)
    mask[list(people.owning([_line(row) for row in rows.select(["raw", "encoding"]).to_pylist()]))] = True
    return pa.array(mask)


def _events_in(
    snapshot: TableSnapshot, file: DataFile, people: People
) -> tuple[pa.Table | None, npt.NDArray[np.int64], int]:
    """Their events in a data file, with the place of each one's user, and how many events of others mention them."""
    with parquet.reading(file.path), snapshot.storage.open(file.path) as stream:
        rows = parquet.read_together(EVENTS, [stream], ["user_id", *_TEXTS])
        places = people.places(rows.column("user_id"))
        others = pa.array(places < 0)
        mentions = pc.sum(pc.and_(others, _mentions(rows, people))).as_py() or 0
        if not (places >= 0).any():
            return None, places, mentions
        stream.seek(0)
        rows = parquet.read_together(EVENTS, [stream], ["source_file", "event_time", "extra"])
    return rows.filter(pc.invert(others)), places[places >= 0], mentions


def _mentions(rows: pa.Table, people: People) -> pa.Array:
    """Which events contain an id in one of their texts."""
    found = np.zeros(rows.num_rows, bool)
    for name in _TEXTS:
        column = rows.column(name)
        if column.num_chunks:
            texts = column.chunk(0).dictionary  # that of all chunks
            if len(hits := texts.filter(people.mentioned_in(texts))):
                found |= parquet.among(column, hits.to_pylist()).fill_null(False).to_numpy()  # noqa: FBT003 - Arrow's
    return pa.array(found)


def _lines_in(
    snapshot: TableSnapshot, file: DataFile, people: People
) -> tuple[list[tuple[dict[str, Any], frozenset[str]]], int]:
    """Their quarantined lines in a data file, each with whom it is about, and how many of the others mention them."""
    with parquet.reading(file.path):
        rows = parquet.read(QUARANTINE, snapshot.storage.read(file.path)).to_pylist()
    lines = [_line(row) for row in rows]
    owned = people.owning(lines)
    mentioned = people.mentioned_in(pa.array(lines, pa.large_binary())).to_numpy(zero_copy_only=False)
    others = set(np.flatnonzero(mentioned).tolist()) - owned.keys()
    return [(rows[place], owners) for place, owners in sorted(owned.items())], len(others)


def _line(row: dict[str, Any]) -> bytes:
    return raw_lines.to_bytes(row["raw"], row["encoding"])


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column of texts without a dictionary."""
    return column.cast(pa.string())
