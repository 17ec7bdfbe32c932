"""Raw objects: their lines against the ledger, and a sample of lines judged again and looked up in the tables.

The second judge is the careful reader: Python's JSON parser and the contract's rules one by one, as reasons. It shares no
parsing with the engine's fast path, which reads nearly every line with DuckDB and one combined condition.
"""

from __future__ import annotations

import random
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime

import pyarrow as pa

from shoplake.contract import EVENT_COLUMNS, FUTURE, TOO_LONG, reasons_sql
from shoplake.engines.base import Progress
from shoplake.engines.judging import as_table
from shoplake.lake import ledger, raw_lines, retention
from shoplake.lake.erasures import Erased
from shoplake.lake.ledger import Entry
from shoplake.lake.snapshots import View
from shoplake.operations.verify.files import Inventory, hours_of
from shoplake.operations.verify.reader import Reader
from shoplake.operations.verify.report import FIRST, Audit, Note, replay
from shoplake.parsing import parse_line, without_bom
from shoplake.settings import Bounds
from shoplake.sources.base import Source, SourceFile
from shoplake.sources.lines import GoneError, UnreadableError, line_blocks
from shoplake.tables import EVENTS, QUARANTINE
from shoplake.text import count

_FILES_AT_ONCE = 24
_RESTORE = "Restore the object. The lake still has its events, but nothing can prove them any longer."
_ALLOWED = " If a retention rule removes raw objects on purpose: shoplake verify --allow-gone"

_PERMISSIONS = "Nothing is known about it until it can be read: check the source's permissions, then verify again."

_PASSES_NOW = "meets the contract, but is in quarantine"
_SHORT_ENOUGH_NOW = "is no longer than max_line_bytes allows, but is in quarantine as too long"
_OTHER_KEYS = "is in events with other unknown keys or values of them"

_Line = tuple[int, bytes]
_QuarantinedRow = tuple[str, str, list[str]]
_Event = tuple[object, ...]


@dataclass(frozen=True)
class Judge:
    """How lines are judged again.

    Attributes:
        lines: How many of each file; 0 for none.
        seed: Determines which ones.
        erased: The people whose lines must be nowhere.
        bounds: How much of the source is read at once.
    """

    lines: int
    seed: int
    erased: Erased
    bounds: Bounds


@dataclass
class _Read:
    """The result of reading one raw object."""

    lines: int = 0
    picked: list[_Line] = field(default_factory=list)
    error: str = ""
    gone: bool = False
    unavailable: bool = False


