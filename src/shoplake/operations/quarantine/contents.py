"""What is in quarantine: which lines, why, from which files; and the files that could not be read at all."""

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
    """Which quarantined lines to select; all of them by default.

    Attributes:
        reason: Only those that break this rule, whatever else they break.
        files: Only those of these source files.
    """

    reason: str | None = None
    files: tuple[str, ...] = ()

    def takes(self, line: Line) -> bool:
        """Whether a line is selected."""
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
        """The line exactly as it arrived, without its newline."""
        return raw_lines.to_bytes(self.raw, self.encoding)


@dataclass
class ReasonCount:
    """The lines that break one rule.

    Attributes:
        reason: The rule's code.
        lines: How many; a line that breaks several rules counts for each.
        files: In how many source files.
        source_file: The first of them by name.
        line_number: The first such line in it, as an example.
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
    """An unreadable source file, why it is unreadable, and when it arrived."""

    source_file: str
    error: str
    arrived_at: datetime


@dataclass
class Counts:
    """What is in quarantine, counted.

    Attributes:
        lines: All quarantined lines.
        by_reason: By reason, most lines first.
        by_file: By file, most lines first.
        unreadable: Unreadable files, by name; each is retried when its object changes.
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
            of_reason = reasons.setdefault(code, ReasonCount(code, 0, 0, path, number, arrived, arrived))
            of_reason.lines += 1
            of_reason.files += last_file.get(code) != path
            last_file[code] = path
            of_reason.first_arrival = min(of_reason.first_arrival, arrived)
            of_reason.last_arrival = max(of_reason.last_arrival, arrived)
    return Counts(
        rows.num_rows,
        sorted(reasons.values(), key=lambda reason: (-reason.lines, reason.reason)),
        sorted(files.values(), key=lambda file: (-file.lines, file.source_file)),
        [
            Unreadable(path, str(entry.error), entry.arrived_at)
            for path, entry in sorted(ledger.read(view["ledger"]).items())
            if entry.status == ledger.UNREADABLE
        ],
    )


def files_of(view: View, chosen: LineFilter) -> dict[str, int]:
    """How many selected lines each source file has, by its path."""
    return dict(
        Counter(_rows(view, chosen, ("source_file", "line_number", "reasons")).column("source_file").to_pylist())
    )


def lines(view: View, chosen: LineFilter) -> Iterator[Line]:
    """The selected lines, by file and number."""
    rows = _rows(view, chosen, Line._fields)
    for batch in rows.to_batches(max_chunksize=10_000):
        for path, number, reasons, raw, encoding in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            yield Line(path, number, tuple(reasons), raw, encoding)


def check(view: View, chosen: LineFilter) -> None:
    """Refuse a selection that names an unknown file or reason.

    Raises:
        UsageError: No such file is in the ledger, or no rule has such a code.
    """
    unknown = set(chosen.files) - set(ledger.plan_entries(view["ledger"])) if chosen.files else set()
    if unknown:
        raise UsageError(
            f"the lake has no source file {', '.join(sorted(unknown))}",
            remedy="Name files by their path below the source, as in: shoplake quarantine list --by file",
        )
    if chosen.reason and chosen.reason not in REASON_CODES:
        present = [counted.reason for counted in count(view).by_reason]
        if chosen.reason not in present:
            raise UsageError(
                f"{chosen.reason!r} is not a reason code",
                remedy=f"Reasons in this lake: {', '.join(present) or 'none'}.",
            )


def _rows(view: View, chosen: LineFilter, columns: Sequence[str]) -> pa.Table:
    """Columns of the selected lines, by file and number; ``reasons`` must be one of them to select by reason."""
    snapshot = view[QUARANTINE.name]
    paths = sorted(chosen.files)
    schema = parquet.arrow_schema(QUARANTINE)
    parts = [pa.schema([schema.field(name) for name in columns]).empty_table()]
    for file in snapshot.files:
        if paths and not file.may_hold("source_file", paths):
            continue
        with parquet.reading(file.path):
            rows = parquet.read(QUARANTINE, snapshot.storage.read(file.path), columns)
        if paths:
            rows = rows.filter(pc.is_in(rows.column("source_file"), pa.array(paths, pa.string())))
        parts.append(_with_reason(rows, chosen.reason) if chosen.reason else rows)
    return pa.concat_tables(parts).sort_by([("source_file", "ascending"), ("line_number", "ascending")])


def _with_reason(rows: pa.Table, reason: str) -> pa.Table:
    column = rows.column("reasons").combine_chunks()
    parents = pc.list_parent_indices(column).filter(pc.equal(pc.list_flatten(column), reason))
    return rows.take(pc.unique(parents))


def of_files(view: View, paths: Collection[str]) -> dict[str, list[Line]]:
    """All quarantined lines of some source files, by path."""
    by_file: dict[str, list[Line]] = {path: [] for path in paths}
    for line in lines(view, LineFilter(files=tuple(paths))) if paths else ():
        by_file[line.source_file].append(line)
    return by_file
