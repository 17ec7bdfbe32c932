"""One verification, top to bottom: files, ledger, hours, source files, days, raw objects; then the repair, if requested."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime
from datetime import time as time_of_day

from shoplake.engines.base import Engine, Progress, ignore
from shoplake.errors import FatalError
from shoplake.lake import retention
from shoplake.lake.catalog import CATALOG_FILE, Lake
from shoplake.lake.snapshots import DataFile, View
from shoplake.lake.transact import writing
from shoplake.operations.verify.files import Files, Inventory
from shoplake.operations.verify.gold import Gold
from shoplake.operations.verify.reader import READ_ERRORS, Hours, Reader, iso
from shoplake.operations.verify.repair import rebuild
from shoplake.operations.verify.report import Audit, Note, VerifyReport
from shoplake.operations.verify.rows import Accounts, Duplicates, Erasures
from shoplake.operations.verify.sample import Sample
from shoplake.operations.verify.source import Judge, Raw
from shoplake.settings import DEFAULT_BOUNDS, Bounds
from shoplake.sources.base import Source
from shoplake.tables import EVENTS, GOLD_HOURLY

MAX_LOOKS = 3


@dataclass(frozen=True)
class VerifyRequest:
    """What to verify, and how.

    Attributes:
        lake: The lake.
        source: Where its raw objects are; None leaves them out.
        engine: Rebuilds gold, for the repair.
        threads: How many cores to use.
        share: The share of hours, days and files to examine, 1 for all.
        seed: Determines which ones; by default the version of the lake's catalog, so that it changes with the lake.
        lines: How many lines of each raw object to judge again.
        allow_gone: Whether ingested raw objects may be gone.
        repair: Whether to rebuild gold that differs.
        bounds: How much of the source is read at once.
        planned: Called once, with the bytes to read.
        progress: Called with the bytes and rows that were read.
        note: Called with a sentence worth showing, such as which run is being waited for.
        now: The time, UTC with a zone.
    """

    lake: Lake
    source: Source | None
    engine: Callable[[], Engine]
    threads: int
    share: float = 1.0
    seed: int | None = None
    lines: int = 1000
    allow_gone: bool = False
    repair: bool = False
    bounds: Bounds = DEFAULT_BOUNDS
    planned: Callable[[int], None] = ignore
    progress: Progress = ignore
    note: Callable[[str], None] = ignore
    now: Callable[[], datetime] = lambda: datetime.now(UTC)


def verify(request: VerifyRequest) -> VerifyReport:
    """Recount a lake, compare everything, and rebuild gold that differs if requested.

    Raises:
        UsageError: There is no lake.
        TransientError: Other runs changed the lake faster than the repair could.
    """
    started = time.perf_counter()
    look = _look(request, request.source, request.seed)
    report = look.report
    if request.repair:
        report.repaired = {"hours": [], "days": [], "left": []}
        if look.gold_differs:
            with writing(request.lake, request.note):
                done = rebuild(
                    request.lake,
                    request.engine(),
                    look.gold_audits,
                    look.inventory,
                    look.hours,
                    request.now,
                    request.note,
                )
            again = _look(request, None, report.seed).report
            again.checks += [audit for audit in report.checks if audit.name in {"source", "lines"}]
            again.notes += [note for note in report.notes if note not in again.notes and note.what in _OF_THE_SOURCE]
            again.source, again.repaired = report.source, done.as_json()
            report = again
    report.seconds = time.perf_counter() - started
    return report


_OF_THE_SOURCE = {"waiting", "replaced", "gone"}


def _look(request: VerifyRequest, source: Source | None, seed: int | None) -> _Look:
    """Examine the lake as it is, and once more if files are missing because another run changed it in between."""
    for left in reversed(range(MAX_LOOKS)):
        try:
            view = request.lake.need_view()
        except FatalError as error:
            return _unreadable(request, source, error)
        look = _Look(request, source, view, seed)
        look.run()
        if not left or not look.lost or not request.lake.changed_since(view):
            break
    return look


def _unreadable(request: VerifyRequest, source: Source | None, error: FatalError) -> _Look:
    """The look at a lake whose catalog or metadata cannot be read."""
    look = _Look(request, source, View({}, None, 0), request.seed)
    audit = Audit("files", "files are there and as recorded", "files", 1)
    audit.differs("unreadable", CATALOG_FILE, str(error), error.remedy)
    look.report.checks = [audit]
    look.report.notes = [Note("not_compared", "no table can be read, so nothing else was compared")]
    return look


class _Look:
    """One look at one view of a lake.

    Attributes:
        report: The result so far.
        lost: Whether files are missing.
        gold_audits: The audits of gold.
        inventory: The data files.
        hours: The data files by hour.
    """

    def __init__(self, request: VerifyRequest, source: Source | None, view: View, seed: int | None) -> None:
        sample = Sample(request.share, view.version if seed is None else seed)
        name = source.name if source else None
        self.report = VerifyReport(request.lake.root, name, view.version, request.share, sample.seed)
        self.lost = False
        self.gold_audits: list[Audit] = []
        self.inventory = Inventory(request.lake.root)
        self.hours = Hours(self.inventory)
        self._request, self._source, self._view, self._sample = request, source, view, sample

    @property
    def gold_differs(self) -> bool:
        """Whether any hour or day of gold needs rebuilding."""
        return any(audit.differences for audit in self.gold_audits)

    def run(self) -> None:
        """Run all audits, in order."""
        request = self._request
        files = Files(self._view, request.lake.storage, self._sample, request.threads, request.now())
        notes = files.look()
        start = retention.kept_from(self._view[EVENTS.name])
        self.inventory, self.hours = files.inventory, Hours(files.inventory, start)
        with closing(Reader(request.threads)) as reader:
            accounts = Accounts(self._view, reader, files, self._sample)
            erased = Erasures(self._view["erasures"], reader, files)
            gold = Gold(reader, files.inventory, self.hours)
            raw = None
            if self._source and accounts.readable:
                judge = Judge(request.lines, self._sample.seed, erased.erased, request.bounds)
                raw = Raw(self._source, accounts.entries, judge, self._view, allow_gone=request.allow_gone)
            walk = _Walk(reader, files, self.hours, request.progress)
            every = [day for day in gold.days() if not self.hours.is_closed(datetime.combine(day, time_of_day()))]
            hours, days = self._sample.of("hours", self.hours.all), self._sample.of("days", every)
            request.planned(walk.size(hours, days) + (raw.size(accounts.chosen) if raw else 0))
            duplicates = Duplicates(reader)
            for hour in self.hours.all:
                walk.hour(hour, accounts, (duplicates, erased, gold), chosen=hour in hours)
            accounts.compare()
            erased.look_at_quarantine()
            for day in every:
                walk.day(day, gold, chosen=day in days)
            if raw:
                raw.look(accounts.chosen, reader, files.inventory, request.threads, request.progress)
        self.gold_audits = [*gold.hourly.values(), gold.daily]
        audits = [files.files, files.history, accounts.ledger, accounts.accounts, duplicates.audit, *erased.audits]
        self.report.checks = [*audits, *self.gold_audits, gold.answers, *((raw.audit, raw.lines) if raw else ())]
        if start:
            message = f"rows of days before {start.date()} were removed by retention; the totals of those days stay as they are"
            notes.append(Note("retention", message, {"kept_from": str(start.date())}))
        self.report.notes = [*notes, *accounts.notes, *self.hours.notes, *(raw.notes if raw else ())]
        self.lost = files.lost()


@dataclass(frozen=True)
class _Walk:
    """Goes through hours and days; a data file that turns out to be unreadable is noted, and the rest is examined."""

    reader: Reader
    files: Files
    hours: Hours
    progress: Progress

    def size(self, hours: Collection[datetime], days: Collection[date]) -> int:
        """The size of the data files to read."""
        of_day = [file for hour, files in self.hours.events.items() if hour.date() in days for file in files]
        return sum(file.bytes for file in [*of_day, *(file for hour in hours for file in self._events(hour))])

    def hour(
        self, hour: datetime, accounts: Accounts, of_hours: tuple[Duplicates, Erasures, Gold], *, chosen: bool
    ) -> None:
        """Examine an hour; its rows are counted by source file even if the hour is not in the sample."""
        duplicates, erased, gold = of_hours
        tables = [*gold.hourly.values()]
        self._try(hour, lambda: accounts.count_hour(hour, self._events(hour)))
        if not chosen:
            for audit in (duplicates.audit, erased.audit, *tables):
                audit.skipped += 1
            return
        self._try(hour, lambda: duplicates.look(hour, self._events(hour)))
        self._try(hour, lambda: erased.look(hour, self._events(hour)))
        for table in () if self.hours.is_closed(hour) else GOLD_HOURLY:
            self._try(hour, lambda table=table: gold.look_at_hour(table, hour, self._events(hour)))  # type: ignore[misc]
        if hour in self.hours.lacking:
            self.hours.not_compared(iso(hour), "a data file of its events cannot be read")
        self._advance(self._events(hour))

    def day(self, day: date, gold: Gold, *, chosen: bool) -> None:
        """Examine a day, if all of its events can be read."""
        hours = [hour for hour in self.hours.all if hour.date() == day]
        if not chosen or self.hours.lacking.intersection(hours):
            gold.skip_day()
            return
        files = [file for hour in hours for file in self._events(hour)]
        try:
            gold.look_at_day(day, files)
        except READ_ERRORS as error:
            for hour in hours:
                self.hours.find_unreadable(hour, self.reader, self.files)
            gold.skip_day()
            self.hours.not_compared(str(day), str(error).splitlines()[0])
        self._advance(files)

    def _events(self, hour: datetime) -> list[DataFile]:
        return self.hours.events.get(hour, [])

    def _advance(self, files: Sequence[DataFile]) -> None:
        self.progress(sum(file.bytes for file in files), sum(file.rows for file in files))

    def _try(self, hour: datetime, step: Callable[[], None]) -> None:
        try:
            step()
        except READ_ERRORS as error:
            self.hours.find_unreadable(hour, self.reader, self.files)
            try:
                step()
            except READ_ERRORS:
                self.hours.not_compared(iso(hour), str(error).splitlines()[0])
