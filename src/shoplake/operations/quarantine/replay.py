"""Judges quarantined lines anew, by the present contract and settings; those that pass move to ``events``, once.

No raw file is read: all that is needed is in the lake. Each file with a line whose verdict changes is published again as a
whole, from its stored events, its quarantined lines and its ledger entry, by the same commit as an ingested one: it
happens at once or not at all.
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

from shoplake.contract import parse_line, without_bom
from shoplake.engines.base import CheckedFile, Progress, Quarantined
from shoplake.engines.duckdb import DuckDBEngine
from shoplake.engines.judging import ROW_COLUMNS, no_events
from shoplake.errors import FatalError, TransientError
from shoplake.ingestion import pipeline, plan
from shoplake.ingestion.plan import Batch
from shoplake.ingestion.publish import Outcome, ledger_entry, publish, writing
from shoplake.lake import ledger, parquet
from shoplake.lake.catalog import Lake
from shoplake.lake.commits import LostRaceError
from shoplake.lake.ledger import Entry
from shoplake.lake.snapshots import View
from shoplake.operations.quarantine import held
from shoplake.operations.quarantine.held import Choice, Line
from shoplake.settings import Settings
from shoplake.sources.base import SourceFile
from shoplake.tables import EVENTS


def _silent(*_: object) -> None:
    return


@dataclass(frozen=True)
class Run:
    """Everything a replay stands on; clock and ids are passed in.

    Attributes:
        lake: The lake.
        engine: What judges and computes.
        settings: The bounds that hold now.
        planned: Is told how many lines are judged.
        progress: Is told of lines judged, twice the same number.
        note: Is told a sentence worth showing.
        now: The time, UTC with a zone.
        new_id: A new id for each batch.
    """

    lake: Lake
    engine: Callable[[], DuckDBEngine]
    settings: Settings
    planned: Callable[[int], None] = _silent
    progress: Progress = _silent
    note: Callable[[str], None] = _silent
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    new_id: Callable[[], str] = lambda: uuid.uuid4().hex[:12]


@dataclass
class Replayed:
    """What a replay did; ``lines = accepted + duplicates + quarantined`` always holds.

    Attributes:
        files: Source files whose lines were judged.
        lines: Lines judged anew.
        accepted: Rows that ``events`` gained.
        duplicates: Lines that pass, but whose event was counted already.
        quarantined: Lines that still break the contract.
        reasons: Those by reason (a line may have several).
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


def preview(run: Run, choice: Choice) -> Replayed:
    """What a replay would do now, but for duplicates: they count as accepted. Changes nothing."""
    view, report = run.lake.need().view(), Replayed()
    held.check(view, choice)
    engine, files = run.engine(), held.files_of(view, choice)
    run.planned(sum(files.values()))
    for batch in _batches(run, view, files):
        judged = _judge(run, engine, view, [file.path for file in batch.files], choice.takes)
        _add(report, judged.values())
        report.accepted += sum(one.rows.num_rows for one in judged.values())
    return report


def replay(run: Run, choice: Choice) -> Replayed:
    """Judge the chosen lines anew; doing it twice changes nothing the second time.

    Raises:
        UsageError: There is no such lake, file or reason.
        TransientError: Other runs changed the lake faster than this one could.
        FatalError: The lake cannot be read or written, or its tables do not agree with its ledger.
    """
    started = time.perf_counter()
    held.check(run.lake.need().view(), choice)
    report = Replayed()
    with writing(run.lake, run.note):
        _replay(run, choice, report)
    report.seconds = time.perf_counter() - started
    return report


def _replay(run: Run, choice: Choice, report: Replayed) -> None:
    done: set[str] = set()
    engine: DuckDBEngine | None = None
    for _ in range(pipeline.MAX_PASSES):
        view = run.lake.view()
        files = {path: number for path, number in held.files_of(view, choice).items() if path not in done}
        run.planned(sum(files.values()))
        if not files:
            return
        engine = engine or run.engine()
        try:
            for batch in _batches(run, view, files):
                view = _do(run, engine, view, batch, choice, report)
                done.update(file.path for file in batch.files)
        except LostRaceError as error:
            run.note(f"{error}; planning anew")
            continue
        except Exception as error:
            if run.lake.view().catalog == view.catalog:
                raise
            # An erasure removes at once what this replay may have been reading.
            run.note(f"the lake changed meanwhile ({error}); planning anew")
            continue
        return
    raise TransientError(
        f"after {pipeline.MAX_PASSES} plans there were still lines to judge",
        remedy="Other runs change the lake all the time. Run it again later.",
    )


def _batches(run: Run, view: View, files: Collection[str]) -> Iterable[Batch]:
    """The files, cut into batches as for an ingest."""
    entries = ledger.read(view["ledger"])
    if unknown := set(files) - set(entries):
        raise _damaged(f"quarantine has lines of {min(unknown)}, which the ledger does not know")
    listing = [SourceFile(path, entries[path].version, entries[path].bytes) for path in files]
    known = {path: entries[path].known for path in files}
    return plan.make(listing, known, run.settings.batch_bytes, files).batches


@dataclass(frozen=True)
class _Judged:
    """The quarantined lines of one file, those that were chosen judged anew.

    Attributes:
        lines: How many were judged.
        rows: The events of those that pass.
        quarantined: The lines that stay, judged or not.
        stay: How many of them were judged.
        changed: Whether any verdict is another than before.
        unknown_keys: In how many of the file's lines each key stands that the contract does not know.
    """

    lines: int
    rows: pa.Table
    quarantined: tuple[Quarantined, ...]
    stay: tuple[Quarantined, ...]
    changed: bool
    unknown_keys: dict[str, int]


