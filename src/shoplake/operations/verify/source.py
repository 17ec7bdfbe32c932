"""Raw objects: their lines against the ledger, and a sample of lines judged anew and looked for in the tables.

The second judge is the careful reader: Python's JSON parser and the contract's rules one by one, as reasons. It shares no
parsing with the engine's fast pass, which reads nearly every line with DuckDB and one combined condition.
"""

from __future__ import annotations

import base64
import random
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime

import pyarrow as pa

from shoplake.contract import EVENT_COLUMNS, FUTURE, parse_line, reasons_sql, without_bom
from shoplake.engines.judging import as_table
from shoplake.lake import ledger
from shoplake.lake.erasures import Erased
from shoplake.lake.ledger import Entry
from shoplake.operations.verify.files import Inventory, hours_of
from shoplake.operations.verify.findings import FIRST, Check, Note, replay
from shoplake.operations.verify.reader import Progress, Reader
from shoplake.sources.base import Source, SourceFile
from shoplake.sources.lines import GoneError, UnreadableError, line_blocks
from shoplake.tables import EVENTS, QUARANTINE

_FILES_AT_ONCE = 24
_RESTORE = "Restore the object. The lake still holds its events, but nothing can prove them any more."
_ALLOWED = " If a retention rule removes raw objects on purpose: shoplake verify --allow-gone"

_MENDED = "meets the contract, but is in quarantine"

_Line = tuple[int, bytes]
_Held = tuple[str, str, list[str]]


@dataclass(frozen=True)
class Judge:
    """How lines are judged anew.

    Attributes:
        lines: How many of each file; 0 for none.
        seed: What chooses them.
        erased: Whose lines must be nowhere.
    """

    lines: int
    seed: int
    erased: Erased


@dataclass
class _Read:
    """What reading one raw object gave."""

    lines: int = 0
    picked: list[_Line] = field(default_factory=list)
    error: str = ""
    gone: bool = False


