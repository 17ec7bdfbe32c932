"""The checks of ``shoplake status``: for each question about a lake one verdict, one sentence and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from shoplake.health.verdicts import Check, Verdict
from shoplake.ingestion.plan import Plan
from shoplake.lake import ledger, retention
from shoplake.lake.books import Books
from shoplake.lake.failure import Failure
from shoplake.lake.snapshots import View
from shoplake.settings import Settings
from shoplake.sources.listing import trouble
from shoplake.sources.slots import Gap
from shoplake.text import ago, count, size

RECENT = timedelta(hours=24)
_MOMENT = timedelta(microseconds=1)
QUARANTINE_WARNING = 0.05


@dataclass(frozen=True)
class Facts:
    """What the checks are decided from.

    Attributes:
        books: The ledger.
        view: The tables.
        todo: What the next run would do; None without a source.
        gaps: Ranges of slots without a file that are not acknowledged.
        excused: How many slots without a file are acknowledged.
        failure: How the last run failed, None if it succeeded.
        demo: Whether the lake is the demo's, to which nothing arrives on its own.
        settings: The freshness objective and the largest rate of quarantined lines.
        now: The time, UTC without a zone.
        sweep: When the older files of the source are looked at again, UTC; None if the next run looks at all of it.
    """

    books: Books
    view: View
    todo: Plan | None
    gaps: Sequence[Gap]
    excused: int
    failure: Failure | None
    demo: bool
    settings: Settings
    now: datetime
    sweep: datetime | None = None

    @property
    def arrived(self) -> Books:
        """The files that time can be measured from: those that did not arrive in the future."""
        return self.books.arrived(until=self.now + ledger.CLOCK_TOLERANCE)

    @property
    def future(self) -> Books:
        """The files that arrived later than now, since a clock is or was ahead."""
        return self.books.arrived(after=self.now + ledger.CLOCK_TOLERANCE)


def all_of(facts: Facts) -> list[Check]:
    """Every check, in the order in which a person would ask."""
    return [
        fresh(facts),
        runs(facts),
        whole(facts),
        readable(facts),
        waiting(facts),
        gaps(facts),
        quarantine(facts),
    ]


def fresh(facts: Facts) -> Check:
    """Whether the newest arrival is younger than the objective; an arrival in the future is a failure of its own."""
    objective = f"the objective is {facts.settings.freshness_minutes:g} minutes"
    newest = facts.books.latest("arrived_at")
    if newest is None:
        return Check("fresh", Verdict.FAILED, "Nothing has been ingested yet.", "Ingest the source: shoplake ingest")
    if ahead := facts.future.files:
        return Check(
            "fresh",
            Verdict.FAILED,
            f"{count(ahead, 'file')} arrived in the future, the last at {newest:%Y-%m-%d %H:%M}: a clock is or was"
            " ahead. Nothing is measured from that.",
            "Correct the clock of the machine that ingests. The times stay in the ledger, and this check fails until they have"
            " passed.",
        )
    age = (facts.now - newest).total_seconds()
    sentence = f"The newest file arrived {ago(max(age, 0))} ago; {objective}."
    if age <= facts.settings.freshness_minutes * 60:
        return Check("fresh", Verdict.OK, sentence)
    if facts.demo:
        return Check("fresh", Verdict.OK, f"{sentence} This is the demo's lake: its data is old on purpose.")
    if facts.todo and facts.todo.files and facts.failure:
        remedy = "Files are waiting, and the last run failed: see the check of the runs."
    elif facts.todo and facts.todo.files:
        remedy = "Files are waiting: run shoplake ingest, and find out why its schedule did not."
    elif facts.todo:
        remedy = "Nothing is waiting in the source: find out why its producer has stopped sending."
    else:
        remedy = (
            "Find out whether files are waiting (--source DIR): if so, run shoplake ingest, otherwise ask the producer."
        )
    return Check("fresh", Verdict.FAILED, sentence, remedy)


def runs(facts: Facts) -> Check:
    """Whether the last run succeeded."""
    failure = facts.failure
    if failure is None:
        return Check("runs", Verdict.OK, "The last run did not fail.")
    ended = f"{ago(max((facts.now - failure.at).total_seconds(), 0))} ago ({failure.at:%Y-%m-%d %H:%M})"
    what = "The last run failed"
    if failure.runs > 1:
        what = f"The last {failure.runs:,} runs failed, since {failure.since:%Y-%m-%d %H:%M}, most recently"
    return Check(
        "runs",
        Verdict.FAILED,
        f"{what} {ended}: {failure.error}.",
        failure.remedy or "Run shoplake ingest by hand and read its message.",
    )


def whole(facts: Facts) -> Check:
    """Whether the ledger's counts agree with each other and with the row counts of the tables."""
    wrong = facts.books.inconsistent
    differing = [
        f"{table} has {count(rows, 'row')} where the ledger counts {lines:,}"
        for table, lines in (
            ("events", facts.books.total("accepted")),
            ("quarantine", facts.books.total("quarantined")),
        )
        if (rows := facts.view[table].rows) > lines or (rows < lines and not retention.kept_from(facts.view[table]))
    ]
    if wrong:
        differing.append(f"{count(len(wrong), 'file')} with counts that do not add up to the lines, such as {wrong[0]}")
    if differing:
        return Check(
            "whole", Verdict.FAILED, f"Inconsistent: {'; '.join(differing)}.", "Find out where: shoplake verify"
        )
    lines = count(facts.books.total("lines"), "line")
    return Check("whole", Verdict.OK, f"The row counts of the tables agree with the ledger: {lines} accounted for.")


