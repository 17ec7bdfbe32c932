"""Judges quarantined lines again, by the present contract and settings; those that pass move to ``events``, once.

No raw file is read: all that is needed is in the lake. Each file with a line whose reasons change is published again as a
whole, from its stored events, its quarantined lines and its ledger entry, by the same commit as an ingested file: all of it
at once or nothing.
"""

from __future__ import annotations

import json
import time
import uuid
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from shoplake.engines.base import ArrowEngine, CheckedFile, Progress, ignore
from shoplake.engines.judging import ROW_COLUMNS, no_events
from shoplake.engines.quarantined import Quarantined, QuarantinedLines
from shoplake.errors import FatalError, UsageError
from shoplake.ingestion import pipeline, plan
from shoplake.ingestion.plan import Batch
from shoplake.ingestion.publish import Outcome, ledger_entry, publish
from shoplake.lake import ledger, parquet, retention
from shoplake.lake.catalog import Lake
from shoplake.lake.ledger import Entry
from shoplake.lake.snapshots import View
from shoplake.lake.transact import transact, writing
from shoplake.operations.quarantine import contents
from shoplake.operations.quarantine.contents import Line, LineFilter
from shoplake.parsing import parse_line, without_bom
from shoplake.settings import Settings
from shoplake.sources.base import SourceFile
from shoplake.tables import EVENTS
from shoplake.text import count


@dataclass(frozen=True)
class QuarantineReplay:
    """Everything a replay needs; clock and ids are passed in.

    Attributes:
        lake: The lake.
        engine: Judges and computes.
        settings: The present bounds.
        planned: Called with the number of lines to judge.
        progress: Called with the number of lines judged, as both arguments.
        note: Called with a sentence worth showing.
        now: The time, UTC with a zone.
        new_id: A new id for each batch.
    """

    lake: Lake
    engine: Callable[[], ArrowEngine]
    settings: Settings
    planned: Callable[[int], None] = ignore
    progress: Progress = ignore
    note: Callable[[str], None] = ignore
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    new_id: Callable[[], str] = lambda: uuid.uuid4().hex[:12]


@dataclass
class QuarantineReplayReport:
    """What a replay did; ``lines = accepted + duplicates + quarantined`` always holds.

    Attributes:
        files: Source files whose lines were judged.
        lines: Lines judged.
        accepted: Rows added to ``events``.
        duplicates: Lines that pass, but whose event is in ``events`` already.
        quarantined: Lines that still break the contract.
        reasons: Those by reason; a line may have several.
        batches: Batches committed.
        seconds: Wall time.
    """

    files: int = 0
    lines: int = 0
    accepted: int = 0
    duplicates: int = 0
    quarantined: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    batches: int = 0
    seconds: float = 0.0

    def as_json(self) -> dict[str, Any]:
        """The figures as the fixed JSON interface names them."""
        return vars(self) | {"reasons": dict(self.reasons), "seconds": round(self.seconds, 3)}


def preview(run: QuarantineReplay, choice: LineFilter) -> QuarantineReplayReport:
    """What a replay would do now, except that duplicates count as accepted. Changes nothing."""
    view, report = run.lake.need_view(), QuarantineReplayReport()
    contents.check(view, choice)
    engine, files = run.engine(), contents.files_of(view, choice)
    run.planned(sum(files.values()))
    for batch in _batches(run, view, files):
        judged = _judge(run, engine, view, [file.path for file in batch.files], choice.takes)
        _add(report, judged.values())
        report.accepted += sum(file.rows.num_rows for file in judged.values())
    return report


def replay(run: QuarantineReplay, choice: LineFilter) -> QuarantineReplayReport:
    """Judge the selected lines again; doing it twice changes nothing the second time.

    Raises:
        UsageError: There is no such lake, source file or reason.
        TransientError: Other runs changed the lake faster than this one could.
        FatalError: The lake cannot be read or written, or its tables disagree with its ledger.
    """
    started = time.perf_counter()
    contents.check(run.lake.need_view(), choice)
    report = QuarantineReplayReport()
    with writing(run.lake, run.note):
        _replay(run, choice, report)
    report.seconds = time.perf_counter() - started
    return report


