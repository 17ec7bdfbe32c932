"""How a batch becomes visible: its events, its quarantine, the gold of its hours and its ledger entries, by one swap."""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, datetime

import pyarrow as pa

from shoplake.engines.base import DedupedFile, Engine, Gold, GoldRequest
from shoplake.engines.quarantined import FILE_BYTES, as_rows
from shoplake.lake import ledger, retention
from shoplake.lake.catalog import Lake
from shoplake.lake.commits import Commit
from shoplake.lake.hours import start_of_hour
from shoplake.lake.ledger import Entry
from shoplake.lake.parquet import NewFile
from shoplake.lake.settled import Settled
from shoplake.lake.snapshots import BATCH, SECONDS, View
from shoplake.tables import ACTIVITY_DAILY, EVENTS, GOLD_HOURLY, LEDGER, QUARANTINE, UNIT_TABLES


@dataclass(frozen=True)
class Outcome:
    """What became of a batch, to be published.

    Attributes:
        batch: The batch's id.
        now: The time, UTC without a zone.
        files: Its files, their duplicates dropped.
        known: Those of its paths that the lake knows: what it holds of them goes.
        entries: The ledger's new entries: of the batch's files, and of known files whose status changes.
        began: When work on it began, as ``time.perf_counter`` tells it.
        source: What the lake knows the files' source by; empty where they come from the lake itself.
        settles: What of the source is settled with it, if that is known.
    """

    batch: str
    now: datetime
    files: Sequence[DedupedFile]
    known: frozenset[str]
    entries: dict[str, Entry]
    began: float
    source: str = ""
    settles: Settled | None = None


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
        losing = {start_of_hour(file.lower["event_time"]) for file in commit.files_with(EVENTS, known)}
        # Late events of a closed day are stored until retention removes them; its totals stay (docs/adr/0023).
        hours = retention.open_hours(base, losing.union(*(result.hours for result in files)))
        with ThreadPoolExecutor(1) as pool:  # both have steps that one core does alone
            events = pool.submit(engine.write_events, files, commit)
            gold = engine.gold(GoldRequest(files, hours, base, _grown(hours, losing)), commit) if hours else None
        commit.replace(EVENTS, known, events.result())
        _quarantine(commit, outcome)
        if gold:
            publish_gold(commit, gold, hours)
        others = outcome.entries.keys() - {result.file.path for result in files}
        took = {SECONDS: f"{time.perf_counter() - outcome.began:.3f}"}  # all but the swap itself
        ledger.write(commit, known | others, outcome.entries, outcome.now, took, outcome.settles)
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
        quarantined=result.broken,
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


def _grown(hours: Collection[datetime], losing: Collection[datetime]) -> frozenset[datetime]:
    """Hours of the days on which nothing goes that the lake holds."""
    days = {hour.date() for hour in losing}
    return frozenset(hour for hour in hours if hour.date() not in days)


def _quarantine(commit: Commit, outcome: Outcome) -> None:
    """Replace the files' quarantined lines. They arrived when their file did, also when it is done again."""
    days: dict[date, list[pa.Table]] = {}
    new: list[NewFile] = []
    for result in outcome.files:
        arrived = outcome.entries[result.file.path].arrived_at
        parts = days.setdefault(arrived.date(), [])
        if result.written:
            commit.adopt(result.written.files)
            new += result.written.files
        for batch in result.quarantined.batches(FILE_BYTES):
            if parts and sum(part.nbytes for part in parts) + batch.nbytes > FILE_BYTES:
                new.append(commit.write(QUARANTINE, arrived, pa.concat_tables(parts)))
                parts.clear()
            parts.append(as_rows(result.file.path, batch, arrived, outcome.batch))
    new += [commit.write(QUARANTINE, day, pa.concat_tables(parts)) for day, parts in days.items() if parts]
    commit.replace(QUARANTINE, outcome.known, new)


def publish_gold(commit: Commit, gold: Gold, hours: Collection[datetime]) -> None:
    """Stage new gold; the events that it was computed from are staged already, or stay as they are."""
    computed_from = {"shoplake.events-snapshot": str(commit.snapshot_id("events"))}
    for table in GOLD_HOURLY:
        replaced = set(hours) - gold.parts if table in UNIT_TABLES else hours
        commit.replace(table, replaced, gold.hourly[table.name], properties=computed_from)
    commit.replace(ACTIVITY_DAILY, gold.days, gold.daily, properties=computed_from)
