"""One run, top to bottom: discover, plan, check, dedupe, aggregate, write, publish.

All tables of a batch, the ledger among them, become visible by one atomic swap of the lake's catalog. A kill anywhere before
it leaves the lake as it was, and the same files to be done again; whoever comes second in a race plans anew.
"""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from shoplake.engines.base import CheckedFile, DedupedFile, Engine, Progress
from shoplake.errors import ContractError, TransientError
from shoplake.ingestion import plan
from shoplake.ingestion.plan import Batch, Plan
from shoplake.ingestion.publish import Outcome, ledger_entry, publish, writing
from shoplake.ingestion.report import RunReport
from shoplake.lake import erasures, ledger
from shoplake.lake.catalog import Lake
from shoplake.lake.commits import LostRaceError
from shoplake.lake.ledger import Entry
from shoplake.lake.snapshots import View
from shoplake.settings import Settings
from shoplake.sources.base import Source

BREAKER_LINES = 1000
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
    if run.lake.view().catalog or run.source.list():
        with writing(run.lake, run.watchers.note):
            _ingest(run, report, None if only is None else set(only))
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
        except (ContractError, TransientError):
            raise
        except Exception as error:
            if run.lake.view().catalog == view.catalog:
                raise
            # An erasure removes at once what this run may have been reading, and an engine has errors of its own for that.
            run.watchers.note(f"the lake changed meanwhile ({error}); planning anew")
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
    latest, erased = latest_event(run.settings, now), erasures.read(base["erasures"])
    checked = engine.check(run.source, batch.files, latest, erased, run.watchers.progress)
    checked = [result for result in checked if not _left_alone(run, batch, result, report)]
    if not checked:
        return base, False
    batch = batch.only(result.file for result in checked)
    try:
        _breaker(checked, run.settings)
        files, conflicts = engine.dedupe(checked, base["events"])
    except BaseException:
        engine.discard(checked)
        raise
    del checked  # its rows hold the duplicates, too
    try:
        earlier = ledger.read(base["ledger"]) if batch.known or conflicts else {}
    except BaseException:
        engine.discard(files)
        raise
    batch_id = run.new_id()
    entries = {}
    for result in files:
        path = result.file.path
        arrived = earlier[path].arrived_at if path in batch.again else now
        entries[path] = ledger_entry(result, arrived, batch_id, engine.name)
    reopened = _reopened(run, batch, conflicts, earlier, entries)
    outcome = Outcome(batch_id, now, files, batch.known, entries | reopened)
    view, hours = publish(run.lake, engine, base, outcome)
    _add(report, files, batch, hours)
    run.watchers.committed(report, view)
    return view, bool(reopened)


def latest_event(settings: Settings, now: datetime) -> datetime:
    """The latest time that an event may have."""
    try:
        return now + timedelta(hours=settings.max_future_hours)
    except OverflowError:
        return datetime.max  # noqa: DTZ901 - times of the lake are UTC without a zone


def _left_alone(run: Run, batch: Batch, result: CheckedFile, report: RunReport) -> bool:
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


def _breaker(checked: Sequence[CheckedFile], settings: Settings) -> None:
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


def _reasons(checked: Sequence[CheckedFile]) -> Counter[str]:
    return Counter(code for result in checked for line in result.quarantined for code in line.reasons)


def _reopened(
    run: Run,
    batch: Batch,
    conflicts: frozenset[tuple[str, str]],
    earlier: dict[str, Entry],
    fresh: dict[str, Entry],
) -> dict[str, Entry]:
    """Files that another batch must do again, so that the result does not depend on the order of arrival.

    These are files whose duplicates point at a file that changed now, and pairs of files of which the later one by name
    holds an event of the earlier one. A file changed when its object was replaced, or when the same object ends otherwise
    than before: also one that had been reopened, since further files may have come that point at it.
    """
    changed = batch.replaced | {path for path in batch.again if _ends(earlier[path]) != _ends(fresh[path])}
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


def _ends(entry: Entry) -> tuple[object, ...]:
    """What became of a file's lines."""
    return (*entry.figures, *entry.duplicates_of)


def _add(report: RunReport, files: Sequence[DedupedFile], batch: Batch, hours: int) -> None:
    report.batches += 1
    report.files += sum(1 for result in files if not result.error)
    report.replaced += len(batch.replaced)
    report.bytes += batch.bytes
    report.hours += hours
    for result in files:
        report.lines += result.lines
        report.accepted += result.accepted
        report.duplicates += result.duplicates
        report.quarantined += len(result.quarantined)
        report.erased += result.erased
        if result.error:
            report.failures.append({"file": result.file.path, "error": result.error})
        for key, number in result.unknown_keys.items():
            report.unknown_keys[key] = report.unknown_keys.get(key, 0) + number
    for code, number in _reasons(files).items():
        report.reasons[code] = report.reasons.get(code, 0) + number
