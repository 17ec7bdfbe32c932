"""One run, top to bottom: discover, plan, check, dedupe, aggregate, write, publish.

All tables of a batch, the ledger among them, become visible by one atomic swap of the lake's catalog. A kill anywhere before
it leaves the lake as it was, with the same files still to be ingested. A run that loses a race plans again.
"""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from shoplake.engines.base import Arrival, CheckedFile, CheckRequest, Deduped, DedupedFile, Engine, Progress, ignore
from shoplake.errors import TransientError, UsageError
from shoplake.ingestion import breaker, discover, plan
from shoplake.ingestion.plan import Batch, Plan
from shoplake.ingestion.publish import Outcome, ledger_entry, publish
from shoplake.ingestion.report import BatchReport, RunReport
from shoplake.lake import erasures, failure, ledger
from shoplake.lake.catalog import Lake
from shoplake.lake.ledger import Entry
from shoplake.lake.settled import Settled
from shoplake.lake.snapshots import View
from shoplake.lake.transact import transact, writing
from shoplake.settings import Settings
from shoplake.sources.base import Source, SourceFile
from shoplake.sources.listing import LeftOut
from shoplake.sources.open import known_as

MAX_PASSES = 20
SET_ASIDE = "set aside by hand"


@dataclass(frozen=True)
class Watchers:
    """Who is told what during a run. Each may be left out.

    Attributes:
        planned: The plan, before any work.
        progress: Compressed bytes read and lines judged, since the last call; called from several threads.
        note: A sentence worth showing, such as who is being waited for.
        committed: What the run did so far and the lake as it is now, after each batch.
    """

    planned: Callable[[Plan], None] = ignore
    progress: Progress = ignore
    note: Callable[[str], None] = ignore
    committed: Callable[[RunReport, View], None] = ignore


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
        set_aside: Paths of source files that are due and are not read, but set aside like unreadable ones, until they are
            replaced.
        announced: Paths of source files that are said to be there. If one is older than what runs between sweeps look at,
            this run looks at everything.
    """

    lake: Lake
    source: Source
    engine: Callable[[], Engine]
    settings: Settings
    watchers: Watchers = Watchers()
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    new_id: Callable[[], str] = lambda: uuid.uuid4().hex[:12]
    set_aside: frozenset[str] = frozenset()
    announced: frozenset[str] = frozenset()


def preview(run: Run, only: Collection[str] | None = None) -> Plan:
    """What a run would do now; changes nothing."""
    view = run.lake.view()
    return discover.look(run.source, run.lake, run.settings, view, only, _after(run, view, only, run.now())).plan


def ingest(run: Run, only: Collection[str] | None = None) -> RunReport:
    """Ingest all that is new in the source, exactly once in effect.

    If that fails, the lake remembers why until it succeeds; an interrupted run has not failed, the next one does the rest.

    Args:
        run: What it stands on.
        only: Ingest these source files instead, whether the lake has them or not; what it holds of them is replaced.

    Raises:
        ContractError: The breaker stopped a batch; earlier batches of the run are published, this one changed nothing.
        UsageError: A file to set aside is not one to ingest.
        TransientError: Other runs changed the lake faster than this one could.
        FatalError: The lake cannot be read or written.
    """
    if only is not None:
        return _ingest(run, only)
    if run.set_aside:
        _need_due(run)
    try:
        report = _ingest(run, None)
    except Exception as error:
        failure.record(run.lake, run.now(), error)
        raise
    failure.clear(run.lake)
    return report


def _ingest(run: Run, only: Collection[str] | None) -> RunReport:
    started = time.perf_counter()
    report = RunReport()
    queue, view = _Queue(run, only), run.lake.view()
    if queue.plan(view):
        with writing(run.lake, run.watchers.note):
            if view.catalog is None or run.lake.changed_since(view):  # by the run that this one waited for
                view = run.lake.create()
            while done := transact(
                run.lake, queue.ingest_next, doing="publish a batch", note=run.watchers.note, start=view
            ):
                view = done.view
                queue.remove(done)
                report.add(done.report)
                if done.report.published:
                    run.watchers.committed(report, view)
    report.left_out = queue.left_out
    report.seconds = time.perf_counter() - started
    return report


def _need_due(run: Run) -> None:
    """Refuse to set aside what is neither due nor set aside already."""
    view = run.lake.view()
    known = {
        file.path
        for batch in discover.look(run.source, run.lake, run.settings, view).plan.batches
        for file in batch.files
    }
    known |= {path for path, entry in ledger.plan_entries(view["ledger"]).items() if entry.status == ledger.UNREADABLE}
    if unknown := sorted(run.set_aside - known):
        raise UsageError(
            f"{unknown[0]} cannot be set aside: it is not a file that would be ingested now",
            remedy="Name it by its path below the source, as the message does that made you set it aside.",
        )


def _after(run: Run, view: View, only: Collection[str] | None, now: datetime) -> str:
    """The path after which a run begins to look; empty if it has to look at everything."""
    if only is not None or run.set_aside:
        return ""
    return discover.settled_before(view, now, run.settings.sweep_minutes, run.announced)


class _Queue:
    """The batches of a run that are still to be published. It is planned from one view of the lake, again from another."""

    def __init__(self, run: Run, only: Collection[str] | None) -> None:
        self._run = run
        self._only = None if only is None else set(only)
        self._engine: Engine | None = None
        self._batches: list[Batch] = []
        self._planned_from: View | None = None
        self._reopened = False
        self._passes = 0
        self._settles: Settled | None = None
        self.left_out: tuple[LeftOut, ...] = ()

    def ingest_next(self, view: View) -> Done | None:
        """Take the next batch from raw files to published; None when nothing is left."""
        if view is not self._planned_from or (self._reopened and not self._batches):
            self.plan(view)
        if not self._batches:
            return None
        self._engine = self._engine or self._run.engine()
        settles = self._settles if len(self._batches) == 1 else None
        return ingest_batch(self._run, self._engine, view, self._batches[0], settles)

    def remove(self, done: Done) -> None:
        """Drop the batch that is done; the others stay planned, from the view that it left behind."""
        batch = self._batches.pop(0).without(done.unread)
        if done.unread:
            self._batches.insert(0, Batch(done.unread, frozenset(), frozenset(), frozenset()))
        self._planned_from = done.view
        self._reopened |= done.reopened
        if done.undone:
            self._settles = None
        if self._only:
            self._only.difference_update(file.path for file in batch.files)

    def plan(self, view: View) -> bool:
        """Plan from a view of the lake; returns whether there is anything to do."""
        if self._passes == MAX_PASSES:
            raise TransientError(
                f"after {MAX_PASSES} plans there was still something to do",
                remedy="Other runs keep changing the lake, or source files keep being replaced. Run it again later.",
            )
        run, began = self._run, self._run.now()
        after = _after(run, view, self._only, began)
        todo, listing = discover.look(run.source, run.lake, run.settings, view, self._only, after)
        run.watchers.planned(todo)
        settling = todo.batches and not after and self._only is None and run.settings.sweep_minutes
        path = plan.settles(listing) if settling else ""
        self._settles = Settled(path, began) if path else None
        self._batches, self._planned_from, self._reopened = list(todo.batches), view, False
        self._passes += 1
        self.left_out = todo.left_out
        return bool(self._batches)


class Done(NamedTuple):
    """What a batch did.

    Attributes:
        view: The lake after it.
        report: Its figures.
        reopened: Whether files of other batches have to be ingested again because of it.
        unread: Files of it that are left for a batch of their own, because the others held enough.
        undone: Whether others of its files are left as they are, so that a later run may have to do them.
    """

    view: View
    report: BatchReport
    reopened: bool
    unread: tuple[SourceFile, ...] = ()
    undone: bool = False


def ingest_batch(run: Run, engine: Engine, base: View, batch: Batch, settles: Settled | None = None) -> Done:
    """Take one batch from raw files to published.

    Args:
        run: What it stands on.
        engine: What computes.
        base: The lake as it was when the batch was planned.
        batch: The files.
        settles: What of the source is settled once all of them are in the ledger, if that is known.

    Raises:
        LostRaceError: Another run changed the lake since the base was read; this one changed nothing.
        ContractError: The breaker stopped the batch; it changed nothing.
    """
    began, now, batch_id = time.perf_counter(), run.now().replace(tzinfo=None), run.new_id()
    checked, failures, unread = _check(run, engine, base, batch, now, batch_id)
    undone = len(checked) + len(unread) < len(batch.files)
    if not checked:
        return Done(base, BatchReport(failures=failures), reopened=False, unread=unread, undone=undone)
    batch = batch.only(result.file for result in checked)
    (files, conflicts), earlier = _dedupe(run, engine, base, batch, checked)
    del checked  # its rows include the duplicates
    entries = {}
    for result in files:
        path = result.file.path
        arrived = earlier[path].arrived_at if path in batch.reingested else now
        entries[path] = ledger_entry(result, arrived, batch_id, engine.name)
    reopened = _reopened(run, batch, conflicts, earlier, entries)
    source = known_as(run.source, run.settings.source_name)
    settles = None if undone or unread else settles
    outcome = Outcome(batch_id, now, files, batch.known, entries | reopened, began, source, settles)
    view, hours = publish(run.lake, engine, base, outcome)
    return Done(view, _report(files, batch, hours, failures), bool(reopened), unread, undone)


def _check(
    run: Run, engine: Engine, base: View, batch: Batch, now: datetime, batch_id: str
) -> tuple[list[CheckedFile], dict[str, str], tuple[SourceFile, ...]]:
    """Read and judge the files. Those that stay as they are come with the reason instead, as far as it is a failure.

    Of new files the engine may leave some unread, which come last. Files that the lake knows are done together: they may
    hold the same events.

    What cannot be read now is not recorded, so that the next run tries it again.
    """
    latest, erased = latest_event(run.settings, now), erasures.read(base["erasures"])
    checked, failures = [], {}
    to_read = [file for file in batch.files if file.path not in run.set_aside]
    arrival = Arrival(batch_id, now, frozenset(file.path for file in to_read) - batch.known)
    whole = bool(batch.known)
    request = CheckRequest(run.source, to_read, latest, erased, run.watchers.progress, whole=whole, arrival=arrival)
    results = engine.check(request) if to_read else []
    unread = tuple(to_read[len(results) :])
    results += [CheckedFile(file, error=SET_ASIDE) for file in batch.files if file.path in run.set_aside]
    for result in sorted(results, key=lambda result: result.file.path):
        path = result.file.path
        before = path in batch.reingested
        if result.gone:
            why = f"{result.error} before it could be read"
        elif result.error and result.unavailable:
            why = result.error
        elif result.error and before:
            why = f"could be read before and cannot be read now ({result.error})"
        else:
            checked.append(result)
            continue
        run.watchers.note(f"{path} {why}; left as it is")
        if before or result.unavailable:
            failures[path] = why
    return checked, failures, unread


def _dedupe(
    run: Run, engine: Engine, base: View, batch: Batch, checked: Sequence[CheckedFile]
) -> tuple[Deduped, dict[str, Entry]]:
    """Drop duplicates, unless the batch is absurd; also gives the ledger's entries where they matter.

    The rows at hand are discarded if any of this fails.
    """
    try:
        breaker.stop_if_absurd(checked, run.settings.max_quarantine_rate)
        deduped = engine.dedupe(checked, base["events"])
    except BaseException:
        engine.discard(checked)
        raise
    try:
        return deduped, ledger.read(base["ledger"]) if batch.known or deduped.conflicts else {}
    except BaseException:
        engine.discard(deduped.files)
        raise


def latest_event(settings: Settings, now: datetime) -> datetime:
    """The latest time that an event may have."""
    try:
        return now + timedelta(hours=settings.max_future_hours)
    except OverflowError:
        return datetime.max  # noqa: DTZ901 - times of the lake are UTC without a zone


def _reopened(
    run: Run,
    batch: Batch,
    conflicts: frozenset[tuple[str, str]],
    earlier: dict[str, Entry],
    fresh: dict[str, Entry],
) -> dict[str, Entry]:
    """Files that another batch must ingest again, so that the result does not depend on the order of arrival.

    These are files whose duplicates point at a file that changed now, and pairs of files of which the later one by name
    holds an event of the earlier one. A file changed when its object was replaced, or when the same object ends otherwise
    than before: also one that had been reopened, since further files may have come that point at it.
    """
    changed = batch.replaced | {path for path in batch.reingested if _ends(earlier[path]) != _ends(fresh[path])}
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


def _report(files: Sequence[DedupedFile], batch: Batch, hours: int, failures: dict[str, str]) -> BatchReport:
    unknown: Counter[str] = Counter()
    for result in files:
        unknown.update(result.unknown_keys)
    return BatchReport(
        published=1,
        files=sum(1 for result in files if not result.error),
        replaced=len(batch.replaced),
        failures=failures | {result.file.path: result.error for result in files if result.error},
        lines=sum(result.lines for result in files),
        accepted=sum(result.accepted for result in files),
        duplicates=sum(result.duplicates for result in files),
        quarantined=sum(result.broken for result in files),
        erased=sum(result.erased for result in files),
        reasons=breaker.reasons(files),
        unknown_keys=unknown,
        bytes=batch.bytes,
        hours=hours,
    )
