"""One run, top to bottom: discover, plan, check, dedupe, aggregate, write, publish.

All tables of a batch, the ledger among them, become visible by one atomic swap of the lake's catalog. A kill anywhere before
it leaves the lake as it was, and the same files to be done again; whoever comes second in a race plans anew.
"""

from __future__ import annotations

import base64
import json
import time
import uuid
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from shoplake import ledger, plan
from shoplake.commits import Commit, LostRaceError
from shoplake.discover import Source
from shoplake.engines.base import Checked, Engine, Gold, Progress
from shoplake.errors import ContractError, FatalError, TransientError
from shoplake.lake import Lake
from shoplake.ledger import Entry
from shoplake.parquet import arrow_schema
from shoplake.plan import Batch, Plan
from shoplake.reports import RunReport
from shoplake.settings import Settings
from shoplake.snapshots import BATCH, DataFile, View
from shoplake.tables import ACTIVITY_DAILY, EVENTS, GOLD_HOURLY, LEDGER, QUARANTINE

BREAKER_LINES = 1000
LEDGER_FILES = 32
MAX_PASSES = 20


def _silent(*_: object) -> None:
    return


@dataclass(frozen=True)
class Watchers:
    """Who is told what during a run. Each may be left out.

    Attributes:
        planned: The plan, before any work.
        progress: Compressed bytes read and lines judged, since the last call; called from several threads.
        note: A sentence worth showing, such as who is being waited for.
        committed: What the run did so far and the lake as it is now, after each batch.
    """

    planned: Callable[[Plan], None] = _silent
    progress: Progress = _silent
    note: Callable[[str], None] = _silent
    committed: Callable[[RunReport, View], None] = _silent


@dataclass(frozen=True)
class Run:
    """Everything a run stands on; clock and ids are passed in.

    Attributes:
        lake: Where the tables are.
        source: Where the raw files are.
        engine: What computes.
        settings: Bounds and thresholds.
        watchers: Who is told.
        now: The time, UTC with a zone.
        new_id: A new id for each batch.
    """

    lake: Lake
    source: Source
    engine: Callable[[], Engine]
    settings: Settings
    watchers: Watchers = Watchers()
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    new_id: Callable[[], str] = lambda: uuid.uuid4().hex[:12]


def preview(run: Run, only: Collection[str] | None = None) -> Plan:
    """What a run would do now; changes nothing."""
    return _plan(run, run.lake.view(), only)


def ingest(run: Run, only: Collection[str] | None = None) -> RunReport:
    """Ingest all that is new in the source, exactly once in effect.

    Args:
        run: What it stands on.
        only: Take on these source files instead, known or not; what the lake holds of them is replaced.

    Raises:
        ContractError: The breaker stopped a batch; earlier batches of the run are done, this one changed nothing.
        TransientError: Other runs changed the lake faster than this one could.
        FatalError: The lake cannot be read or written.
    """
    started = time.perf_counter()
    report = RunReport()
    try:
        if run.lake.view().catalog or run.source.list():
            with run.lake.writing(run.watchers.note):
                _ingest(run, report, None if only is None else set(only))
    except OSError as error:
        raise FatalError(
            f"the lake {run.lake.root} cannot be written to: {error.strerror or error}",
            remedy="Check disk space and permissions, then run the same command: it takes up where this run stopped.",
        ) from error
    report.seconds = time.perf_counter() - started
    return report


def _plan(run: Run, view: View, only: Collection[str] | None) -> Plan:
    return plan.make(run.source.list(), ledger.known(view["ledger"]), run.settings.batch_bytes, only)


def _ingest(run: Run, report: RunReport, left: set[str] | None) -> None:
    engine: Engine | None = None
    for _ in range(MAX_PASSES):
        view = run.lake.create()
        todo = _plan(run, view, left)
        run.watchers.planned(todo)
        engine = engine or (run.engine() if todo.batches else None)
        if engine is None:
            return
        reopened = False
        try:
            for batch in todo.batches:
                view, again = _do(run, engine, view, batch, report)
                reopened |= again
                if left:
                    left.difference_update(file.path for file in batch.files)
        except LostRaceError as error:
            run.watchers.note(f"{error}; planning anew")
            continue
        if not reopened:
            return
    raise TransientError(
        f"after {MAX_PASSES} plans there was still something to do",
        remedy="Other runs change the lake all the time, or files are replaced all the time. Run it again later.",
    )


