"""Rows: those of every source file against the ledger, no event twice, and none of erased people."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from shoplake.contract import EVENT_COLUMNS
from shoplake.lake import erasures, ledger, raw_lines, retention
from shoplake.lake.erasures import Erased
from shoplake.lake.ledger import Entry
from shoplake.lake.snapshots import DataFile, TableSnapshot, View
from shoplake.operations.verify.files import Files
from shoplake.operations.verify.reader import Reader, iso
from shoplake.operations.verify.report import FIRST, Audit, Note, replay
from shoplake.operations.verify.sample import Sample
from shoplake.tables import ERASURES, EVENTS, LEDGER, QUARANTINE
from shoplake.text import count

_FILES_AT_ONCE = 500
_ERASE_AGAIN = "Re-ingest its source files, which drops their lines: shoplake replay"
_NINE = ", ".join(EVENT_COLUMNS)


@dataclass
class _Account:
    """The rows of one source file in the tables."""

    accepted: int = 0
    quarantined: int = 0
    first: datetime | None = None
    last: datetime | None = None

    def add(self, rows: int, first: datetime, last: datetime) -> None:
        """Add the rows of one hour."""
        self.accepted += rows
        self.first = min(self.first or first, first)
        self.last = max(self.last or last, last)


class Accounts:
    """Compares the counts of every source file in the ledger with the rows of the tables.

    Attributes:
        entries: The ledger, empty if it cannot be read.
        chosen: The source files to examine.
        readable: Whether the whole ledger could be read.
        notes: What is worth knowing.
    """

    def __init__(self, view: View, reader: Reader, files: Files, sample: Sample) -> None:
        """Read the ledger and check its own sums."""
        snapshot = view[LEDGER.name]
        self.ledger = Audit("ledger", "lines of each file add up", "source files")
        self.accounts = Audit("accounts", "rows of each file = the ledger's", "source files")
        self.notes: list[Note] = []
        self.entries: dict[str, Entry] = {}
        self._view, self._reader, self._files, self._sample = view, reader, files, sample
        self._found: dict[str, _Account] = defaultdict(_Account)
        self.readable = not any(found.more.get("table") == LEDGER.name for found in files.files.differences)
        if self.readable:
            rows = ledger.table(snapshot).column("source_file").to_pylist()
            self.entries = ledger.read(snapshot)
            self._twice = sorted(path for path, times in Counter(rows).items() if times > 1)
        else:
            self.notes.append(Note("not_compared", "the ledger is damaged, so nothing was compared with it"))
        self.chosen = sample.of("source files", self.entries)
        self._wanted = sorted(self.chosen)
        for audit in (self.ledger, self.accounts):
            audit.checked, audit.skipped = len(self.chosen), len(self.entries) - len(self.chosen)
        if self.readable:
            self._check_ledger()

    def _check_ledger(self) -> None:
        for path in self._twice:
            self.ledger.differs("ledger_twice", path, f"{path} is in the ledger more than once", replay([path]))
        for path in self._wanted:
            entry = self.entries[path]
            sums = entry.accepted + entry.duplicates + entry.quarantined + entry.erased
            if entry.lines != sums:
                message = (
                    f"{path}: the ledger has {count(entry.lines, 'line')}, but {entry.accepted:,} accepted +"
                    f" {entry.duplicates:,} duplicates + {entry.quarantined:,} quarantined +"
                    f" {entry.erased:,} erased are {sums:,}"
                )
                self.ledger.differs("ledger_sum", path, message, replay([path]), lines=entry.lines, sum=sums)
            if unknown := set(entry.duplicates_of) - set(self.entries):
                message = f"{path}: its duplicates are of {', '.join(sorted(unknown))}, which the ledger does not list"
                self.ledger.differs("ledger_link", path, message, replay([path]))
        reopened = sorted(path for path, entry in self.entries.items() if entry.status in ledger.TO_DO)
        if reopened:
            message = (
                f"{len(reopened):,} source files will be re-ingested by the next run: {', '.join(reopened[:FIRST])}"
            )
            self.notes.append(Note("reopened", message, {"files": reopened}))

    def count_hour(self, hour: datetime, files: Sequence[DataFile]) -> None:
        """Count the rows of each source file in an hour; rows of another hour are a difference."""
        if not self.readable:
            return
        files = self._candidates(files)
        if not files:
            return
        found = self._reader.rows(
            "SELECT source_file, count(*), min(event_time), max(event_time),"
            f" count(*) FILTER (date_trunc('hour', event_time) <> ?) FROM {self._reader.relation(EVENTS, files)}"
            " GROUP BY source_file",
            [hour],
        )
        for path, rows, first, last, elsewhere in found:
            self._found[path].add(rows, first, last)
            if elsewhere:
                message = f"{elsewhere:,} events of {path} are in the partition of {iso(hour)}, which is not their hour"
                self.accounts.differs("misplaced", path, message, replay([path]), hour=hour, rows=elsewhere)

    def compare(self) -> None:
        """After all hours: count the quarantine, and compare the counts with the ledger."""
        if not self.readable:
            return
        files = self._candidates(self._files.inventory.usable(QUARANTINE))
        for start in range(0, len(files), _FILES_AT_ONCE):
            relation = self._reader.relation(QUARANTINE, files[start : start + _FILES_AT_ONCE])
            for path, rows in self._reader.rows(f"SELECT source_file, count(*) FROM {relation} GROUP BY source_file"):
                self._found[path].quarantined += rows
        for path in sorted({*self._found, *self.chosen}):
            found, entry = self._found[path], self.entries.get(path)
            if entry is None:
                message = (
                    f"{path}: {count(found.accepted, 'row')} of events and {found.quarantined:,} of quarantine, but the ledger"
                    " does not list the file"
                )
                more = {"events": found.accepted, "quarantine": found.quarantined}
                self.accounts.differs("unknown_file", path, message, replay([path]), **more)
            elif path in self.chosen:
                self._compare(entry, found)

    def _candidates(self, files: Sequence[DataFile]) -> Sequence[DataFile]:
        return files if self._sample.whole else [file for file in files if file.may_hold("source_file", self._wanted)]

    def _compare(self, entry: Entry, found: _Account) -> None:
        fewer = retention.lacks_events(self._view, entry), retention.lacks_lines(self._view, entry)
        wrong = [
            f"{table} has {count(have, 'row')}, the ledger counts {due:,}"
            for table, have, due, some_gone in (
                ("events", found.accepted, entry.accepted, fewer[0]),
                ("quarantine", found.quarantined, entry.quarantined, fewer[1]),
            )
            if have > due or (have < due and not some_gone)
        ]
        times = [
            f"its {which} event is at {have}, the ledger says {due}"
            for which, have, due in (
                ("earliest", found.first, entry.min_event_time),
                ("latest", found.last, entry.max_event_time),
            )
            if have != due and not fewer[0]
        ]
        if wrong or times:
            self.accounts.differs(
                "account" if wrong else "event_times",
                entry.source_file,
                f"{entry.source_file}: {'; '.join([*wrong, *times])}",
                replay([entry.source_file]),
                events=found.accepted,
                accepted=entry.accepted,
                quarantine=found.quarantined,
                quarantined=entry.quarantined,
            )


class Duplicates:
    """Looks for events that are there twice. Equal events have equal times, so each hour is searched alone."""

    def __init__(self, reader: Reader) -> None:
        """Prepare the audit."""
        self.audit = Audit("duplicates", "no event is there twice", "hours")
        self._reader = reader

    def look(self, hour: datetime, files: Sequence[DataFile]) -> None:
        """Examine the events of an hour, in these data files."""
        self._look(hour, files)
        self.audit.checked += 1

    def _look(self, hour: datetime, files: Sequence[DataFile]) -> None:
        self._reader.view("events", EVENTS, files)
        self._reader.rows(
            "CREATE OR REPLACE TEMP TABLE suspects AS"
            f" SELECT hash({_NINE}) AS h FROM events GROUP BY h HAVING count(*) > 1"
        )
        if self._reader.rows("SELECT count(*) FROM suspects") == [(0,)]:
            return
        self._reader.rows(
            "CREATE OR REPLACE TEMP TABLE twice AS"
            f" SELECT count(*) AS times, list(DISTINCT source_file) AS source_files, {_NINE} FROM events"
            f" WHERE hash({_NINE}) IN (SELECT h FROM suspects) GROUP BY {_NINE} HAVING count(*) > 1"
        )
        events, surplus = self._reader.rows("SELECT count(*), coalesce(sum(times - 1), 0) FROM twice")[0]
        if not events:
            return
        paths = sorted(row[0] for row in self._reader.rows("SELECT DISTINCT unnest(source_files) FROM twice"))
        first = self._reader.rows(f"SELECT times, {_NINE} FROM twice ORDER BY {_NINE} LIMIT {FIRST}")
        message = (
            f"{events:,} events of {iso(hour)} are there more than once ({int(surplus):,} surplus rows), from"
            f" {', '.join(paths[:FIRST])}"
        )
        self.audit.differs(
            "duplicates",
            iso(hour),
            message,
            replay(paths),
            hour=hour,
            events=events,
            surplus=int(surplus),
            source_files=paths,
            first=[dict(zip(("times", *EVENT_COLUMNS), row, strict=True)) for row in first],
        )


class Erasures:
    """Looks for rows of erased people, whom it knows only by the keyed hashes in the lake's list.

    Attributes:
        erased: The list; empty if it cannot be read, which is a difference by itself.
        audit: The result.
    """

    def __init__(self, snapshot: TableSnapshot, reader: Reader, files: Files) -> None:
        """Read the list."""
        self.audit = Audit("erased", "no row of an erased person", "hours")
        readable = not any(found.more.get("table") == ERASURES.name for found in files.files.differences)
        self.erased = erasures.read(snapshot) if readable else Erased("")
        self._reader, self._files = reader, files

    @property
    def audits(self) -> list[Audit]:
        """The audit, if anybody was erased."""
        return [self.audit] if self.erased else []

    def look(self, hour: datetime, files: Sequence[DataFile]) -> None:
        """Examine the events of an hour, in these data files."""
        if not self.erased or not files:
            return
        self.audit.checked += 1
        users = self._reader.rows(f"SELECT DISTINCT user_id FROM {self._reader.relation(EVENTS, files)}")
        if found := self.erased.among(user for (user,) in users):
            message = f"events of {iso(hour)} contain {len(found):,} erased people"
            self.audit.differs("erased", iso(hour), message, _ERASE_AGAIN, table=EVENTS.name, hour=hour)

    def look_at_quarantine(self) -> None:
        """Examine the quarantine."""
        files = self._files.inventory.usable(QUARANTINE) if self.erased else []
        for start in range(0, len(files), _FILES_AT_ONCE):
            relation = self._reader.relation(QUARANTINE, files[start : start + _FILES_AT_ONCE])
            for path, number, raw, encoding in self._reader.rows(
                f"SELECT source_file, line_number, raw, encoding FROM {relation}"
            ):
                if self.erased.named_in(raw_lines.to_bytes(raw, encoding)):
                    message = f"line {number:,} of {path} is about an erased person, but is in quarantine"
                    self.audit.differs("erased", path, message, replay([path]), table=QUARANTINE.name, line=number)