def _replay(run: QuarantineReplay, choice: LineFilter, report: QuarantineReplayReport) -> None:
    done: set[str] = set()
    engine: ArrowEngine | None = None

    def replay_next(view: View) -> View | None:
        """Judge the lines of the next batch of files and publish what changed; None when there are no more."""
        nonlocal engine
        files = {path: number for path, number in contents.files_of(view, choice).items() if path not in done}
        run.planned(report.lines + sum(files.values()))
        batch = next(iter(_batches(run, view, files)), None)
        if batch is None:
            return None
        engine = engine or run.engine()
        view = _replay_batch(run, engine, view, batch, choice, report)
        done.update(file.path for file in batch.files)
        return view

    view: View | None = None
    while view := transact(run.lake, replay_next, doing="publish replayed lines", note=run.note, start=view):
        pass


def _batches(run: QuarantineReplay, view: View, files: Collection[str]) -> Iterable[Batch]:
    """The files, divided into batches as for an ingest."""
    entries = ledger.read(view["ledger"])
    gone = {path for path in files if path in entries and retention.lacks_events(view, entries[path])}
    if gone:  # the ledger counts events of theirs that are not stored: it could not be kept right
        run.note(
            f"{count(len(gone), 'file')} left as they are: retention removed events of theirs, such as {min(gone)}"
        )
        files = [path for path in files if path not in gone]
    if unknown := set(files) - set(entries):
        raise _damaged(f"quarantine has lines of {min(unknown)}, which is not in the ledger")
    listing = [SourceFile(path, entries[path].version, entries[path].bytes) for path in files]
    known = {path: entries[path].plan_entry for path in files}
    return plan.make(listing, known, run.settings.batch_bytes, files).batches


@dataclass(frozen=True)
class _Judged:
    """The quarantined lines of one file, after the selected ones were judged again.

    Attributes:
        lines: How many were judged.
        rows: The events of those that pass.
        quarantined: The lines that stay, judged or not.
        stay: Those of them that were judged.
        changed: Whether any line passes now or has other reasons than before.
        unknown_keys: In how many of the file's lines each key occurs that is not in the contract.
    """

    lines: int
    rows: pa.Table
    quarantined: QuarantinedLines
    stay: QuarantinedLines
    changed: bool
    unknown_keys: dict[str, int]


def _judge(
    run: QuarantineReplay, engine: ArrowEngine, view: View, paths: Collection[str], takes: Callable[[Line], bool]
) -> dict[str, _Judged]:
    """Judge the quarantined lines of some files that are selected."""
    latest = pipeline.latest_event(run.settings, run.now().replace(tzinfo=None))
    entries = ledger.read(view["ledger"])
    judged = {}
    for path, lines in contents.of_files(view, paths).items():
        chosen = [line for line in lines if takes(line)]
        others = [Quarantined(line.line_number, line.octets, line.reasons) for line in lines if not takes(line)]
        rows, stay = engine.judge([(line.line_number, line.octets) for line in chosen], latest)
        before = [(line.line_number, line.reasons) for line in chosen]
        judged[path] = _Judged(
            len(chosen),
            rows,
            QuarantinedLines.of(sorted([*others, *stay], key=lambda line: line.line_number)),
            stay,
            before != [(line.line_number, line.reasons) for line in stay],
            _unknown_keys(entries.get(path), lines, rows),
        )
        run.progress(len(chosen), len(chosen))
    return judged


def _unknown_keys(entry: Entry | None, lines: Sequence[Line], rows: pa.Table) -> dict[str, int]:
    """Counted as by an ingest: over all lines of the file if any accepted line has such a key, otherwise not at all."""
    counted = json.loads(entry.unknown_keys) if entry and entry.unknown_keys else {}
    if counted or rows.column("extra").null_count == rows.num_rows:
        return dict(counted)
    parsed = [parse_line(without_bom(line.line_number, line.octets)) for line in lines]
    return dict(sorted(Counter(key for line in parsed for key in line.unknown).items()))