class Raw:
    """Compares the raw objects with the ledger and with the tables."""

    def __init__(
        self, source: Source, entries: Mapping[str, Entry], judge: Judge, view: View, *, allow_gone: bool
    ) -> None:
        """List the source, and note what is waiting, what was replaced and what is gone.

        Args:
            source: Where the raw objects are.
            entries: The ledger.
            judge: How to judge lines again.
            view: The lake.
            allow_gone: Whether an ingested object may be gone.
        """
        self.audit = Audit("source", "lines of each = the ledger's", "raw objects")
        self.lines = Audit("lines", "judged again, they are in place", "lines")
        self.notes: list[Note] = []
        self._view, self._kept_from = view, retention.kept_from(view[EVENTS.name])
        self._source, self._entries, self._judge, self._allow_gone = source, entries, judge, allow_gone
        listing = {file.path: file for file in source.list()}
        self.same = {
            path: file for path, file in listing.items() if path in entries and entries[path].version == file.version
        }
        waiting = sorted(set(listing) - set(entries))
        replaced = sorted(set(listing) & set(entries) - set(self.same))
        self._note("waiting", waiting, "not ingested yet; the next shoplake ingest reads them")
        self._note("replaced", replaced, "replaced since they were ingested; the next shoplake ingest re-ingests them")
        self._gone(sorted(set(entries) - set(listing)))

    def _note(self, what: str, paths: Sequence[str], meaning: str) -> None:
        if paths:
            more = f" and {len(paths) - FIRST:,} more" if len(paths) > FIRST else ""
            message = f"{count(len(paths), 'raw object')} {meaning}: {', '.join(paths[:FIRST])}{more}"
            self.notes.append(Note(what, message, {"files": list(paths)}))

    def _gone(self, paths: Sequence[str]) -> None:
        unread = [path for path in paths if self._entries[path].status == ledger.UNREADABLE]
        self._note("gone", unread, "were unreadable and are gone from the source")
        ingested = sorted(set(paths) - set(unread))
        if self._allow_gone:
            self._note("gone", ingested, "were ingested and are gone from the source; they cannot be recounted")
            self.audit.skipped += len(ingested)
            return
        for path in ingested:
            self.audit.checked += 1
            lines = self._entries[path].lines
            message = f"{path} was ingested ({count(lines, 'line')}) and is gone from the source"
            self.audit.differs("raw_gone", path, message, _RESTORE + _ALLOWED)

    def size(self, chosen: set[str]) -> int:
        """The size of the raw objects to read."""
        return sum(file.bytes for path, file in self.same.items() if path in chosen)

    def look(self, chosen: set[str], reader: Reader, inventory: Inventory, threads: int, progress: Progress) -> None:
        """Read the chosen raw objects, count their lines, and judge a sample of them again."""
        files = [file for path, file in sorted(self.same.items()) if path in chosen]
        self.audit.skipped += len(self.same) - len(files)
        with ThreadPoolExecutor(threads) as pool:
            for start in range(0, len(files), _FILES_AT_ONCE):
                group = files[start : start + _FILES_AT_ONCE]
                picked: dict[str, list[_Line]] = {}
                for file, read in zip(group, pool.map(self._read, group), strict=True):
                    if self._compare(file, read):
                        picked[file.path] = read.picked
                    progress(file.bytes, read.lines)
                if any(picked.values()):
                    self._judge_again(picked, reader, inventory)

    def _read(self, file: SourceFile) -> _Read:
        read = _Read()
        picks = _picks(f"{self._judge.seed} {file.path}", self._judge.lines, self._entries[file.path].lines)
        pick = next(picks, None)
        try:
            for first, block in self._blocks(file):
                read.lines += sum(map(bool, map(bytes.strip, block)))
                while pick is not None and pick < first + len(block):
                    if block[pick - first].strip():
                        read.picked.append((pick, block[pick - first]))
                    pick = next(picks, None)
        except UnreadableError as error:
            read.error = str(error)
        except GoneError:
            read.gone = True
        except OSError as error:
            read.error, read.unavailable = f"cannot be read now: {error.strerror or error}", True
        return read

    def _blocks(self, file: SourceFile) -> Iterator[tuple[int, list[bytes]]]:
        """The lines of a file. One that was ingested is read whatever its size: the bound may have been higher then."""
        bounds = self._judge.bounds
        if self._entries[file.path].status != ledger.UNREADABLE:
            bounds = Bounds(bounds.line_bytes, sys.maxsize)
        return line_blocks(self._source, file, bounds) if file.bytes else iter(())

    def _compare(self, file: SourceFile, read: _Read) -> bool:
        """Compare a raw object with its entry; True if its lines can be judged again."""
        entry = self._entries[file.path]
        if read.gone:
            self._gone([file.path])
            return False
        self.audit.checked += 1
        if entry.status == ledger.UNREADABLE:
            if not read.error:
                message = f"{file.path} is recorded as unreadable ({entry.error}), but can be read: {count(read.lines, 'line')}"
                self.audit.differs("readable", file.path, message, replay([file.path]), raw_lines=read.lines)
            return False
        if read.error:
            message = (
                f"{file.path} was ingested ({count(entry.lines, 'line')}), but can no longer be read: {read.error}"
            )
            self.audit.differs("raw_unreadable", file.path, message, _PERMISSIONS if read.unavailable else _RESTORE)
            return False
        if read.lines != entry.lines:
            message = f"{file.path} has {count(read.lines, 'line')}, the ledger counts {entry.lines:,}"
            more = {"raw_lines": read.lines, "lines": entry.lines}
            self.audit.differs("raw_lines", file.path, message, replay([file.path]), **more)
        return True

    # --------------------------------------------------------------------------------------------------- lines, judged again

    def _judge_again(self, picked: Mapping[str, Sequence[_Line]], reader: Reader, inventory: Inventory) -> None:
        lines = [(path, number, raw) for path, some in picked.items() for number, raw in some]
        self.lines.checked += len(lines)
        reasons = _judged(lines, reader)
        owners = self._stored_events(lines, reader, inventory)
        quarantined = _quarantined(sorted(picked), reader, inventory)
        accepted = _accepted(reader)
        wrong: dict[str, list[tuple[int, str]]] = defaultdict(list)
        other_keys: dict[str, dict[int, tuple[_Event, set[str | None]]]] = defaultdict(dict)
        for position, (path, number, raw) in enumerate(lines):
            row = quarantined.get((path, number))
            stored = owners[position]
            went = self._went(path, accepted.get(position))
            problems = (
                [*self._problems(path, raw, reasons[position], row, set(stored))] if not went or row or stored else []
            )
            wrong[path] += [(number, problem) for problem in problems]
            if not problems and not went and path in stored and accepted[position][1] not in stored[path]:
                other_keys[path][number] = accepted[position][0], stored[path]
        for path, some in other_keys.items():
            wrong[path] = sorted([*wrong[path], *self._not_of_the_first_line(path, some, reader)])
        for path, found in sorted((path, some) for path, some in wrong.items() if some):
            number, why = found[0]
            message = (
                f"{path}: {len(found):,} of {count(len(picked[path]), 'line')} judged again are not where they belong"
            )
            self.lines.differs(
                "lines",
                path,
                f"{message}; first: line {number} {why}",
                _replay_quarantine(path) if all(why == _PASSES_NOW for _, why in found) else replay([path]),
                lines=len(found),
                first=[{"line_number": line, "problem": problem} for line, problem in found[:FIRST]],
            )

    def _went(self, path: str, accepted: tuple[_Event, str | None] | None) -> bool:
        """Whether retention may have removed what became of a line: an event of a closed day, or a quarantined line."""
        if accepted is None:
            return retention.lacks_lines(self._view, self._entries[path])
        event_time = accepted[0][EVENT_COLUMNS.index("event_time")]
        return self._kept_from is not None and isinstance(event_time, datetime) and event_time < self._kept_from

    def _not_of_the_first_line(
        self, path: str, lines: Mapping[int, tuple[_Event, set[str | None]]], reader: Reader
    ) -> list[tuple[int, str]]:
        """Which lines are stored with other unknown keys, though no equal line comes before them, which the lake keeps.

        Args:
            path: The source file.
            lines: By number: the event, and the unknown keys of its stored rows.
            reader: The database; its table ``accepted`` has other rows afterwards.
        """
        first: dict[_Event, str | None] = {}
        if self._entries[path].duplicates:
            wanted = {event for event, _ in lines.values()}
            for number, block in self._blocks(self.same[path]):
                there = [(path, line, raw) for line, raw in enumerate(block, number) if raw.strip()]
                _judged(there, reader)
                for _, (event, extra) in sorted(_accepted(reader).items()):
                    if event in wanted:
                        first.setdefault(event, extra)
        return [
            (number, _OTHER_KEYS)
            for number, (event, stored) in lines.items()
            if event not in first or first[event] not in stored
        ]

    def _problems(
        self, path: str, raw: bytes, codes: list[str], row: _QuarantinedRow | None, owners: set[str]
    ) -> Iterator[str]:
        """Why a line is not where it belongs; ``owners`` are the source files of the stored rows that equal it."""
        if self._judge.erased and self._judge.erased.named_in(raw):
            if row is not None or owners:
                yield "is about an erased person, but is in the tables"
            return
        if row is not None and FUTURE in row[2]:
            row = (row[0], row[1], [code for code in row[2] if code != FUTURE])
            if row == (*raw_lines.to_text(raw), []) and not codes:
                return  # whether it was in the future when it arrived, no later judge can tell
        if codes:
            if row is None:
                yield f"breaks the contract ({', '.join(codes)}), but is not in quarantine"
            elif row != (*raw_lines.to_text(raw), codes):
                yield "is in quarantine with another text or other reasons"
            return
        if row is not None:
            yield _SHORT_ENOUGH_NOW if TOO_LONG in row[2] else _PASSES_NOW
        elif not owners & {path, *self._entries[path].duplicates_of}:
            elsewhere = f"; its event is in {', '.join(sorted(owners))}" if owners else ""
            yield f"is accepted, but is not in events{elsewhere}"

    def _stored_events(
        self, lines: Sequence[tuple[str, int, bytes]], reader: Reader, inventory: Inventory
    ) -> dict[int, dict[str, set[str | None]]]:
        """The source files of the stored rows that equal each of the lines, and the ``extra`` of these rows, by position."""
        found: dict[int, dict[str, set[str | None]]] = defaultdict(lambda: defaultdict(set))
        hours = {row[0] for row in reader.rows("SELECT DISTINCT date_trunc('hour', event_time) FROM accepted")}
        paths = sorted({owner for path, _, _ in lines for owner in (path, *self._entries[path].duplicates_of)})
        files = [
            file
            for file in inventory.usable(EVENTS)
            if file.may_hold("source_file", paths) and hours.intersection(hours_of(file, "event_time"))
        ]
        same = " AND ".join(
            f"judged.{name} {'=' if name in {'event_time', 'user_id', 'session_id'} else 'IS NOT DISTINCT FROM'} stored.{name}"
            for name in EVENT_COLUMNS
        )
        for position, path, extra in reader.rows(
            "SELECT DISTINCT judged.position, stored.source_file, stored.extra FROM accepted AS judged"
            f" JOIN {reader.relation(EVENTS, files)} AS stored ON {same}"
        ):
            found[position][path].add(extra)
        return found


