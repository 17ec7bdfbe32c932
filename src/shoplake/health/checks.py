"""What is well with a lake and what is not: one verdict, one sentence and one thing to do for each question."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from shoplake import text as words
from shoplake.health.verdicts import Check, Verdict
from shoplake.ingestion.plan import Plan
from shoplake.lake import ledger
from shoplake.lake.ledger import Entry
from shoplake.lake.snapshots import View
from shoplake.settings import Settings
from shoplake.sources.slots import Gap

RECENT = timedelta(hours=24)
QUARANTINE_WARNING = 0.05


@dataclass(frozen=True)
class Facts:
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


def all_of(facts: Facts) -> list[Check]:
    """Every check, in the order in which one would ask."""
    return [
        fresh(facts),
        whole(facts),
        readable(facts),
        waiting(facts),
        gaps(facts),
        quarantine(facts),
    ]


def fresh(facts: Facts) -> Check:
    """Whether the newest arrival is younger than the objective."""
    objective = f"the objective is {facts.settings.freshness_minutes:g} minutes"
    if not facts.entries:
        return Check("fresh", Verdict.FAILED, "Nothing was ever ingested.", "Take in what is there: shoplake ingest")
    age = (facts.now - max(entry.arrived_at for entry in facts.entries)).total_seconds()
    sentence = f"The newest file arrived {words.ago(max(age, 0))} ago; {objective}."
    if age <= facts.settings.freshness_minutes * 60:
        return Check("fresh", Verdict.OK, sentence)
    if facts.todo and facts.todo.files:
        remedy = "Files wait: run shoplake ingest, and see why its schedule does not."
    elif facts.todo:
        remedy = "Nothing waits in the source: see why its producer sends nothing."
    else:
        remedy = "See whether files wait (give --source DIR): if so run shoplake ingest, if not look at their producer."
    return Check("fresh", Verdict.FAILED, sentence, remedy)


def whole(facts: Facts) -> Check:
    """Whether the ledger's figures agree with each other and with the row counts of the tables."""
    wrong = [
        entry.source_file
        for entry in facts.entries
        if entry.lines != entry.accepted + entry.duplicates + entry.quarantined + entry.erased
    ]
    differing = [
        f"{table} has {rows:,} rows where the ledger counts {lines:,}"
        for table, lines in (
            ("events", sum(entry.accepted for entry in facts.entries)),
            ("quarantine", sum(entry.quarantined for entry in facts.entries)),
        )
        if (rows := facts.view[table].rows) != lines
    ]
    if wrong:
        differing.append(f"{words.count(len(wrong), 'file')} whose fates do not add up to its lines, first {wrong[0]}")
    if differing:
        return Check("whole", Verdict.FAILED, f"Not whole: {'; '.join(differing)}.", "Find where: shoplake verify")
    lines = words.count(sum(entry.lines for entry in facts.entries), "line")
    return Check("whole", Verdict.OK, f"The row counts of the tables agree with the ledger: {lines} accounted for.")


def readable(facts: Facts) -> Check:
    """Whether every file could be read: one that arrived lately and could not is a failure, an old one a warning."""
    files = [entry for entry in facts.entries if entry.status == ledger.UNREADABLE]
    if not files:
        return Check("readable", Verdict.OK, "Every source file could be read.")
    newest = max(files, key=lambda entry: (entry.arrived_at, entry.source_file))
    late = facts.now - newest.arrived_at > RECENT
    return Check(
        "readable",
        Verdict.WARNING if late else Verdict.FAILED,
        f"{words.count(len(files), 'file')} could not be read whole, last {newest.source_file} ({newest.error}).",
        "Have the producer send it again under the same name: the next run then retries it.",
    )


def waiting(facts: Facts) -> Check:
    """Whether there is something for the next run to do."""
    reopened = sum(entry.status in ledger.TO_DO for entry in facts.entries)
    again = f"{words.count(reopened, 'file')} to be done again" if reopened else ""
    remedy = "Ingest what waits: shoplake ingest"
    if facts.todo is None:
        if again:
            return Check("waiting", Verdict.WARNING, f"Waiting: {again}.", remedy)
        return Check("waiting", Verdict.UNKNOWN, "Waiting: not known without a source.", "Name it: --source DIR")
    if facts.todo.files:
        again = f", {len(facts.todo.reopened):,} of them to be done again" if facts.todo.reopened else ""
        sentence = f"Waiting: {words.count(facts.todo.files, 'file')} ({words.size(facts.todo.bytes)}){again}."
        return Check("waiting", Verdict.WARNING, sentence, remedy)
    if again:
        return Check(
            "waiting",
            Verdict.WARNING,
            f"Waiting: {again}, but no longer in the source.",
            "Their rows stay as they are and are counted once. To settle whose they are, bring the raw files back.",
        )
    return Check("waiting", Verdict.OK, "Waiting: nothing.")


def gaps(facts: Facts) -> Check:
    """Whether every five-minute slot between the first and the last file has one."""
    if not facts.gaps:
        return Check("gaps", Verdict.OK, "No five-minute slot between the first and the last file is without one.")
    many = sum(gap.slots for gap in facts.gaps)
    last = facts.gaps[-1]
    return Check(
        "gaps",
        Verdict.WARNING,
        f"{words.count(many, 'five-minute slot')} without a file in {words.count(len(facts.gaps), 'gap')}, the last"
        f" {last.start:%Y-%m-%d %H:%M} to {last.end:%Y-%m-%d %H:%M}.",
        "Ask the producer for the files; a late one is taken in by the next run, into its own hours.",
    )


def quarantine(facts: Facts) -> Check:
    """How many lines of the files of the last day break the contract."""
    newest = max((entry.arrived_at for entry in facts.entries), default=facts.now)
    recent = [entry for entry in facts.entries if newest - entry.arrived_at <= RECENT]
    lines, bad = sum(entry.lines for entry in recent), sum(entry.quarantined for entry in recent)
    rate = bad / lines if lines else 0.0
    sentence = f"{bad:,} of {words.count(lines, 'line')} of the last 24 hours are quarantined ({rate:.1%})."
    if rate <= min(QUARANTINE_WARNING, facts.settings.max_quarantine_rate):
        return Check("quarantine", Verdict.OK, sentence)
    verdict = Verdict.FAILED if rate > facts.settings.max_quarantine_rate else Verdict.WARNING
    return Check("quarantine", verdict, sentence, "See why: shoplake quarantine list; then mend the producer.")