def _replay_batch(
    run: QuarantineReplay,
    engine: ArrowEngine,
    base: View,
    batch: Batch,
    choice: LineFilter,
    report: QuarantineReplayReport,
) -> View:
    """Judge the lines of a batch and publish what changed; returns the lake after it."""
    began = time.perf_counter()
    judged = _judge(run, engine, base, [file.path for file in batch.files], choice.takes)
    done = list(judged.values())
    paths = {path for path, one in judged.items() if one.changed}
    if not paths:
        _add(report, done)
        return base
    entries = ledger.read(base["ledger"])
    while True:
        checked = _checked(base, sorted(paths), judged, entries)
        files, conflicts = engine.dedupe(checked, base["events"])
        later = {path for _, path in conflicts}
        if gone := sorted(path for path in later if retention.lacks_events(base, entries[path])):
            raise UsageError(
                f"an event of the lines is in {gone[0]}, of which retention removed events",
                remedy=f"Re-ingest both from the source: shoplake replay --files {gone[0]} --files {min(paths)}",
            )
        if not later:
            break
        # Of equal events the first file by name keeps it: a later one that has it so far is published with them.
        paths |= later
        judged |= _judge(run, engine, base, later - judged.keys(), lambda _: False)
    now, batch_id = run.now().replace(tzinfo=None), run.new_id()
    fresh = {}
    for result in files:
        earlier = entries[result.file.path]
        entry = ledger_entry(result, earlier.arrived_at, batch_id, engine.name)
        fresh[earlier.source_file] = replace(entry, status=earlier.status)
    outcome = Outcome(batch_id, now, files, frozenset(paths), fresh | _linked(entries, fresh), began)
    view, _ = publish(run.lake, engine, base, outcome)
    _add(report, done)
    report.batches += 1
    report.accepted += sum(entry.accepted - entries[path].accepted for path, entry in fresh.items())
    report.duplicates += sum(entry.duplicates - entries[path].duplicates for path, entry in fresh.items())
    return view


def _checked(base: View, paths: list[str], judged: dict[str, _Judged], entries: dict[str, Entry]) -> list[CheckedFile]:
    """The files as if they had just been read: what the lake has of them, as judged now."""
    stored = _stored_events(base, paths, entries)
    results = []
    for path in paths:
        entry, one = entries.get(path), judged[path]
        if entry is None:
            raise _damaged(f"events has rows of {path}, which is not in the ledger")
        rows = pa.concat_tables([*stored[path], no_events()])
        lines = len(one.quarantined) + one.rows.num_rows
        if (rows.num_rows, lines) != (entry.accepted, entry.quarantined):
            raise _damaged(
                f"the lake has {rows.num_rows:,} events and {lines:,} quarantined lines of {path}, but its ledger counts"
                f" {entry.accepted:,} and {entry.quarantined:,}"
            )
        results.append(
            CheckedFile(
                SourceFile(path, entry.version, entry.bytes),
                entry.lines,
                one.quarantined,
                entry.erased,
                seconds=entry.seconds,
                duplicates=entry.duplicates,
                duplicates_of=frozenset(entry.duplicates_of),
                unknown_keys=one.unknown_keys,
                rows=pa.concat_tables([rows, one.rows]),
            )
        )
    return results


def _stored_events(base: View, paths: list[str], entries: dict[str, Entry]) -> dict[str, list[pa.Table]]:
    stored: dict[str, list[pa.Table]] = {path: [] for path in paths}
    events = base[EVENTS.name]
    of_paths = [entries[path] for path in paths if path in entries]
    firsts = [entry.min_event_time for entry in of_paths if entry.min_event_time]
    lasts = [entry.max_event_time for entry in of_paths if entry.max_event_time]
    for file in events.within(min(firsts), max(lasts)) if firsts else ():
        if not file.may_hold("source_file", paths):
            continue
        with parquet.reading(file.path):
            rows = parquet.read(EVENTS, events.storage.read(file.path))
        for path in paths:
            if file.may_hold("source_file", [path]):
                of_file = rows.filter(pc.equal(rows.column("source_file"), path))
                stored[path].append(of_file.select(list(ROW_COLUMNS)))
    return stored


def _linked(entries: dict[str, Entry], fresh: dict[str, Entry]) -> dict[str, Entry]:
    """New entries of files with duplicates of events that may now belong to another file: they are linked to that one too.

    Only their raw objects tell which line duplicates which event, so they stay linked to the earlier one as well.
    """
    gave = {path: set(fresh[path].duplicates_of) for path in fresh if fresh[path].duplicates > entries[path].duplicates}
    linked = {}
    for path, entry in (entries | fresh).items():
        of = set(entry.duplicates_of)
        more = set().union(*(gave[other] for other in of & gave.keys())) - of - {path}
        if more:
            linked[path] = replace(entry, duplicates_of=tuple(sorted(of | more)))
    return linked


def _add(report: QuarantineReplayReport, judged: Iterable[_Judged]) -> None:
    for file in judged:
        report.files += 1
        report.lines += file.lines
        report.quarantined += len(file.stay)
        report.reasons += file.stay.by_reason()


def _damaged(what: str) -> FatalError:
    return FatalError(what, remedy="The lake is damaged. Find out where: shoplake verify")
