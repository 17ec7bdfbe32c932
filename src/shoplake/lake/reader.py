"""A lake opened for reading: its tables as DuckDB relations, all of one consistent state."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import duckdb

from shoplake import queries
from shoplake.errors import FatalError, MissingFileError, TransientError, UsageError
from shoplake.lake import parts
from shoplake.lake.catalog import Lake
from shoplake.lake.scans import Scans, connect, lock, only_reads
from shoplake.lake.snapshots import DataFile, TableSnapshot, View
from shoplake.lake.types import column_type
from shoplake.tables import TABLES, Table

if TYPE_CHECKING:
    from duckdb import DuckDBPyRelation

# Partitioned columns that tell when an event happened; the others tell when it arrived.
_TIMES_OF_EVENTS = ("event_time", "event_hour", "event_date")


class OpenLake:
    """A lake opened for reading; see :func:`shoplake.open`. Usable as a context manager."""

    def __init__(
        self,
        lake: Lake,
        threads: int | None = None,
        since: date | None = None,
        until: date | None = None,
        *,
        allow_external: bool = False,
    ) -> None:
        """Read the lake's newest consistent set of snapshots."""
        self._lake = lake
        self._allow_external = allow_external
        self._days = None if since is None and until is None else (since or date.min, until or date.max)
        self._connection = connect(threads)
        if not allow_external:
            lock(self._connection, lake.root)
        self._scans = Scans(self._connection)
        self.refresh()

    @property
    def tables(self) -> tuple[str, ...]:
        """The names of the tables."""
        return tuple(table.name for table in TABLES)

    @property
    def place(self) -> str:
        """The lake's folder, or its s3:// prefix."""
        return self._lake.root

    @property
    def view(self) -> View:
        """The snapshots that are being read."""
        return self._view

    def refresh(self) -> None:
        """Move on to the newest consistent set of snapshots."""
        self._view = self._lake.need_view()
        self._viewed: set[str] = set()

    def sql(self, text: str) -> DuckDBPyRelation:
        """A DuckDB relation over the tables: ``.df()``, ``.arrow()``, ``.pl()``, ``.fetchall()`` give its rows.

        Args:
            text: One statement that reads: SELECT, SHOW TABLES, DESCRIBE, EXPLAIN and the like; tables by their plain
                names. Times are UTC.

        Raises:
            UsageError: It is not one statement, or it could change something.
            duckdb.Error: It is not SQL, or reaches for a file outside the lake.
        """
        self._prepare(text)
        with self.reading():
            return self._connection.sql(text)

    def stream(self, text: str, rows_at_once: int = 2000) -> tuple[list[str], Iterator[list[tuple[Any, ...]]]]:
        """The names of a statement's columns, and its rows in lists, each when it is asked for.

        However many rows there are, few of them are in memory; the next call ends the stream.

        Args:
            text: As for :meth:`sql`, and so are the errors. What fails on the way raises errors of shoplake too.
            rows_at_once: Rows of one list.
        """
        self._prepare(text)
        with self.reading():
            cursor = self._connection.execute(text)
            columns = [column[0] for column in cursor.description or ()]

        def rest() -> Iterator[list[tuple[Any, ...]]]:
            while True:
                with self.reading():
                    rows = cursor.fetchmany(rows_at_once)
                if not rows:
                    return
                yield rows

        return columns, rest()

    def _prepare(self, text: str) -> None:
        """Check a text, and define the tables that it reads."""
        self._check(text)
        used = self._tables_of(text)
        for table in TABLES:
            if table.name in used and table.name not in self._viewed:
                self._make_view(table)

    def _check(self, text: str) -> None:
        """Refuse a text that is not one statement, and one that could write; the connection itself is locked as well."""
        statements = duckdb.extract_statements(text)
        if not statements:
            raise UsageError("the text contains no statement", remedy="Give a SELECT.")
        if len(statements) > 1:
            raise UsageError("the text has several statements", remedy="Run them one by one; each has its own rows.")
        if not self._allow_external and not only_reads(statements[0]):
            kind = statements[0].type.name
            raise UsageError(
                f"a lake is opened for reading, and {kind} is not a statement that only reads",
                remedy="Use SELECT, SHOW, DESCRIBE, SUMMARIZE or EXPLAIN. To write elsewhere with DuckDB:"
                " shoplake.open(lake, allow_external=True).",
            )

    def _tables_of(self, text: str) -> Collection[str]:
        """The tables that a text reads, as DuckDB parses it; all of them where it cannot tell.

        It cannot where a text asks for the catalog (SHOW TABLES), joins a table of ours USING columns that it does not know
        yet, or becomes several statements (PIVOT). A text that is not SQL raises when it is run.
        """
        try:
            found = {name.lower() for name in self._parser.get_table_names(text)}
        except duckdb.Error:
            found = set()
        return found or self.tables

    @cached_property
    def _parser(self) -> duckdb.DuckDBPyConnection:
        """An empty database: where a table is a view, DuckDB names what it reads instead of the view."""
        return duckdb.connect()

    def query(self, name: str | int) -> DuckDBPyRelation:
        """One of the five questions, by name or number.

        Args:
            name: For instance ``"conversion_funnel"`` or ``1``.
        """
        return self.sql(queries.find(str(name))[0].sql)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """A block in which the rows of a relation are fetched: what fails is raised as an error of shoplake.

        Outside such a block it is DuckDB's own error.

        Raises:
            TransientError: The lake has changed since it was opened, and a file of the version being read is gone.
            ShoplakeError: What went wrong on S3; or a data file is missing.
        """
        try:
            with self._scans.reading():
                yield
        except MissingFileError as error:
            if self._lake.changed_since(self._view):
                raise TransientError(
                    f"the lake has changed since it was opened, and a file of that version was deleted: {error}",
                    remedy="Call refresh(), or open the lake again.",
                ) from error
            raise

    def register(self, name: str, rows: Any) -> None:
        """Make your own rows queryable beside the tables.

        Args:
            name: Their name in SQL.
            rows: A pandas or polars data frame, an Arrow table, or a DuckDB relation's ``.arrow()``.

        Raises:
            UsageError: A table of the lake has that name.
        """
        if name.lower() in self.tables:
            raise UsageError(f"{name} is a table of the lake", remedy="Register the rows under another name.")
        self._connection.register(name, rows)

    def interrupt(self) -> None:
        """Stop a statement that another thread is running; it raises ``duckdb.InterruptException``."""
        self._connection.interrupt()

    def _make_view(self, table: Table) -> None:
        """Define a table as a view; DuckDB opens one of its files for that, so only tables that are used get one."""
        try:
            with self.reading():
                rows = self._select(table, self._view[table.name])
                self._connection.execute(f"CREATE OR REPLACE VIEW {table.name} AS {rows}")
        except (duckdb.IOException, duckdb.PermissionException) as error:
            raise FatalError(
                f"a data file of table {table.name} cannot be read: {error}",
                remedy="Was the lake moved or partly deleted?",
            ) from error
        self._viewed.add(table.name)

    def _select(self, table: Table, snapshot: TableSnapshot) -> str:
        columns = ", ".join(table.column_names)
        files, condition = narrowed(table, snapshot, self._days)
        if not files:
            nothing = ", ".join(
                f"CAST(NULL AS {column_type(column.type).duckdb}) AS {column.name}" for column in table.columns
            )
            return f"SELECT {nothing} WHERE FALSE"
        rows = parts.select(table, files, self._scans.parquet)
        return f"SELECT {columns} FROM ({rows}){condition}" if condition else rows

    def close(self) -> None:
        """Release the lake."""
        self._connection.close()

    def __repr__(self) -> str:
        """Where it is, which version of it is being read, and what can be asked for."""
        return f"<shoplake lake {self._lake.root}, version {self._view.version:,}, tables: {', '.join(self.tables)}>"

    def __enter__(self) -> Self:
        """The lake itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release the lake."""
        self.close()


def narrowed(table: Table, snapshot: TableSnapshot, days: tuple[date, date] | None) -> tuple[Sequence[DataFile], str]:
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