def _judge(
    run: Run, engine: DuckDBEngine, view: View, paths: Collection[str], takes: Callable[[Line], bool]
) -> dict[str, _Judged]:
    """Judge those quarantined lines of some files that the choice takes."""
    latest = pipeline.latest_event(run.settings, run.now().replace(tzinfo=None))
    entries = ledger.read(view["ledger"])
    found = {}
    for path, lines in held.of_files(view, paths).items():
        chosen = [line for line in lines if takes(line)]
        others = [Quarantined(line.line_number, line.octets, line.reasons) for line in lines if not takes(line)]
        rows, stay = engine.judge([(line.line_number, line.octets) for line in chosen], latest)
        before = [(line.line_number, line.reasons) for line in chosen]
        found[path] = _Judged(
            len(chosen),
            rows,
            tuple(sorted([*others, *stay], key=lambda line: line.line_number)),
            tuple(stay),
            before != [(line.line_number, line.reasons) for line in stay],
            _unknown_keys(entries.get(path), lines, rows),
        )
        run.progress(len(chosen), len(chosen))
    return found


def _unknown_keys(entry: Entry | None, lines: Sequence[Line], rows: pa.Table) -> dict[str, int]:
    """As ingest counts them: once an accepted line has one, over all lines of the file, else not at all."""
    counted = json.loads(entry.unknown_keys) if entry and entry.unknown_keys else {}
    if counted or rows.column("extra").null_count == rows.num_rows:
        return dict(counted)
    parsed = [parse_line(without_bom(line.line_number, line.octets)) for line in lines]
    return dict(sorted(Counter(key for line in parsed for key in line.unknown).items()))


def _do(run: Run, engine: DuckDBEngine, base: View, batch: Batch, choice: Choice, report: Replayed) -> View:
    """Judge the lines of a batch and publish what changed; returns the lake after it."""
    judged = _judge(run, engine, base, [file.path for file in batch.files], choice.takes)
    done = list(judged.values())
    paths = {path for path, one in judged.items() if one.changed}
    if not paths:
        _add(report, done)
        return base
    entries = ledger.read(base["ledger"])
    while True:
        checked = _checked(base, sorted(paths), judged, entries)
        files, conflicts = engine.dedupe(checked, base["events"].within)
        later = {path for _, path in conflicts}
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
    outcome = Outcome(batch_id, now, files, frozenset(paths), fresh | _linked(entries, fresh))
    view, _ = publish(run.lake, engine, base, outcome)
    _add(report, done)
    report.batches += 1
    report.accepted += sum(entry.accepted - entries[path].accepted for path, entry in fresh.items())
    report.duplicates += sum(entry.duplicates - entries[path].duplicates for path, entry in fresh.items())
    return view


def _checked(base: View, paths: list[str], judged: dict[str, _Judged], entries: dict[str, Entry]) -> list[CheckedFile]:
    """The files as if they had been read: what the lake holds of them, with the new verdicts."""
    stored = _stored_events(base, paths, entries)
    results = []
    for path in paths:
        entry, one = entries.get(path), judged[path]
        if entry is None:
            raise _damaged(f"events has rows of {path}, which the ledger does not know")
        rows = pa.concat_tables([*stored[path], no_events()])
        lines = len(one.quarantined) + one.rows.num_rows
        if (rows.num_rows, lines) != (entry.accepted, entry.quarantined):
            raise _damaged(
                f"of {path} the lake holds {rows.num_rows:,} events and {lines:,} quarantined lines, but its ledger says"
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
    found: dict[str, list[pa.Table]] = {path: [] for path in paths}
    events = base[EVENTS.name]
    known = [entries[path] for path in paths if path in entries]
    firsts = [entry.min_event_time for entry in known if entry.min_event_time]
    lasts = [entry.max_event_time for entry in known if entry.max_event_time]
    for file in events.within(min(firsts), max(lasts)) if firsts else ():
        if not file.may_hold("source_file", paths):
            continue
        rows = parquet.read(EVENTS, events.storage.read(file.path))
        for path in paths:
            if file.may_hold("source_file", [path]):
                of_file = rows.filter(pc.equal(rows.column("source_file"), path))
                found[path].append(of_file.select(list(ROW_COLUMNS)))
    return found


def _linked(entries: dict[str, Entry], fresh: dict[str, Entry]) -> dict[str, Entry]:
    """New entries of files that have duplicates of events which may be another file's now: they point at that one, too.

    Which of their lines is whose duplicate only their raw objects tell, so they go on pointing at the earlier one as well.
    """
    gave = {path: set(fresh[path].duplicates_of) for path in fresh if fresh[path].duplicates > entries[path].duplicates}
    found = {}
    for path, entry in (entries | fresh).items():
        of = set(entry.duplicates_of)
        more = set().union(*(gave[other] for other in of & gave.keys())) - of - {path}
        if more:
            found[path] = replace(entry, duplicates_of=tuple(sorted(of | more)))
    return found


def _add(report: Replayed, judged: Iterable[_Judged]) -> None:
    for one in judged:
        report.files += 1
        report.lines += one.lines
        report.quarantined += len(one.stay)
        report.reasons.update(code for line in one.stay for code in line.reasons)


def _damaged(what: str) -> FatalError:
    return FatalError(what, remedy="The lake is damaged. See where: shoplake verify")
