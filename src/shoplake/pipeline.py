"""One run, top to bottom: discover, plan, check, dedupe, commit, publish, acknowledge.

A kill anywhere before the acknowledgement leaves the same files to be done again, with the same result: rows are replaced
by source file, gold is overwritten by hour, and readers follow the ledger, whose commit is the last.
"""

from __future__ import annotations

import base64
import json
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from shoplake import ledger, plan
from shoplake.discover import Source
from shoplake.engines.base import Checked, Engine, Gold, Progress
from shoplake.errors import ContractError, FatalError
from shoplake.lake import Lake
from shoplake.ledger import Entry
from shoplake.parquet import arrow_schema
from shoplake.plan import Batch, Plan
from shoplake.reports import RunReport
from shoplake.settings import Settings
from shoplake.snapshots import BATCH, PUBLISHED, DataFile, View
from shoplake.tables import ACTIVITY_DAILY, EVENTS, GOLD_HOURLY, LEDGER, QUARANTINE, TABLES

if TYPE_CHECKING:
    from shoplake.commits import Commits

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
    """

    planned: Callable[[Plan], None] = _silent
    progress: Progress = _silent
    note: Callable[[str], None] = _silent


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


def preview(run: Run) -> Plan:
    """What a run would do now; changes nothing."""
    known = ledger.known(run.lake.published()["ledger"]) if run.lake.exists() else {}
    return plan.make(run.source.list(), known, run.settings.batch_bytes)


def ingest(run: Run) -> RunReport:
    """Ingest all that is new in the source, exactly once in effect.

    Raises:
        ContractError: The breaker stopped a batch; earlier batches of the run are done, this one changed nothing.
        TransientError: Another writer, not shoplake, changed a table meanwhile; running again plans anew.
        FatalError: The lake cannot be read or written.
    """
    started = time.perf_counter()
    report = RunReport()
    try:
        if run.lake.exists() or run.source.list():
            with run.lake.writing(run.watchers.note):
                _ingest(run, report)
    except OSError as error:
        raise FatalError(
            f"the lake {run.lake.path} cannot be written to: {error.strerror or error}",
            remedy="Check disk space and permissions, then run the same command: it takes up where this run stopped.",
        ) from error
    report.seconds = time.perf_counter() - started
    return report


def _ingest(run: Run, report: RunReport) -> None:
    todo = preview(run)
    left = run.lake.unacknowledged()
    run.watchers.planned(todo)
    if not todo.batches and not left:
        return
    opening = _Opening(run.lake)
    if left:
        run.watchers.note(f"undoing what a killed run left unacknowledged in {', '.join(left)}")
        opening.commits().undo(left)
    engine = run.engine()
    for _ in range(MAX_PASSES):
        reopened = [_do(run, engine, opening, batch, report) for batch in todo.batches]
        if not any(reopened):
            return
        todo = preview(run)
        run.watchers.planned(todo)
    raise FatalError(
        f"files were still being reopened after {MAX_PASSES} passes: {', '.join(todo.reopened[:5])}",
        remedy="This is a bug of shoplake; please report it. The lake is as the last batch left it, and consistent.",
    )


def _do(run: Run, engine: Engine, opening: _Opening, batch: Batch, report: RunReport) -> bool:
    """Take one batch from raw files to acknowledged; says whether files were reopened for another batch."""
    checked = engine.check(run.source, batch.files, run.watchers.progress)
    checked = [result for result in checked if not _note_gone(run, result)]
    if not checked:
        return False
    paths = frozenset(result.file.path for result in checked)
    _breaker(checked, run.settings)
    commits = opening.commits()
    base = run.lake.current()
    conflicts = engine.dedupe(checked, base["events"].files)
    arrived_at = run.now().replace(tzinfo=None)
    properties = {BATCH: run.new_id(), "shoplake.engine": engine.name}
    hours = _touched_hours(checked, base["events"].files, paths)
    stored: dict[str, Sequence[DataFile]] = {
        name: base[name].files for name in ("events", "user_hourly", "session_hourly")
    }
    gold = engine.gold(checked, hours, stored, commits.new_path) if hours else None
    new_events = engine.write_events(checked, commits.new_path)
    _commit_quarantine(engine, commits, checked, paths, arrived_at, properties)
    commits.replace(EVENTS, paths if _holding(base["events"].files, paths) else (), new_events, properties)
    if gold:
        _publish(commits, gold, hours, properties)
    entries = {result.file.path: _entry(result, arrived_at, properties) for result in checked}
    reopened = _reopened(run, base, batch, conflicts, entries)
    _acknowledge(engine, commits, base, entries | reopened, arrived_at, properties)
    _add(report, checked, batch, len(hours))
    return bool(reopened)


class _Opening:
    """Opens the lake's tables in the background: importing the table library takes most of a second."""

    def __init__(self, lake: Lake) -> None:
        self._commits: Commits | None = None
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._open, args=(lake,), name="open-lake")
        self._thread.start()

    def _open(self, lake: Lake) -> None:
        try:
            from shoplake.commits import Commits

            self._commits = Commits(lake)
        except Exception as error:  # noqa: BLE001 - handed to the thread that asks
            self._error = error

    def commits(self) -> Commits:
        self._thread.join()
        if self._commits is None:
            raise FatalError(f"the lake's catalog cannot be opened: {self._error}") from self._error
        return self._commits


def _note_gone(run: Run, result: Checked) -> bool:
    if result.gone:
        run.watchers.note(f"{result.file.path} was deleted before it could be read; left out")
    return result.gone