def readable(facts: Facts) -> Check:
    """Whether every file could be read: an unreadable file is a failure for a day after its arrival, then a warning."""
    files = facts.books.unreadable
    if not files.files:
        return Check("readable", Verdict.OK, "Every file in the ledger could be read.")
    past = facts.arrived.unreadable
    newest = max((past if past.files else files).each(), key=lambda file: (file["arrived_at"], file["source_file"]))
    late = facts.now - newest["arrived_at"] > RECENT
    return Check(
        "readable",
        Verdict.WARNING if late else Verdict.FAILED,
        f"{count(files.files, 'unreadable file')}, most recently {newest['source_file']} ({newest['error']}).",
        "Have the producer send it again under the same name: the next run then retries it.",
    )


def waiting(facts: Facts) -> Check:
    """Whether there is anything for the next run to ingest."""
    reopened = facts.books.to_do
    due = f"{count(reopened, 'file')} to be re-ingested" if reopened else ""
    remedy = "The last run failed: see the check of the runs." if facts.failure else "Run shoplake ingest."
    if facts.todo is None:
        if due:
            return Check("waiting", Verdict.WARNING, f"Waiting: {due}.", remedy)
        return Check("waiting", Verdict.UNKNOWN, "Waiting: unknown without a source.", "Give one: --source DIR")
    if hidden := trouble(facts.todo.left_out):
        remedy = "Have the source made readable; what can be read is ingested meanwhile."
        return Check("waiting", Verdict.WARNING, f"Waiting: {count(facts.todo.files, 'file')}; {hidden}.", remedy)
    if facts.todo.files:
        reopened_files = f", {len(facts.todo.reopened):,} of them to be re-ingested" if facts.todo.reopened else ""
        sentence = f"Waiting: {count(facts.todo.files, 'file')} ({size(facts.todo.bytes)}){reopened_files}."
        return Check("waiting", Verdict.WARNING, sentence, remedy)
    if due:
        return Check(
            "waiting",
            Verdict.WARNING,
            f"Waiting: {due}, but no longer in the source.",
            "Their rows stay and are counted once. To settle which file they belong to, restore the raw files.",
        )
    older = f" among the newest files; a run looks at the others after {facts.sweep:%H:%M} UTC" if facts.sweep else ""
    return Check("waiting", Verdict.OK, f"Waiting: nothing{older}.")


def gaps(facts: Facts) -> Check:
    """Whether there is a file for every five-minute slot between the first and the last one, or a reason why not."""
    excused = f"; {count(facts.excused, 'slot')} without a file acknowledged" if facts.excused else ""
    if not facts.gaps and excused:
        return Check("gaps", Verdict.OK, f"No file is missing{excused}.")
    if not facts.gaps:
        return Check("gaps", Verdict.OK, "Every five-minute slot between the first and the last file has a file.")
    missing = sum(gap.slots for gap in facts.gaps)
    last = facts.gaps[-1]
    return Check(
        "gaps",
        Verdict.WARNING,
        f"{count(missing, 'five-minute slot')} without a file in {count(len(facts.gaps), 'gap')}, the last"
        f" from {last.start:%Y-%m-%d %H:%M} to {last.end:%Y-%m-%d %H:%M}{excused}.",
        "Ask the producer for the files: the next run ingests late ones. If none is missing, say why: shoplake acknowledge",
    )


def quarantine(facts: Facts) -> Check:
    """How many lines of the last day's files break the contract."""
    arrived = facts.arrived
    newest = arrived.latest("arrived_at") or facts.now
    recent = arrived.arrived(after=newest - RECENT - _MOMENT)
    lines, bad = recent.total("lines"), recent.total("quarantined")
    rate = bad / lines if lines else 0.0
    sentence = f"{bad:,} of {count(lines, 'line')} of the last 24 hours' files are quarantined ({rate:.1%})."
    if rate <= min(QUARANTINE_WARNING, facts.settings.max_quarantine_rate):
        return Check("quarantine", Verdict.OK, sentence)
    verdict = Verdict.FAILED if rate > facts.settings.max_quarantine_rate else Verdict.WARNING
    return Check("quarantine", verdict, sentence, "Find out why (shoplake quarantine list), then fix the producer.")
