"""The state of a lake: is it fresh, is it consistent, what failed, what is waiting, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from shoplake.health import checks
from shoplake.health.verdicts import Check, Verdict, worst
from shoplake.ingestion import discover, plan
from shoplake.lake import books, failure, settled
from shoplake.lake import gaps as known_gaps
from shoplake.lake.books import FATES, BatchSummary, Books
from shoplake.lake.catalog import Lake
from shoplake.lake.failure import Failure
from shoplake.lake.gaps import Acknowledged
from shoplake.lake.metadata import Snapshot
from shoplake.lake.notes import DEMO, Note
from shoplake.lake.snapshots import BATCH, SECONDS, View
from shoplake.settings import Settings
from shoplake.sources import slots
from shoplake.sources.base import Source
from shoplake.sources.listing import LeftOut, Listing
from shoplake.sources.slots import Gap
from shoplake.tables import TABLES
from shoplake.text import json_value

BATCHES = 10


@dataclass(frozen=True)
class Status:
    """The state of a lake.

    Attributes:
        lake: Its location.
        verdict: The worst of the checks: ok, warning or failed.
        checks: One for each question, with what to do.
        tables: Per table: rows, files, bytes, snapshots.
        ledger: Totals over the source files: files, unreadable, lines, accepted, duplicates, quarantined, erased.
        newest_event: The latest event, UTC; None in an empty lake.
        newest_arrival: When the newest file was ingested, UTC, leaving out arrivals in the future.
        freshness_seconds: Now minus the newest arrival.
        objective_minutes: How old the newest arrival may become.
        fresh: Whether it is younger than that, or the lake the demo's, and no file arrived in the future.
        demo: Whether the lake is the demo's, to which nothing arrives on its own.
        unreadable: The files that could not be read, with the reason.
        waiting: Files and bytes in the source that the next run would ingest, None without a source.
        reopened: Files to be re-ingested, so that of equal events the first file by name keeps its own.
        gaps: Ranges of five-minute slots without a file that are not acknowledged.
        acknowledged: The ranges that are acknowledged, with their reasons.
        last_failure: How the last run failed, None if it succeeded.
        batches: The last ones, newest first.
        left_out: What else the source has.
    """

    lake: str
    verdict: Verdict
    checks: list[Check]
    tables: dict[str, dict[str, int]]
    ledger: dict[str, int]
    newest_event: datetime | None
    newest_arrival: datetime | None
    freshness_seconds: float | None
    objective_minutes: float
    fresh: bool
    demo: bool
    unreadable: list[dict[str, str]]
    waiting: dict[str, int] | None
    reopened: int
    gaps: list[Gap]
    acknowledged: list[Acknowledged]
    last_failure: Failure | None
    batches: list[BatchSummary]
    left_out: tuple[LeftOut, ...] = ()

    @property
    def failed(self) -> bool:
        """Whether a check failed, which is worth waking somebody up for."""
        return self.verdict == Verdict.FAILED

    @property
    def gap_slots(self) -> int:
        """Five-minute slots without a file that are not acknowledged."""
        return sum(gap.slots for gap in self.gaps)

    def as_json(self) -> dict[str, Any]:
        """The state as the fixed JSON interface names it."""
        ranges = [{"from": gap.start, "to": gap.end, "slots": gap.slots} for gap in self.gaps]
        plain = {
            **vars(self),
            "checks": [
                {"check": check.name, "verdict": check.verdict, "sentence": check.detail, "remedy": check.remedy}
                for check in self.checks
            ],
            "gaps": {
                "slots": self.gap_slots,
                "ranges": ranges,
                "acknowledged": [one.as_json() for one in self.acknowledged],
            },
            "last_failure": self.last_failure and vars(self.last_failure),
            "batches": [vars(batch) for batch in self.batches],
            "left_out": [each.as_json() for each in self.left_out],
        }
        del plain["acknowledged"]
        return {key: json_value(value) for key, value in plain.items()}


def read(lake: Lake, source: Source | None, settings: Settings, now: datetime) -> Status:
    """Look at a lake.

    Args:
        lake: The lake.
        source: Where its files come from, to tell what is waiting.
        settings: The freshness objective and the size of batches.
        now: The time, UTC with a zone.
    """
    view = lake.need_view()
    ledger, moment = books.read(view["ledger"]), now.astimezone(UTC).replace(tzinfo=None)
    after = discover.settled_before(view, now, settings.sweep_minutes) if source else ""
    listing = source.list(after) if source else Listing()
    todo = plan.make(listing, ledger.plan_entries, settings.batch_bytes) if source else None
    acknowledged = known_gaps.read(lake)
    found = slots.gaps(dict.fromkeys((*ledger.paths, *(file.path for file in listing))))
    gaps = known_gaps.without(found, acknowledged)
    excused = sum(gap.slots for gap in found) - sum(gap.slots for gap in gaps)
    failed, demo = failure.read(lake), Note(lake, DEMO).read(dict) is not None
    swept = settled.read(view["ledger"]) if after else None
    sweep = swept.until(settings.sweep_minutes) if swept else None
    facts = checks.Facts(ledger, view, todo, gaps, excused, failed, demo, settings, moment, sweep)
    verdicts = checks.all_of(facts)
    arrival = facts.arrived.latest("arrived_at")
    age = (facts.now - arrival).total_seconds() if arrival else None
    return Status(
        lake=lake.root,
        verdict=worst(verdicts),
        checks=verdicts,
        tables=_tables(view),
        ledger=_totals(ledger),
        newest_event=ledger.latest("max_event_time"),
        newest_arrival=arrival,
        freshness_seconds=None if age is None else round(age, 3),
        objective_minutes=settings.freshness_minutes,
        fresh=next(check.verdict for check in verdicts if check.name == "fresh") == Verdict.OK,
        demo=demo,
        unreadable=[{"file": row["source_file"], "error": row["error"] or ""} for row in ledger.unreadable.each()],
        waiting={"files": todo.files, "bytes": todo.bytes} if todo else None,
        reopened=ledger.to_do,
        gaps=gaps,
        acknowledged=acknowledged,
        last_failure=failed,
        batches=_batches(view, ledger)[:BATCHES],
        left_out=todo.left_out if todo else (),
    )


def _tables(view: View) -> dict[str, dict[str, int]]:
    return {
        table.name: {
            "rows": view[table.name].rows,
            "files": view[table.name].file_count,
            "bytes": view[table.name].bytes,
            "snapshots": len(view[table.name].history),
        }
        for table in TABLES
    }


def _totals(ledger: Books) -> dict[str, int]:
    sums = {column: ledger.total(column) for column in ("lines", *FATES)}
    return {"files": ledger.files, "unreadable": ledger.unreadable.files, **sums}


def _batches(view: View, ledger: Books) -> list[BatchSummary]:
    """The latest batches in the ledger, newest first, with the time of commit and how long they took from its snapshots.

    Where that snapshot has expired, the latest arrival of the batch's files stands in, which is the same except for replays,
    and the time that its files took.
    """
    committed = {name: each for each in view["ledger"].history if (name := each["summary"].get(BATCH))}
    found = [_summary(batch, committed.get(batch.batch)) for batch in ledger.batches(committed, BATCHES)]
    return sorted(found, key=lambda batch: (batch.when, batch.batch), reverse=True)


def _summary(batch: BatchSummary, snapshot: Snapshot | None) -> BatchSummary:
    when, seconds = batch.when, batch.seconds
    if snapshot is not None:
        when = datetime.fromtimestamp(snapshot["timestamp-ms"] / 1000, UTC).replace(tzinfo=None)
        seconds = float(snapshot["summary"].get(SECONDS, seconds))
    return replace(batch, when=when, seconds=round(seconds, 3))