def _breaker(checked: Sequence[Checked], settings: Settings) -> None:
    lines = sum(result.lines for result in checked)
    quarantined = sum(len(result.quarantined) for result in checked)
    if lines < BREAKER_LINES or quarantined <= settings.max_quarantine_rate * lines:
        return
    top = ", ".join(f"{code} {number:,}" for code, number in _reasons(checked).most_common(5))
    raise ContractError(
        f"{quarantined:,} of {lines:,} lines ({quarantined / lines:.0%}) break the contract; the batch was stopped before"
        f" it changed anything. Reasons: {top}",
        remedy="A producer is broken or its format has changed. To quarantine the lines and go on:"
        " SHOPLAKE_MAX_QUARANTINE_RATE=1 shoplake ingest ...",
    )


def _reasons(checked: Sequence[Checked]) -> Counter[str]:
    return Counter(code for result in checked for line in result.quarantined for code in line.reasons)


def _touched_hours(checked: Sequence[Checked], files: Sequence[DataFile], paths: frozenset[str]) -> frozenset[datetime]:
    """Hours that gain rows, and hours whose stored rows of the batch's files go."""
    hours = {hour for result in checked for hour in result.hours}
    hours |= {file.lower["event_time"].replace(minute=0, second=0, microsecond=0) for file in _holding(files, paths)}
    return frozenset(hours)


def _holding(files: Sequence[DataFile], paths: frozenset[str]) -> list[DataFile]:
    """The data files of events that may hold rows of the given source files."""
    return [
        file
        for file in files
        if file.lower["source_file"] in paths
        or (
            file.lower["source_file"] != file.upper["source_file"]
            and any(file.lower["source_file"] <= path <= file.upper["source_file"] for path in paths)
        )
    ]


def _commit_quarantine(
    engine: Engine,
    commits: Commits,
    checked: Sequence[Checked],
    paths: frozenset[str],
    arrived_at: datetime,
    properties: dict[str, str],
) -> None:
    rows = [
        {
            "source_file": result.file.path,
            "line_number": line.line_number,
            **_raw_text(line.raw),
            "reasons": list(line.reasons),
            "arrived_at": arrived_at,
            "batch": properties[BATCH],
        }
        for result in checked
        for line in result.quarantined
    ]
    new = []
    if rows:
        path = commits.new_path(QUARANTINE, f"arrived_at_day={arrived_at:%Y-%m-%d}")
        new.append(engine.write(QUARANTINE, pa.Table.from_pylist(rows, schema=arrow_schema(QUARANTINE)), path))
    commits.replace(QUARANTINE, paths, new, properties)


def _raw_text(raw: bytes) -> dict[str, str]:
    try:
        return {"raw": raw.decode("utf-8"), "encoding": "utf-8"}
    except UnicodeDecodeError:
        return {"raw": base64.b64encode(raw).decode("ascii"), "encoding": "base64"}


def _publish(commits: Commits, gold: Gold, hours: frozenset[datetime], properties: dict[str, str]) -> None:
    computed_from = {**properties, "shoplake.events-snapshot": str(commits.snapshot_id("events"))}
    for table in GOLD_HOURLY:
        commits.replace(table, hours, gold.hourly[table.name], computed_from)
    commits.replace(ACTIVITY_DAILY, gold.days, gold.daily, computed_from)


def _entry(result: Checked, arrived_at: datetime, properties: dict[str, str]) -> Entry:
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
        duplicates_of=tuple(sorted(result.duplicates_of)),
        min_event_time=result.min_event_time,
        max_event_time=result.max_event_time,
        arrived_at=arrived_at,
        batch=properties[BATCH],
        engine=properties["shoplake.engine"],
        seconds=round(result.seconds, 3),
    )


def _reopened(
    run: Run, base: View, batch: Batch, conflicts: frozenset[tuple[str, str]], fresh: dict[str, Entry]
) -> dict[str, Entry]:
    """Files that another batch must do again, so that the result does not depend on the order of arrival.

    These are files whose duplicates point at a file replaced now, and pairs of files of which the later one by name holds
    an event of the earlier one.
    """
    if not batch.replaced and not conflicts:
        return {}
    there = {file.path for file in run.source.list()}
    entries = ledger.read(base["ledger"]) | fresh
    again = ledger.dependents(entries, set(batch.replaced)) - set(fresh)
    for pair in conflicts:
        if there.issuperset(pair):
            again.update(pair)
            again |= ledger.dependents(entries, set(pair))
    return {path: replace(entries[path], status=ledger.REOPENED) for path in again & set(entries) & there}


def _acknowledge(
    engine: Engine,
    commits: Commits,
    base: View,
    entries: dict[str, Entry],
    arrived_at: datetime,
    properties: dict[str, str],
) -> None:
    """Write the ledger, and with it the set of snapshots that belongs to this batch.

    Now and then the month's small files are merged into one on the way, so that reading the ledger stays cheap.
    """
    rows = ledger.as_rows(entries.values())
    month = [file for file in base["ledger"].files if f"{file.lower['arrived_at']:%Y-%m}" == f"{arrived_at:%Y-%m}"]
    merge = {file.path for file in month} if len(month) >= LEDGER_FILES else set()
    if merge:
        earlier = pa.concat_tables([ledger.read_file(path) for path in sorted(merge)])
        keep = pc.invert(pc.is_in(earlier.column("source_file"), pa.array(list(entries))))
        rows = pa.concat_tables([earlier.filter(keep), rows])
    belongs = {table.name: commits.snapshot_id(table.name) for table in TABLES if table is not LEDGER}
    new = engine.write(LEDGER, rows, commits.new_path(LEDGER, f"arrived_at_month={arrived_at:%Y-%m}"))
    commits.replace(LEDGER, set(entries), [new], {**properties, PUBLISHED: json.dumps(belongs)}, merge=merge)


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
    for code, number in _reasons(checked).items():
        report.reasons[code] = report.reasons.get(code, 0) + number