class Raw:
    """Compares the raw objects with the ledger and with the tables."""

    def __init__(self, source: Source, entries: Mapping[str, Entry], judge: Judge, *, allow_gone: bool) -> None:
        """List the source, and tell what waits, what was replaced and what is gone.

        Args:
            source: Where the raw objects are.
            entries: The ledger.
            judge: How lines are judged anew.
            allow_gone: Whether an ingested object that is gone is no damage.
        """
        self.check = Check("source", "lines of each = the ledger's", "raw objects")
        self.lines = Check("lines", "judged anew, they are in place", "lines")
        self.notes: list[Note] = []
        self._source, self._entries, self._judge, self._allow_gone = source, entries, judge, allow_gone
        listing = {file.path: file for file in source.list()}
        self.same = {
            path: file for path, file in listing.items() if path in entries and entries[path].version == file.version
        }
        waiting = sorted(set(listing) - set(entries))
        replaced = sorted(set(listing) & set(entries) - set(self.same))
        self._note("waiting", waiting, "not ingested yet; the next shoplake ingest takes them in")
        self._note(
            "replaced", replaced, "replaced since they were ingested; the next shoplake ingest takes them in again"
        )
        self._gone(sorted(set(entries) - set(listing)))

    def _note(self, what: str, paths: Sequence[str], meaning: str) -> None:
        if paths:
            more = f" and {len(paths) - FIRST:,} more" if len(paths) > FIRST else ""
            message = f"{len(paths):,} raw objects {meaning}: {', '.join(paths[:FIRST])}{more}"
            self.notes.append(Note(what, message, {"files": list(paths)}))

    def _gone(self, paths: Sequence[str]) -> None:
        unread = [path for path in paths if self._entries[path].status == ledger.UNREADABLE]
        self._note("gone", unread, "could not be read and are gone from the source")
        ingested = sorted(set(paths) - set(unread))
        if self._allow_gone:
            self._note("gone", ingested, "were ingested and are gone from the source; they cannot be recounted")
            self.check.skipped += len(ingested)
            return
        for path in ingested:
            self.check.checked += 1
            lines = self._entries[path].lines
            message = f"{path} was ingested ({lines:,} lines) and is gone from the source"
            self.check.differs("raw_gone", path, message, _RESTORE + _ALLOWED)

    def size(self, chosen: set[str]) -> int:
        """The bytes of the raw objects that will be read."""
        return sum(file.bytes for path, file in self.same.items() if path in chosen)

    def look(self, chosen: set[str], reader: Reader, inventory: Inventory, threads: int, progress: Progress) -> None:
        """Read the chosen raw objects, count their lines, and judge a sample of them anew."""
        files = [file for path, file in sorted(self.same.items()) if path in chosen]
        self.check.skipped += len(self.same) - len(files)
        with ThreadPoolExecutor(threads) as pool:
            for start in range(0, len(files), _FILES_AT_ONCE):
                group = files[start : start + _FILES_AT_ONCE]
                picked: dict[str, list[_Line]] = {}
                for file, read in zip(group, pool.map(self._read, group), strict=True):
                    if self._compare(file, read):
                        picked[file.path] = read.picked
                    progress(file.bytes, read.lines)
                if any(picked.values()):
                    self._judge_anew(picked, reader, inventory)

    def _read(self, file: SourceFile) -> _Read:
        read = _Read()
        picks = _picks(f"{self._judge.seed} {file.path}", self._judge.lines, self._entries[file.path].lines)
        pick = next(picks, None)
        try:
            for first, block in line_blocks(self._source, file) if file.bytes else ():
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
            read.error = f"cannot be read: {error.strerror or error}"
        return read

    def _compare(self, file: SourceFile, read: _Read) -> bool:
        """Compare a raw object with its entry; True if its lines can be judged anew."""
        entry = self._entries[file.path]
        if read.gone:
            self._gone([file.path])
            return False
        self.check.checked += 1
        if entry.status == ledger.UNREADABLE:
            if not read.error:
                message = (
                    f"{file.path} is set aside as unreadable ({entry.error}), but can be read: {read.lines:,} lines"
                )
                self.check.differs("readable", file.path, message, replay([file.path]), raw_lines=read.lines)
            return False
        if read.error:
            message = f"{file.path} was ingested ({entry.lines:,} lines), but cannot be read any more: {read.error}"
            self.check.differs("raw_unreadable", file.path, message, _RESTORE)
            return False
        if read.lines != entry.lines:
            message = f"{file.path} has {read.lines:,} lines, the ledger says {entry.lines:,}"
            more = {"raw_lines": read.lines, "lines": entry.lines}
            self.check.differs("raw_lines", file.path, message, replay([file.path]), **more)
        return True

    # --------------------------------------------------------------------------------------------------- lines, judged anew

    def _judge_anew(self, picked: Mapping[str, Sequence[_Line]], reader: Reader, inventory: Inventory) -> None:
        lines = [(path, number, raw) for path, some in picked.items() for number, raw in some]
        self.lines.checked += len(lines)
        reasons = _judged(lines, reader)
        held = self._held_events(lines, reader, inventory)
        quarantined = _held_quarantine(sorted(picked), reader, inventory)
        wrong: dict[str, list[tuple[int, str]]] = defaultdict(list)
        for position, (path, number, raw) in enumerate(lines):
            row = quarantined.get((path, number))
            problems = self._problems(path, raw, reasons[position], row, held[position])
            wrong[path] += [(number, problem) for problem in problems]
        for path, found in sorted((path, some) for path, some in wrong.items() if some):
            number, why = found[0]
            message = f"{path}: {len(found):,} of {len(picked[path]):,} lines judged anew are not where they belong"
            self.lines.differs(
                "lines",
                path,
                f"{message}; first: line {number} {why}",
                _judge_again(path) if all(why == _MENDED for _, why in found) else replay([path]),
                lines=len(found),
                first=[{"line_number": line, "problem": problem} for line, problem in found[:FIRST]],
            )

    def _problems(self, path: str, raw: bytes, codes: list[str], row: _Held | None, held: set[str]) -> Iterator[str]:
        """Why a line is not where it belongs."""
        if self._judge.erased and self._judge.erased.named_in(raw):
            if row is not None or held:
                yield "is about an erased person, but is in the tables"
            return
        if row is not None and FUTURE in row[2]:
            row = (row[0], row[1], [code for code in row[2] if code != FUTURE])
            if row == (*_as_text(raw), []) and not codes:
                return  # what was the future when it arrived, no later judge can tell
        if codes:
            if row is None:
                yield f"breaks the contract ({', '.join(codes)}), but is not in quarantine"
            elif row != (*_as_text(raw), codes):
                yield "is in quarantine with another text or other reasons"
            return
        if row is not None:
            yield _MENDED
        elif not held & {path, *self._entries[path].duplicates_of}:
            elsewhere = f"; {', '.join(sorted(held))} holds its event" if held else ""
            yield f"is accepted, but is not in events{elsewhere}"

    def _held_events(
        self, lines: Sequence[tuple[str, int, bytes]], reader: Reader, inventory: Inventory
    ) -> dict[int, set[str]]:
        """The source files of the stored rows that equal each of the lines, by position."""
        found: dict[int, set[str]] = defaultdict(set)
        hours = {row[0] for row in reader.rows("SELECT DISTINCT date_trunc('hour', event_time) FROM accepted")}
        paths = sorted({owner for path, _, _ in lines for owner in (path, *self._entries[path].duplicates_of)})
        files = [
            file
            for file in inventory.usable(EVENTS)
            if file.may_hold("source_file", paths) and hours.intersection(hours_of(file, "event_time"))
        ]
        same = " AND ".join(
            f"judged.{name} {'=' if name in {'event_time', 'user_id', 'session_id'} else 'IS NOT DISTINCT FROM'} held.{name}"
            for name in EVENT_COLUMNS
        )
        for position, path in reader.rows(
            "SELECT DISTINCT judged.position, held.source_file FROM accepted AS judged"
            f" JOIN {reader.relation(EVENTS, files)} AS held ON {same}"
        ):
            found[position].add(path)
        return found


def _judge_again(path: str) -> str:
    return f"Judge its quarantined lines by the present contract: shoplake quarantine replay --file {path}"


def _picks(seed: str, wanted: int, lines: int) -> Iterator[int]:
    """The numbers of lines to pick, rising: all of a short file, else at random distances."""
    chooser = random.Random(seed)  # noqa: S311 - a sample, no secret
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


def _held_quarantine(paths: Sequence[str], reader: Reader, inventory: Inventory) -> dict[tuple[str, int], _Held]:
    """The quarantined lines of some source files: text, encoding and reasons by file and line."""
    files = [file for file in inventory.usable(QUARANTINE) if file.may_hold("source_file", paths)]
    reader.connection.register("wanted", pa.table({"path": pa.array(paths, pa.string())}))
    rows = reader.rows(
        f"SELECT source_file, line_number, raw, encoding, reasons FROM {reader.relation(QUARANTINE, files)}"
        " WHERE source_file IN (SELECT path FROM wanted)"
    )
    return {(path, number): (raw, encoding, reasons) for path, number, raw, encoding, reasons in rows}


def _as_text(raw: bytes) -> tuple[str, str]:
    try:
        return raw.decode("utf-8"), "utf-8"
    except UnicodeDecodeError:
        return base64.b64encode(raw).decode("ascii"), "base64"
