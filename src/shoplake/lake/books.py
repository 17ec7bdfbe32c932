"""The ledger as columns: what is asked of all its rows at once, however many there are."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from shoplake.lake import ledger
from shoplake.lake.ledger import TO_DO, UNREADABLE, PlanEntry
from shoplake.lake.snapshots import TableSnapshot

FATES = ("accepted", "duplicates", "quarantined", "erased")
_COLUMNS = (
    "source_file",
    "version",
    "status",
    "error",
    "lines",
    *FATES,
    "duplicates_of",
    "max_event_time",
    "arrived_at",
    "batch",
    "engine",
    "seconds",
)


@dataclass(frozen=True)
class BatchSummary:
    """A batch, without the files that a later batch re-ingested.

    Attributes:
        batch: Its id.
        when: When it was committed, UTC; where the ledger's history no longer has that, the latest arrival of its files.
        files: Source files, unreadable ones included.
        lines: Their lines.
        quarantined: Those that break the contract.
        engine: What computed it.
        seconds: How long it took, from reading its first file to publishing; where the ledger's history no longer has that,
            the time spent reading and checking its files, summed over the threads.
    """

    batch: str
    when: datetime
    files: int
    lines: int
    quarantined: int
    engine: str
    seconds: float


@dataclass(frozen=True)
class Books:
    """Some rows of the ledger, or all.

    Attributes:
        rows: The columns that are asked about.
    """

    rows: pa.Table

    @property
    def files(self) -> int:
        """How many there are."""
        return int(self.rows.num_rows)

    def total(self, column: str) -> int:
        """The sum of a column of numbers."""
        return pc.sum(self.rows.column(column)).as_py() or 0

    def latest(self, column: str) -> datetime | None:
        """The latest time of a column; None if it has none."""
        found: datetime | None = pc.max(self.rows.column(column)).as_py()
        return found

    def each(self) -> list[dict[str, Any]]:
        """The rows, one by one."""
        return list(self.rows.to_pylist())

    @property
    def paths(self) -> list[str]:
        """The source files."""
        return list(self.rows.column("source_file").to_pylist())

    @property
    def plan_entries(self) -> dict[str, PlanEntry]:
        """The columns that planning needs, by source file."""
        rows = self.rows
        none: tuple[str, ...] = ()
        linked = pc.greater(pc.fill_null(pc.list_value_length(rows.column("duplicates_of")), 0), 0).to_pylist()
        columns = (rows.column(name).to_pylist() for name in ("source_file", "version", "status"))
        entries = {path: PlanEntry(version, status, none) for path, version, status in zip(*columns, strict=True)}
        for place in (place for place, links in enumerate(linked) if links):
            path = rows.column("source_file")[place].as_py()
            links = tuple(rows.column("duplicates_of")[place].as_py())
            entries[path] = entries[path]._replace(duplicates_of=links)
        return entries

    @property
    def inconsistent(self) -> list[str]:
        """The source files whose lines are not the sum of their fates."""
        accounted = self.rows.column(FATES[0])
        for fate in FATES[1:]:
            accounted = pc.add(accounted, self.rows.column(fate))
        return self._where(pc.not_equal(accounted, self.rows.column("lines"))).paths

    @property
    def unreadable(self) -> Books:
        """The files that could not be read."""
        return self._where(pc.equal(self.rows.column("status"), UNREADABLE))

    @property
    def to_do(self) -> int:
        """How many files the next batch ingests again."""
        return self._where(pc.is_in(self.rows.column("status"), pa.array(TO_DO))).files

    def arrived(self, *, after: datetime | None = None, until: datetime | None = None) -> Books:
        """The files that arrived after a time, and not after another."""
        rows = self.rows
        if after is not None:
            rows = rows.filter(pc.greater(rows.column("arrived_at"), _moment(after)))
        if until is not None:
            rows = rows.filter(pc.less_equal(rows.column("arrived_at"), _moment(until)))
        return Books(rows)

    def batches(self, named: Collection[str], latest: int) -> list[BatchSummary]:
        """Some batches, each once, as the ledger's rows know them.

        Args:
            named: The ids of batches; those that the ledger no longer has are left out.
            latest: How many others there are at most: those with the latest arrivals.
        """
        sums = [("arrived_at", "max"), ("source_file", "count"), ("seconds", "sum"), ("engine", "min")]
        sums += [("lines", "sum"), ("quarantined", "sum")]
        grouped = self.rows.group_by("batch", use_threads=False).aggregate(sums)
        among = pc.is_in(grouped.column("batch"), pa.array(list(named), pa.string()))
        others = grouped.filter(pc.invert(among))
        order = pc.sort_indices(others, sort_keys=[("arrived_at_max", "descending"), ("batch", "descending")])
        return [
            BatchSummary(
                row["batch"],
                row["arrived_at_max"],
                row["source_file_count"],
                row["lines_sum"],
                row["quarantined_sum"],
                row["engine_min"],
                row["seconds_sum"],
            )
            for row in (*grouped.filter(among).to_pylist(), *others.take(order[:latest]).to_pylist())
        ]

    def _where(self, mask: Any) -> Books:
        return Books(self.rows.filter(mask))


def read(snapshot: TableSnapshot) -> Books:
    """All rows of a snapshot of the ledger."""
    return Books(ledger.columns(snapshot, _COLUMNS))


def _moment(at: datetime) -> pa.Scalar:
    return pa.scalar(at, pa.timestamp("us"))
