"""What an erasure writes: data files without the people, gold of their hours, and the ledger entries of their source files."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import date, datetime

import pyarrow.compute as pc

from shoplake.engines.base import Engine, Gold, GoldRequest
from shoplake.lake import erasures, ledger, parquet, retention
from shoplake.lake.commits import Commit
from shoplake.lake.ledger import Entry
from shoplake.lake.parquet import NewFile
from shoplake.lake.snapshots import DataFile, View
from shoplake.operations.erase.people import People
from shoplake.operations.erase.rows import PersonRows, of_people
from shoplake.storage.base import Storage
from shoplake.tables import EVENTS, GOLD_HOURLY, Table


def without_people(commit: Commit, table: Table, file: DataFile, people: People, storage: Storage) -> NewFile | None:
    """Write a data file again without some people's rows; None if it has no others."""
    with parquet.reading(file.path):
        rows = parquet.read_together(table, [storage.read(file.path)])
    rest = rows.filter(pc.invert(of_people(table, rows, people)))
    return commit.write(table, file.lower[table.partition[0]], rest, ()) if rest.num_rows else None


def gold(engine: Engine, hours: Collection[datetime], after: View, commit: Commit) -> Gold:
    """Gold of some hours, recomputed a day at a time, which bounds what is in memory."""
    days: dict[date, list[datetime]] = defaultdict(list)
    for hour in hours:
        days[hour.date()].append(hour)
    parts = [engine.gold(GoldRequest([], some, after), commit) for some in days.values()]
    return Gold(
        {table.name: [file for part in parts for file in part.hourly[table.name]] for table in GOLD_HOURLY},
        frozenset(),
        frozenset(days),
        [file for part in parts for file in part.daily],
    )


def ledger_entries(view: View, after: View, found: PersonRows) -> dict[str, Entry]:
    """The ledger's entries of the source files concerned: lines that were accepted or quarantined are now erased.

    Lines that were dropped as duplicates of the people's events are not known one by one; they still count as duplicates.

    Args:
        view: The lake before the erasure.
        after: The lake without the people's rows.
        found: The people's rows.
    """
    accepted, quarantined = found.accepted, found.quarantined
    entries = ledger.read(view["ledger"])
    spans = _spans(after, sorted(accepted))
    changed = {}
    for path, lines in found.lines.items():
        entry = entries.get(path)
        if entry is None:
            continue  # the lake is damaged, which verify reports; the rows go all the same
        keys = erasures.without_keys(json.loads(entry.unknown_keys or "{}"), found.extras.get(path, ()))
        first, last = (
            spans.get(path, (None, None)) if path in accepted else (entry.min_event_time, entry.max_event_time)
        )
        if retention.lacks_events(view, entry):  # the earliest of all that it had says so
            first, last = entry.min_event_time, entry.max_event_time
        changed[path] = replace(
            entry,
            accepted=entry.accepted - accepted[path],
            quarantined=entry.quarantined - quarantined[path],
            erased=entry.erased + lines,
            unknown_keys=json.dumps(keys, ensure_ascii=False) if keys else None,
            min_event_time=first,
            max_event_time=last,
        )
    return changed


def _spans(view: View, paths: Sequence[str]) -> dict[str, tuple[datetime, datetime]]:
    """The earliest and the latest event of some source files."""
    spans: dict[str, tuple[datetime, datetime]] = {}
    for file in view["events"].files:
        if not file.may_hold("source_file", paths):
            continue
        for path, first, last in _spans_in(file, view["events"].storage):
            earliest, latest = spans.get(path, (first, last))
            spans[path] = min(earliest, first), max(latest, last)
    return spans


def _spans_in(file: DataFile, storage: Storage) -> list[tuple[str, datetime, datetime]]:
    if file.lower["source_file"] == file.upper["source_file"]:
        return [(file.lower["source_file"], file.lower["event_time"], file.upper["event_time"])]
    with parquet.reading(file.path), storage.open(file.path) as stream:
        rows = parquet.read_together(EVENTS, [stream], ["source_file", "event_time"])
    spans = rows.group_by("source_file").aggregate([("event_time", "min"), ("event_time", "max")])
    return [(row["source_file"], row["event_time_min"], row["event_time_max"]) for row in spans.to_pylist()]
