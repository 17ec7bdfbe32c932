"""The Python interface for analysts: a lake opened for reading."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import date, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import duckdb

from shoplake import queries
from shoplake.errors import FatalError, UsageError
from shoplake.lake import Lake
from shoplake.scans import Scans
from shoplake.snapshots import DataFile, TableSnapshot, View
from shoplake.tables import TABLES, Table

if TYPE_CHECKING:
    from duckdb import DuckDBPyRelation

    from shoplake.operations.verify import Report

_SQL_TYPES = {
    "string": "VARCHAR",
    "int": "INTEGER",
    "long": "BIGINT",
    "double": "DOUBLE",
    "timestamp": "TIMESTAMP",
    "date": "DATE",
    "list<string>": "VARCHAR[]",
}


# Partitioned columns that tell when an event happened; the others tell when it arrived.
_TIMES_OF_EVENTS = ("event_time", "event_hour", "event_date")


def open(  # noqa: A001 - read as shoplake.open(lake)
    lake: str | Path, *, threads: int | None = None, since: date | None = None, until: date | None = None
) -> OpenLake:
    """Open a lake for reading.

    What is read is one consistent state: every table as the last batch left it at the moment of opening. Later batches are
    seen by opening again, or by :meth:`OpenLake.refresh`.

    Args:
        lake: The lake's folder, or s3://BUCKET/PREFIX.
        threads: Cores to use; all by default.
        since: The first day (UTC) to see of the events and of the gold tables; all by default.
        until: The last one, included. ``ledger`` and ``quarantine`` are always whole.

    Raises:
        UsageError: There is no lake at that place.
        FatalError: The lake is damaged.

    Example:
        >>> import shoplake
        >>> lake = shoplake.open("lake")
        >>> lake.query("conversion_funnel").df()
        >>> lake.sql("SELECT count(*) FROM events WHERE event_type = 'purchase'").fetchall()
    """
    return OpenLake(Lake(lake), threads, since, until)


def verify(
    lake: str | Path,
    source: str | Path | None = None,
    *,
    sample: float = 1.0,
    repair: bool = False,
    threads: int | None = None,
) -> Report:
    """Recount a lake from its raw objects and from every table, and compare all with the ledger.

    Args:
        lake: The lake's folder, or s3://BUCKET/PREFIX.
        source: The folder or prefix of its raw objects; without it they are left out.
        sample: The share of hours, days and files to look at, above 0, and 1 for all.
        repair: Whether hours and days of gold that differ from the events are rebuilt.
        threads: Cores to use; all by default.

    Returns:
        ``.ok``, ``.differences`` (each with ``where``, ``message`` and ``remedy``), ``.checks``, ``.notes``, ``.as_json()``.

    Raises:
        UsageError: There is no lake, or no source, at that place.

    Example:
        >>> import shoplake
        >>> shoplake.verify("lake", "raw").ok
        True
    """
    from shoplake.discover import open_source
    from shoplake.engines.duckdb import DuckDBEngine
    from shoplake.operations import verify as operation

    if not 0 < sample <= 1:
        raise UsageError(f"sample={sample} is no share", remedy="Give a number above 0, and 1 for all.")
    cores = threads or os.cpu_count() or 1
    place = None if source is None else open_source(source)
    request = operation.Request(Lake(lake), place, lambda: DuckDBEngine(cores), cores, share=sample, repair=repair)
    return operation.verify(request)


class OpenLake:
    """A lake opened for reading; see :func:`open`. Usable as a context manager."""

    def __init__(
        self, lake: Lake, threads: int | None = None, since: date | None = None, until: date | None = None
    ) -> None:
        """Read the lake's newest consistent set of snapshots."""
        self._lake = lake
        self._days = None if since is None and until is None else (since or date.min, until or date.max)
        self._connection = duckdb.connect(config={"threads": threads} if threads else {})
        self._connection.execute("SET GLOBAL TimeZone = 'UTC'")
        self._scans = Scans(self._connection)
        self.refresh()

    @property
    def tables(self) -> tuple[str, ...]:
        """The names of the tables."""
        return tuple(table.name for table in TABLES)

    @property
    def view(self) -> View:
        """The snapshots that are being read."""
        return self._view

    def refresh(self) -> None:
        """Move on to the newest consistent set of snapshots."""
        self._view = self._lake.need().view()
        self._viewed: set[str] = set()

    def sql(self, text: str) -> DuckDBPyRelation:
        """A DuckDB relation over the tables: ``.df()``, ``.arrow()``, ``.pl()``, ``.fetchall()`` give its rows.

        Args:
            text: One SELECT; tables by their plain names. Times are UTC.
        """
        for table in TABLES:
            if table.name not in self._viewed and table.name in text.lower():
                self._make_view(table)
        with self.reading():
            return self._connection.sql(text)

    def query(self, name: str | int) -> DuckDBPyRelation:
        """One of the five questions, by name or number.

        Args:
            name: For instance ``"conversion_funnel"`` or ``1``.
        """
        return self.sql(queries.find(str(name))[0].sql)

    def reading(self) -> AbstractContextManager[None]:
        """A block in which the rows of a relation are fetched: what fails on S3 is told in our own words.

        Without it DuckDB tells it, as the text of its own error.

        Raises:
            ShoplakeError: What went wrong on S3.
        """
        return self._scans.reading()

    def register(self, name: str, rows: Any) -> None:
        """Make rows of your own queryable beside the tables.

        Args:
            name: The name to use in SQL.
            rows: A pandas or polars data frame, an Arrow table, or a DuckDB relation's ``.arrow()``.
        """
        self._connection.register(name, rows)

    def _make_view(self, table: Table) -> None:
        """Make a table known to DuckDB, which opens one of its files: only the tables that are asked for."""
        try:
            with self.reading():
                rows = self._select(table, self._view[table.name])
                self._connection.execute(f"CREATE OR REPLACE VIEW {table.name} AS {rows}")
        except duckdb.IOException as error:
            raise FatalError(
                f"a data file of table {table.name} cannot be read: {error}",
                remedy="Was the lake moved or partly deleted?",
            ) from error
        self._viewed.add(table.name)

    def _select(self, table: Table, snapshot: TableSnapshot) -> str:
        columns = ", ".join(column.name for column in table.columns)
        files, condition = _narrowed(table, snapshot, self._days)
        if not files:
            nothing = ", ".join(
                f"CAST(NULL AS {_SQL_TYPES.get(column.type, column.type.upper())}) AS {column.name}"
                for column in table.columns
            )
            return f"SELECT {nothing} WHERE FALSE"
        return f"SELECT {columns} FROM {self._scans.parquet(files)}{condition}"

    def close(self) -> None:
        """Let go of the lake."""
        self._connection.close()

    def __enter__(self) -> Self:
        """The lake itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go of the lake."""
        self.close()


def _narrowed(table: Table, snapshot: TableSnapshot, days: tuple[date, date] | None) -> tuple[Sequence[DataFile], str]:
    """The files that can hold rows of some days, and the condition that picks these rows."""
    column = table.partition[0]
    if days is None or column not in _TIMES_OF_EVENTS:
        return snapshot.files, ""
    low, high = days
    if column != "event_date":
        low, high = (datetime(day.year, day.month, day.day) for day in days)  # noqa: DTZ001 - UTC without a zone
        high += timedelta(days=1, microseconds=-1)
    kind = "DATE" if column == "event_date" else "TIMESTAMP"
    condition = f" WHERE {column} BETWEEN {kind} '{low.isoformat()}' AND {kind} '{high.isoformat()}'"
    return snapshot.within(low, high), condition