def _do(run: Run, engine: Engine, base: View, batch: Batch, report: RunReport) -> tuple[View, bool]:
    """Take one batch from raw files to published; returns the lake after it, and whether files were reopened."""
    now = run.now().replace(tzinfo=None)
    checked = engine.check(run.source, batch.files, _latest(run, now), run.watchers.progress)
    checked = [result for result in checked if not _left_alone(run, batch, result, report)]
    if not checked:
        return base, False
    batch = batch.only(result.file for result in checked)
    try:
        _breaker(checked, run.settings)
        conflicts = engine.dedupe(checked, base["events"].within)
    except BaseException:
        engine.discard(checked)
        raise
    batch_id = run.new_id()
    with Commit(run.lake, base, now, {BATCH: batch_id, "shoplake.engine": engine.name}) as commit:
        hours = _touched_hours(checked, commit.holding(EVENTS, batch.known))
        events = engine.write_events(checked, commit)
        gold = engine.gold(checked, hours, base, commit) if hours else None
        commit.replace(EVENTS, batch.known, events)
        _quarantine(commit, checked, batch, now, batch_id)
        if gold:
            _publish_gold(commit, gold, hours)
        earlier = ledger.read(base["ledger"]) if batch.known or conflicts else {}
        arrived = {path: earlier[path].arrived_at for path in batch.again}
        entries = {
            result.file.path: _entry(result, arrived.get(result.file.path, now), batch_id, engine.name)
            for result in checked
        }
        reopened = _reopened(run, batch, conflicts, earlier, entries)
        _record(commit, base, batch.known | set(reopened), entries | reopened, now)
        view = commit.publish()
    _add(report, checked, batch, len(hours))
    run.watchers.committed(report, view)
    return view, bool(reopened)


def _latest(run: Run, now: datetime) -> datetime:
    """The latest time that an event may have."""
    try:
        return now + timedelta(hours=run.settings.max_future_hours)
    except OverflowError:
        return datetime.max  # noqa: DTZ901 - times of the lake are UTC without a zone


def _left_alone(run: Run, batch: Batch, result: Checked, report: RunReport) -> bool:
    """Whether a file stays as it is: its object is gone, or could be read before and cannot now."""
    path = result.file.path
    if not result.gone and not (result.error and path in batch.again):
        return False
    why = (
        f"{result.error} before it could be read"
        if result.gone
        else f"could be read before and cannot now ({result.error})"
    )
    run.watchers.note(f"{path} {why}; left as it is")
    if path in batch.again:
        report.failures.append({"file": path, "error": why})
    return True


def _breaker(checked: Sequence[Checked], settings: Settings) -> None:
    lines = sum(result.lines for result in checked)
    quarantined = sum(len(result.quarantined) for result in checked)
    if lines < BREAKER_LINES or quarantined <= settings.max_quarantine_rate * lines:
        return
    top = ", ".join(f"{code} {number:,}" for code, number in _reasons(checked).most_common(5))
    raise ContractError(
        f"{quarantined:,} of {lines:,} lines ({quarantined / lines:.0%}) break the contract; the batch was stopped before"
        f" it changed anything. Reasons: {top}",
        remedy="A producer is broken or its format has changed. To quarantine the lines and go on, give"
        " --max-quarantine-rate 1.",
    )


def _reasons(checked: Sequence[Checked]) -> Counter[str]:
    return Counter(code for result in checked for line in result.quarantined for code in line.reasons)


def _touched_hours(checked: Sequence[Checked], losing: Sequence[DataFile]) -> frozenset[datetime]:
    """Hours that gain rows, and hours of the data files that lose the rows that the lake holds of files it knows."""
    hours = {hour for result in checked for hour in result.hours}
    return frozenset(hours | {file.lower["event_time"].replace(minute=0, second=0, microsecond=0) for file in losing})


def _quarantine(commit: Commit, checked: Sequence[Checked], batch: Batch, now: datetime, batch_id: str) -> None:
    rows = [
        {
            "source_file": result.file.path,
            "line_number": line.line_number,
            **_raw_text(line.raw),
            "reasons": list(line.reasons),
            "arrived_at": now,
            "batch": batch_id,
        }
        for result in checked
        for line in result.quarantined
    ]
    new = [commit.write(QUARANTINE, now, pa.Table.from_pylist(rows, schema=arrow_schema(QUARANTINE)))] if rows else []
    commit.replace(QUARANTINE, batch.known, new)


