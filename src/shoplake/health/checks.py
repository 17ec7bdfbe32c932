"""What is well with a lake and what is not: one verdict, one sentence and one thing to do for each question."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from shoplake import text as words
from shoplake.ingestion.plan import Plan
from shoplake.lake import ledger
from shoplake.lake.ledger import Entry
from shoplake.lake.snapshots import View
from shoplake.settings import Settings
from shoplake.sources.slots import Gap

OK = "ok"
WARNING = "warning"
FAILED = "failed"
UNKNOWN = "unknown"

RECENT = timedelta(hours=24)
QUARANTINE_WARNING = 0.05


@dataclass(frozen=True)
class Check:
    """The answer to one question.

    Attributes:
        check: Which one.
        verdict: ok, warning, failed, or unknown where nobody can tell.
        sentence: What was found.
        remedy: What to do; empty where nothing is to be done.
    """

    check: str
    verdict: str
    sentence: str
    remedy: str = ""


@dataclass(frozen=True)
class Findings:
    """What the checks look at.

    Attributes:
        entries: The ledger.
        view: The tables.
        todo: What the next run would do; None when no source is named.
        gaps: Slots without a file.
        settings: The objectives.
        now: The time, UTC without a zone.
    """

    entries: Sequence[Entry]
    view: View
    todo: Plan | None
    gaps: Sequence[Gap]
    settings: Settings
    now: datetime


def all_of(found: Findings) -> list[Check]:
    """Every check, in the order in which one would ask."""
    return [
        fresh(found),
        whole(found),
        readable(found),
        waiting(found),
        gaps(found),
        quarantine(found),
    ]


def worst(checks: Sequence[Check]) -> str:
    """The verdict over all: failed, warning or ok."""
    verdicts = {check.verdict for check in checks}
    return next((verdict for verdict in (FAILED, WARNING) if verdict in verdicts), OK)


def fresh(found: Findings) -> Check:
    """Whether the newest arrival is younger than the objective."""
    objective = f"the objective is {found.settings.freshness_minutes:g} minutes"
    if not found.entries:
        return Check("fresh", FAILED, "Nothing was ever ingested.", "Take in what is there: shoplake ingest")
    age = (found.now - max(entry.arrived_at for entry in found.entries)).total_seconds()
    sentence = f"The newest file arrived {words.ago(max(age, 0))} ago; {objective}."
    if age <= found.settings.freshness_minutes * 60:
        return Check("fresh", OK, sentence)
    if found.todo and found.todo.files:
        remedy = "Files wait: run shoplake ingest, and see why its schedule does not."
    elif found.todo:
        remedy = "Nothing waits in the source: see why its producer sends nothing."
    else:
        remedy = "See whether files wait (give --source DIR): if so run shoplake ingest, if not look at their producer."
    return Check("fresh", FAILED, sentence, remedy)


def whole(found: Findings) -> Check:
    """Whether the ledger's figures agree with each other and with the row counts of the tables."""
    wrong = [
        entry.source_file
        for entry in found.entries
        if entry.lines != entry.accepted + entry.duplicates + entry.quarantined + entry.erased
    ]
    differing = [
        f"{table} has {rows:,} rows where the ledger counts {lines:,}"
        for table, lines in (
            ("events", sum(entry.accepted for entry in found.entries)),
            ("quarantine", sum(entry.quarantined for entry in found.entries)),
        )
        if (rows := found.view[table].rows) != lines
    ]
    if wrong:
        differing.append(f"{words.count(len(wrong), 'file')} whose fates do not add up to its lines, first {wrong[0]}")
    if differing:
        return Check("whole", FAILED, f"Not whole: {'; '.join(differing)}.", "Find where: shoplake verify")
    lines = words.count(sum(entry.lines for entry in found.entries), "line")
    return Check("whole", OK, f"The row counts of the tables agree with the ledger: {lines} accounted for.")


def readable(found: Findings) -> Check:
    """Whether every file could be read: one that arrived lately and could not is a failure, an old one a warning."""
    files = [entry for entry in found.entries if entry.status == ledger.UNREADABLE]
    if not files:
        return Check("readable", OK, "Every source file could be read.")
    newest = max(files, key=lambda entry: (entry.arrived_at, entry.source_file))
    late = found.now - newest.arrived_at > RECENT
    return Check(
        "readable",
        WARNING if late else FAILED,
        f"{words.count(len(files), 'file')} could not be read whole, last {newest.source_file} ({newest.error}).",
        "Have the producer send it again under the same name: the next run then retries it.",
    )


def waiting(found: Findings) -> Check:
    """Whether there is something for the next run to do."""
    reopened = sum(entry.status in ledger.TO_DO for entry in found.entries)
    again = f"{words.count(reopened, 'file')} to be done again" if reopened else ""
    remedy = "Ingest what waits: shoplake ingest"
    if found.todo is None:
        if again:
            return Check("waiting", WARNING, f"Waiting: {again}.", remedy)
        return Check("waiting", UNKNOWN, "Waiting: not known without a source.", "Name it: --source DIR")
    if found.todo.files:
        again = f", {len(found.todo.reopened):,} of them to be done again" if found.todo.reopened else ""
        sentence = f"Waiting: {words.count(found.todo.files, 'file')} ({words.size(found.todo.bytes)}){again}."
        return Check("waiting", WARNING, sentence, remedy)
    if again:
        return Check(
            "waiting",
            WARNING,
            f"Waiting: {again}, but no longer in the source.",
            "Their rows stay as they are and are counted once. To settle whose they are, bring the raw files back.",
        )
    return Check("waiting", OK, "Waiting: nothing.")


def gaps(found: Findings) -> Check:
    """Whether every five-minute slot between the first and the last file has one."""
    if not found.gaps:
        return Check("gaps", OK, "No five-minute slot between the first and the last file is without one.")
    many = sum(gap.slots for gap in found.gaps)
    last = found.gaps[-1]
    return Check(
        "gaps",
        WARNING,
        f"{words.count(many, 'five-minute slot')} without a file in {words.count(len(found.gaps), 'gap')}, the last"
        f" {last.start:%Y-%m-%d %H:%M} to {last.end:%Y-%m-%d %H:%M}.",
        "Ask the producer for the files; a late one is taken in by the next run, into its own hours.",
    )


def quarantine(found: Findings) -> Check:
    """How many lines of the files of the last day break the contract."""
    newest = max((entry.arrived_at for entry in found.entries), default=found.now)
    recent = [entry for entry in found.entries if newest - entry.arrived_at <= RECENT]
    lines, bad = sum(entry.lines for entry in recent), sum(entry.quarantined for entry in recent)
    rate = bad / lines if lines else 0.0
    sentence = f"{bad:,} of {words.count(lines, 'line')} of the last 24 hours are quarantined ({rate:.1%})."
    if rate <= min(QUARANTINE_WARNING, found.settings.max_quarantine_rate):
        return Check("quarantine", OK, sentence)
    verdict = FAILED if rate > found.settings.max_quarantine_rate else WARNING
    return Check("quarantine", verdict, sentence, "See why: shoplake quarantine list; then mend the producer.")
