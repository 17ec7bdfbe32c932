"""How a batch becomes visible: its events, its quarantine, the gold of its hours and its ledger entries, by one swap."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import pyarrow as pa

from shoplake.engines.base import DedupedFile, Engine, Gold
from shoplake.lake import ledger, raw_lines
from shoplake.lake.catalog import Lake
from shoplake.lake.commits import Commit
from shoplake.lake.hours import start_of_hour
from shoplake.lake.ledger import Entry
from shoplake.lake.parquet import arrow_schema
from shoplake.lake.snapshots import BATCH, DataFile, View
from shoplake.tables import ACTIVITY_DAILY, EVENTS, GOLD_HOURLY, LEDGER, QUARANTINE


@dataclass(frozen=True)
class Outcome:
    """What became of a batch, to be published.

    Attributes:
        batch: The batch's id.
        now: The time, UTC without a zone.
        files: Its files, their duplicates dropped.
        known: Those of its paths that the lake knows: what it holds of them goes.
        entries: The ledger's new entries: of the batch's files, and of known files whose status changes.
        source: What the lake knows the files' source by; empty where they come from the lake itself.
    """

    batch: str
    now: datetime
    files: Sequence[DedupedFile]
    known: frozenset[str]
    entries: dict[str, Entry]
    source: str = ""


def publish(lake: Lake, engine: Engine, base: View, outcome: Outcome) -> tuple[View, int]:
    """Write a batch and make it visible, all of it at once.

    Args:
        lake: The lake.
        engine: What judged the batch.
        base: What the batch was planned from.
        outcome: What became of it.

    Returns:
        The lake as it is then, and how many hours of gold were rewritten.

    Raises:
        LostRaceError: The lake changed meanwhile; nothing was changed.
    """
    files, known = outcome.files, outcome.known
    with Commit(lake, base, outcome.now, {BATCH: outcome.batch, "shoplake.engine": engine.name}) as commit:
        hours = _touched_hours(files, commit.files_with(EVENTS, known))
        events = engine.write_events(files, commit)
        gold = engine.gold(files, hours, base, commit) if hours else None
        commit.replace(EVENTS, known, events)
        _quarantine(commit, outcome)
        if gold:
            publish_gold(commit, gold, hours)
        others = outcome.entries.keys() - {result.file.path for result in files}
        ledger.write(commit, known | others, outcome.entries, outcome.now)
        if outcome.source:
            commit.set_property(LEDGER, ledger.SOURCE, outcome.source)
        return commit.publish(), len(hours)


def ledger_entry(result: DedupedFile, arrived: datetime, batch: str, engine: str) -> Entry:
    """The entry of a file that was done.

    Args:
        result: What became of it.
        arrived: When this version of it was first ingested.
        batch: The batch's id.
        engine: The engine's name.
    """
    return Entry(
        source_file=result.file.path,
        version=result.file.version,
        bytes=result.file.bytes,
        status=ledger.UNREADABLE if result.error else ledger.INGESTED,
        error=result.error,
        lines=result.lines,
        accepted=result.accepted,
        duplicates=result.duplicates,
        quarantined=len(result.quarantined),
        erased=result.erased,
        unknown_keys=json.dumps(ledger.bounded(result.unknown_keys), ensure_ascii=False)
        if result.unknown_keys
        else None,
        duplicates_of=tuple(sorted(result.duplicates_of)),
        min_event_time=result.min_event_time,
        max_event_time=result.max_event_time,
        arrived_at=arrived,
        batch=batch,
        engine=engine,
        seconds=round(result.seconds, 3),
    )


def _touched_hours(files: Sequence[DedupedFile], losing: Sequence[DataFile]) -> frozenset[datetime]:
    """Hours that gain rows, and hours of the data files that lose the rows that the lake holds of files it knows."""
    hours = {hour for result in files for hour in result.hours}
    return frozenset(hours | {start_of_hour(file.lower["event_time"]) for file in losing})


def _quarantine(commit: Commit, outcome: Outcome) -> None:
    """Replace the files' quarantined lines. They arrived when their file did, also when it is done again."""
    days: dict[date, list[dict[str, Any]]] = {}
    for result in outcome.files:
        arrived = outcome.entries[result.file.path].arrived_at
        rows = days.setdefault(arrived.date(), [])
        for line in result.quarantined:
            raw, encoding = raw_lines.to_text(line.raw)
            rows.append(
                {
                    "source_file": result.file.path,
                    "line_number": line.line_number,
                    "raw": raw,
                    "encoding": encoding,
                    "reasons": list(line.reasons),
                    "arrived_at": arrived,
                    "batch": outcome.batch,
                }
            )
    schema = arrow_schema(QUARANTINE)
    new = [
        commit.write(QUARANTINE, rows[0]["arrived_at"], pa.Table.from_pylist(rows, schema=schema))
        for rows in days.values()
        if rows
    ]
    commit.replace(QUARANTINE, outcome.known, new)


def publish_gold(commit: Commit, gold: Gold, hours: Collection[datetime]) -> None:
    """Stage recomputed gold; the events that it was computed from are staged already, or stay as they are."""
    computed_from = {"shoplake.events-snapshot": str(commit.snapshot_id("events"))}
    for table in GOLD_HOURLY:
        commit.replace(table, hours, gold.hourly[table.name], properties=computed_from)
    commit.replace(ACTIVITY_DAILY, gold.days, gold.daily, properties=computed_from)