def _replay_quarantine(path: str) -> str:
    return f"Judge its quarantined lines again, by the present contract: shoplake quarantine replay --file {path}"


def _picks(seed: str, wanted: int, lines: int) -> Iterator[int]:
    """The numbers of the lines to pick, ascending: all of a short file, otherwise at random distances."""
    chooser = random.Random(seed)  # noqa: S311 - a sample, not a secret
    number = 0
    while wanted:
        number += 1 if lines <= wanted else 1 + int(chooser.expovariate(wanted / lines))
        yield number


def _judged(lines: Sequence[tuple[str, int, bytes]], reader: Reader) -> dict[int, list[str]]:
    """The reasons against each line, by position; leaves the typed rows of the others in the table ``accepted``."""
    parsed = [parse_line(without_bom(number, raw)) for _, number, raw in lines]
    reader.connection.register("doubtful", as_table(parsed))
    judged = reasons_sql("doubtful", datetime.max)  # noqa: DTZ901 - times of the lake are UTC without a zone
    reader.connection.execute(f"CREATE OR REPLACE TEMP TABLE judged AS {judged}")
    reader.connection.execute("CREATE OR REPLACE TEMP TABLE accepted AS FROM judged WHERE reasons = ''")
    found = reader.rows("SELECT position, reasons FROM judged")
    return {position: codes.split(",") if codes else [] for position, codes in found}


def _accepted(reader: Reader) -> dict[int, tuple[_Event, str | None]]:
    """The events of the table ``accepted``, and their unknown keys, by position."""
    rows = reader.rows(f"SELECT position, extra, {', '.join(EVENT_COLUMNS)} FROM accepted")
    return {position: (tuple(event), extra) for position, extra, *event in rows}


def _quarantined(paths: Sequence[str], reader: Reader, inventory: Inventory) -> dict[tuple[str, int], _QuarantinedRow]:
    """The quarantined lines of some source files: text, encoding and reasons by file and line."""
    files = [file for file in inventory.usable(QUARANTINE) if file.may_hold("source_file", paths)]
    reader.connection.register("wanted", pa.table({"path": pa.array(paths, pa.string())}))
    rows = reader.rows(
        f"SELECT source_file, line_number, raw, encoding, reasons FROM {reader.relation(QUARANTINE, files)}"
        " WHERE source_file IN (SELECT path FROM wanted)"
    )
    return {(path, number): (raw, encoding, reasons) for path, number, raw, encoding, reasons in rows}