def _raw_text(raw: bytes) -> dict[str, str]:
    try:
        return {"raw": raw.decode("utf-8"), "encoding": "utf-8"}
    except UnicodeDecodeError:
        return {"raw": base64.b64encode(raw).decode("ascii"), "encoding": "base64"}


def _publish_gold(commit: Commit, gold: Gold, hours: frozenset[datetime]) -> None:
    computed_from = {"shoplake.events-snapshot": str(commit.snapshot_id("events"))}
    for table in GOLD_HOURLY:
        commit.replace(table, hours, gold.hourly[table.name], properties=computed_from)
    commit.replace(ACTIVITY_DAILY, gold.days, gold.daily, properties=computed_from)


def _entry(result: Checked, arrived: datetime, batch_id: str, engine: str) -> Entry:
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
        unknown_keys=json.dumps(result.unknown_keys, ensure_ascii=False) if result.unknown_keys else None,
        duplicates_of=tuple(sorted(result.duplicates_of)),
        min_event_time=result.min_event_time,
        max_event_time=result.max_event_time,
        arrived_at=arrived,
        batch=batch_id,
        engine=engine,
        seconds=round(result.seconds, 3),
    )


def _reopened(
    run: Run,
    batch: Batch,
    conflicts: frozenset[tuple[str, str]],
    earlier: dict[str, Entry],
    fresh: dict[str, Entry],
) -> dict[str, Entry]:
    """Files that another batch must do again, so that the result does not depend on the order of arrival.

    These are files whose duplicates point at a file that changed now, and pairs of files of which the later one by name
    holds an event of the earlier one. A file changed when its object was replaced, or when the same object is judged
    otherwise than before.
    """
    changed = batch.replaced | {
        path
        for path in batch.again
        if earlier[path].status == ledger.INGESTED and earlier[path].figures != fresh[path].figures
    }
    if not changed and not conflicts:
        return {}
    entries = earlier | fresh
    again = ledger.dependents(entries, set(changed)) - set(fresh)
    paired: set[str] = set().union(*conflicts)
    there = run.source.still_there(again | paired | ledger.dependents(entries, paired))
    for pair in conflicts:
        if there.issuperset(pair):
            again.update(pair)
            again |= ledger.dependents(entries, set(pair))
    return {path: replace(entries[path], status=ledger.REOPENED) for path in again & set(entries) & there}


def _record(commit: Commit, base: View, known: Collection[str], entries: dict[str, Entry], now: datetime) -> None:
    """Write the ledger: entries of new files, and new entries of known ones.

    Now and then the month's small files are merged into one on the way, so that reading the ledger stays cheap.
    """
    rows = ledger.as_rows(entries.values())
    month = [file for file in base["ledger"].files if f"{file.lower['arrived_at']:%Y-%m}" == f"{now:%Y-%m}"]
    merge = month if len(month) >= LEDGER_FILES else []
    if merge:
        earlier = ledger.rows_of(base["ledger"], merge)
        keep = pc.invert(pc.is_in(earlier.column("source_file"), pa.array(list(entries))))
        rows = pa.concat_tables([earlier.filter(keep), rows])
    months = pc.floor_temporal(rows.column("arrived_at"), unit="month")
    new = [commit.write(LEDGER, month, rows.filter(pc.equal(months, month))) for month in pc.unique(months).to_pylist()]
    commit.replace(LEDGER, known, new, merge={file.path for file in merge})


def _add(report: RunReport, checked: Sequence[Checked], batch: Batch, hours: int) -> None:
    report.batches += 1
    report.files += sum(1 for result in checked if not result.error)
    report.replaced += len(batch.replaced)
    report.bytes += batch.bytes
    report.hours += hours
    for result in checked:
        report.lines += result.lines
        report.accepted += result.accepted
        report.duplicates += result.duplicates
        report.quarantined += len(result.quarantined)
        if result.error:
            report.failures.append({"file": result.file.path, "error": result.error})
        for key, number in result.unknown_keys.items():
            report.unknown_keys[key] = report.unknown_keys.get(key, 0) + number
    for code, number in _reasons(checked).items():
        report.reasons[code] = report.reasons.get(code, 0) + number
