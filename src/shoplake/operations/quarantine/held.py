"""What the quarantine holds: which lines, why, of which files, and the files that could not be read at all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from shoplake.contract import REASON_CODES
from shoplake.errors import UsageError
from shoplake.lake import ledger, parquet, raw_lines
from shoplake.lake.snapshots import View
from shoplake.tables import QUARANTINE


@dataclass(frozen=True)
class LineFilter:
    """Which quarantined lines are meant; all of them, unless something is given.

    Attributes:
        reason: Those that break this rule, whatever else they break.
        files: Those of these source files.
    """

    reason: str | None = None
    files: tuple[str, ...] = ()

    def takes(self, line: Line) -> bool:
        """Whether a line is meant."""
        return (not self.files or line.source_file in self.files) and (not self.reason or self.reason in line.reasons)


class Line(NamedTuple):
    """One quarantined line; the fields are the columns of ``quarantine``."""

    source_file: str
    line_number: int
    reasons: tuple[str, ...]
    raw: str
    encoding: str

    @property
    def octets(self) -> bytes:
        """The line exactly as it came, without its newline."""
        return raw_lines.to_bytes(self.raw, self.encoding)


@dataclass
class ReasonCount:
    """The lines that break one rule.

    Attributes:
        reason: The rule's code.
        lines: How many; a line that breaks several rules counts for each.
        files: In how many source files.
        source_file: The first of them by name.
        line_number: The first such line in it, as a sample.
        first_arrival: When the first of the files arrived, UTC.
        last_arrival: When the last of them did.
    """

    reason: str
    lines: int
    files: int
    source_file: str
    line_number: int
    first_arrival: datetime
    last_arrival: datetime


@dataclass
class FileCount:
    """The quarantined lines of one source file.

    Attributes:
        source_file: The file.
        lines: How many.
        reasons: Lines by reason.
        line_number: The first of them.
        arrived_at: When the file arrived, UTC.
    """

    source_file: str
    lines: int
    reasons: Counter[str]
    line_number: int
    arrived_at: datetime


class Unreadable(NamedTuple):
    """A source file that could not be read whole, why, and when it arrived."""

    source_file: str
    error: str
    arrived_at: datetime


@dataclass
class Counts:
    """What is quarantined.

    Attributes:
        lines: Quarantined lines in all.
        by_reason: By reason, most lines first.
        by_file: By file, most lines first.
        unreadable: Files that could not be read, by name; each is retried when its object changes.
    """

    lines: int
    by_reason: list[ReasonCount] = field(default_factory=list)
    by_file: list[FileCount] = field(default_factory=list)
    unreadable: list[Unreadable] = field(default_factory=list)


def count(view: View) -> Counts:
    """Count the quarantined lines, and name the unreadable files."""
    rows = _rows(view, LineFilter(), ("source_file", "line_number", "reasons", "arrived_at"))
    reasons: dict[str, ReasonCount] = {}
    last_file: dict[str, str] = {}
    files: dict[str, FileCount] = {}
    for path, number, codes, arrived in zip(*(column.to_pylist() for column in rows.columns), strict=True):
        of_file = files.setdefault(path, FileCount(path, 0, Counter(), number, arrived))
        of_file.lines += 1
        of_file.reasons.update(codes)
        for code in codes:
            found = reasons.setdefault(code, ReasonCount(code, 0, 0, path, number, arrived, arrived))
            found.lines += 1
            found.files += last_file.get(code) != path
            last_file[code] = path
            found.first_arrival = min(found.first_arrival, arrived)
            found.last_arrival = max(found.last_arrival, arrived)
    return Counts(
        rows.num_rows,
        sorted(reasons.values(), key=lambda one: (-one.lines, one.reason)),
        sorted(files.values(), key=lambda one: (-one.lines, one.source_file)),
        [
            Unreadable(path, str(entry.error), entry.arrived_at)
            for path, entry in sorted(ledger.read(view["ledger"]).items())
            if entry.status == ledger.UNREADABLE
        ],
    )


def files_of(view: View, choice: LineFilter) -> dict[str, int]:
    """How many chosen lines each source file has, by its path."""
    return dict(
        Counter(_rows(view, choice, ("source_file", "line_number", "reasons")).column("source_file").to_pylist())
    )


def lines(view: View, choice: LineFilter) -> Iterator[Line]:
    """The chosen lines, by file and number."""
    rows = _rows(view, choice, Line._fields)
    for batch in rows.to_batches(max_chunksize=10_000):
        for path, number, reasons, raw, encoding in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            yield Line(path, number, tuple(reasons), raw, encoding)


def check(view: View, choice: LineFilter) -> None:
    """Refuse what cannot be meant.

    Raises:
        UsageError: The lake does not know a file, or nobody knows the reason.
    """
    unknown = set(choice.files) - set(ledger.known(view["ledger"])) if choice.files else set()
    if unknown:
        raise UsageError(
            f"the lake does not know {', '.join(sorted(unknown))}",
            remedy="Name files as the lake does, by their path below the source: shoplake quarantine list --by file",
        )
    if choice.reason and choice.reason not in REASON_CODES:
        there = [one.reason for one in count(view).by_reason]
        if choice.reason not in there:
            raise UsageError(
                f"{choice.reason!r} is no reason code", remedy=f"Reasons in this lake: {', '.join(there) or 'none'}."
            )


def _rows(view: View, choice: LineFilter, columns: Sequence[str]) -> pa.Table:
    """Columns of the chosen lines, by file and number; ``reasons`` is among the columns if one is chosen."""
    snapshot = view[QUARANTINE.name]
    paths = sorted(choice.files)
    schema = parquet.arrow_schema(QUARANTINE)
    found = [pa.schema([schema.field(name) for name in columns]).empty_table()]
    for file in snapshot.files:
        if paths and not file.may_hold("source_file", paths):
            continue
        rows = parquet.read(QUARANTINE, snapshot.storage.read(file.path), columns)
        if paths:
            rows = rows.filter(pc.is_in(rows.column("source_file"), pa.array(paths, pa.string())))
        found.append(_with_reason(rows, choice.reason) if choice.reason else rows)
    return pa.concat_tables(found).sort_by([("source_file", "ascending"), ("line_number", "ascending")])


def _with_reason(rows: pa.Table, reason: str) -> pa.Table:
    column = rows.column("reasons").combine_chunks()
    parents = pc.list_parent_indices(column).filter(pc.equal(pc.list_flatten(column), reason))
    return rows.take(pc.unique(parents))


def of_files(view: View, paths: Collection[str]) -> dict[str, list[Line]]:
    """All quarantined lines of some source files, by path."""
    found: dict[str, list[Line]] = {path: [] for path in paths}
    for line in lines(view, LineFilter(files=tuple(paths))) if paths else ():
        found[line.source_file].append(line)
    return found
