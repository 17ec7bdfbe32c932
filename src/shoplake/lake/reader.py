"""A lake opened for reading: its tables as DuckDB relations, all of one consistent state."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import duckdb

from shoplake import queries
from shoplake.errors import FatalError, MissingFileError, TransientError, UsageError
from shoplake.lake import gaps, history, parts
from shoplake.lake.catalog import Lake
from shoplake.lake.history import Version
from shoplake.lake.scans import Scans, connect, kind, lock, only_reads
from shoplake.lake.snapshots import DataFile, TableSnapshot, View
from shoplake.lake.types import column_type
from shoplake.tables import ACTIVITY_DAILY, SESSION_HOURLY, TABLES, UNIT_TABLES, VIEWS, Table
from shoplake.text import is_utf8

if TYPE_CHECKING:
    import pyarrow as pa
    from duckdb import DuckDBPyRelation

# Partitioned columns that tell when an event happened; the others tell when it arrived.
_TIMES_OF_EVENTS = ("event_time", "event_hour", "event_date")
_RESOLUTION = timedelta(microseconds=1)


@dataclass(frozen=True)
class Window:
    """The events that a reader sees: those of some whole hours.

    Attributes:
        first: Their start, UTC without a zone.
        last: Their last microsecond.
    """

    first: datetime
    last: datetime

    @property
    def whole_days(self) -> bool:
        """Whether it cuts no day."""
        return self.first.time() == time.min and self.last.time() == time.max

    @classmethod
    def days(cls, since: date | None, until: date | None) -> Window | None:
        """The days from one to another, both included; None for all."""
        if since is None and until is None:
            return None
        return cls(datetime.combine(since or date.min, time.min), datetime.combine(until or date.max, time.max))

    @classmethod
    def hours(cls, start: datetime | None, end: datetime | None) -> Window | None:
        """The hours from one to before another, given with a zone; None for all.

        Raises:
            UsageError: One of them is not a whole hour, or there is no hour between them.
        """
        if start is None and end is None:
            return None
        first, last = (moment and moment.astimezone(UTC).replace(tzinfo=None) for moment in (start, end))
        for moment in (first, last):
            if moment and (moment.minute or moment.second or moment.microsecond):
                raise UsageError(
                    f"{moment} is not a whole hour in UTC",
                    remedy="The gold tables are by hour. For parts of an hour, give a condition on events.event_time.",
                )
        if first and last and first >= last:
            raise UsageError(
                f"the range from {first} to {last} is empty", remedy="The end is exclusive: an hour is 14:00 to 15:00."
            )
        return cls(first or datetime.min, last - _RESOLUTION if last else datetime.max)  # noqa: DTZ901 - UTC without a zone


class OpenLake:
    """A lake opened for reading; see :func:`shoplake.open`. Usable as a context manager."""

    def __init__(
        self,
        lake: Lake,
        threads: int | None = None,
        since: date | None = None,
        until: date | None = None,
        *,
        window: Window | None = None,
        at: datetime | int | None = None,
        allow_external: bool = False,
    ) -> None:
        """Read the lake's newest consistent set of snapshots, or that of an earlier time or snapshot."""
        self._lake = lake
        self._allow_external = allow_external
        self._window = window or Window.days(since, until)
        self._at = at
        self._connection = connect(threads)
        _count_progress(self._connection)
        if not allow_external:
            lock(self._connection, lake.root)
        self._scans = Scans(self._connection)
        self.refresh()

    @property
    def tables(self) -> tuple[str, ...]:
        """The names of the tables."""
        return tuple(table.name for table in TABLES)

    @property
    def views(self) -> tuple[str, ...]:
        """The names of what can be read like tables, but is computed from them."""
        return tuple(view.name for view in VIEWS)

    @property
    def place(self) -> str:
        """The lake's folder, or its s3:// prefix."""
        return self._lake.root

    @property
    def view(self) -> View:
        """The snapshots that are being read."""
        return self._view

    def refresh(self) -> None:
        """Move on to the newest consistent set of snapshots; a lake opened at an earlier version stays at that."""
        newest = self._lake.need_view()
        self._view = newest if self._at is None else history.as_of(newest, self._at)
        self._viewed: set[str] = set()

    @property
    def version(self) -> str:
        """Which version of the lake is being read, in words."""
        if isinstance(self._at, datetime):
            return f"as of {self._at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
        return f"version {self._view.version:,}" if self._at is None else f"as of snapshot {self._at}"

    @property
    def outdated(self) -> bool:
        """Whether the lake has changed since the snapshots that are being read; one opened at a version never is."""
        return self._at is None and self._lake.changed_since(self._view)

    @property
    def versions(self) -> list[Version]:
        """The versions of the lake that can be opened with ``at``, newest first."""
        return history.versions(self._view)

    @property
    def complete_until(self) -> datetime | None:
        """The time up to which every source file is in, UTC without a zone; None as long as no file says.

        Until then each five-minute slot has its files in the lake, or an acknowledged gap (``shoplake acknowledge``): it is
        where the first slot starts that has no file, or one that is unreadable or waits to be ingested again, and otherwise
        the end of the newest slot. Totals of the hours before it change only by late events, which come in files of later
        slots, and by files that are replaced.
        """
        from shoplake.lake import completeness  # which reads with Arrow: a quarter of what a cold query takes

        return completeness.until(self._view["ledger"], gaps.read(self._lake))

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

    def batches(self, text: str, rows_at_once: int = 100_000) -> pa.RecordBatchReader:
        """A statement's rows as Arrow batches, each when it is asked for; read them inside :meth:`reading`.

        Args:
            text: As for :meth:`sql`, and so are the errors.
            rows_at_once: Rows of one batch, at most.
        """
        relation = self.sql(text)
        with self.reading():
            return relation.to_arrow_reader(rows_at_once)

    def _prepare(self, text: str) -> None:
        """Check a text, and define the tables that it reads."""
        self._check(text)
        used = self._tables_of(text)
        for table in (*TABLES, *VIEWS):
            if table.name in used:
                self._define(table)

    def _check(self, text: str) -> None:
        """Refuse a text that is not one statement, and one that could write; the connection itself is locked as well."""
        if not is_utf8(text):
            raise UsageError("the statement is not UTF-8", remedy="Give SQL in UTF-8.")
        statements = duckdb.extract_statements(text)
        if not statements:
            raise UsageError("the text contains no statement", remedy="Give a SELECT.")
        if len(statements) > 1:
            raise UsageError("the text has several statements", remedy="Run them one by one; each has its own rows.")
        if not self._allow_external and not only_reads(statements[0]):
            raise UsageError(
                f"a lake is opened for reading, and {kind(statements[0])} is not a statement that only reads",
                remedy="Use SELECT, SHOW, DESCRIBE, SUMMARIZE or EXPLAIN. To write elsewhere with DuckDB:"
                " shoplake.open(lake, allow_external=True).",
            )

    def _tables_of(self, text: str) -> Collection[str]:
        """The tables that a text reads, as DuckDB parses it; all of them where it cannot tell.

        It cannot where a text asks for the catalog (SHOW TABLES), joins a table of ours USING columns that it does not know
        yet, or becomes several statements (PIVOT). A text that is not SQL raises when it is run.
        """
        try:
            found = {name.lower() for name in _parser().cursor().get_table_names(text)}
        except duckdb.Error:
            found = set()
        return found or (*self.tables, *self.views)

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
        if name.lower() in (*self.tables, *self.views):
            raise UsageError(f"{name} is a table of the lake", remedy="Register the rows under another name.")
        self._connection.register(name, rows)

    def interrupt(self) -> None:
        """Stop a statement that another thread is running; it raises ``duckdb.InterruptException``."""
        self._connection.interrupt()

    def progress(self) -> float | None:
        """The share of a statement that another thread has computed, 0 to 1; None as long as DuckDB cannot tell."""
        percent = self._connection.query_progress()
        return percent / 100 if 0 <= percent <= 100 else None

    def _define(self, table: Table) -> None:
        """Define a table, and what it is computed from, unless that was done before."""
        if table.name not in self._viewed:
            for below in self._below(table):
                self._define(below)
            self._make_view(table)

    def _make_view(self, table: Table) -> None:
        """Define a table as a view; DuckDB opens one of its files for that, so only tables that are used get one."""
        try:
            with self.reading():
                self._connection.execute(f"CREATE OR REPLACE VIEW {table.name} AS {self._select(table)}")
        except (duckdb.IOException, duckdb.PermissionException) as error:
            raise FatalError(
                f"a data file of table {table.name} cannot be read: {error}",
                remedy="Was the lake moved or partly deleted?",
            ) from error
        self._viewed.add(table.name)

    def _below(self, table: Table) -> Sequence[Table]:
        """The tables that one is computed from, if it is not read from files of its own."""
        if table in VIEWS:
            return (SESSION_HOURLY,)
        cuts_days = self._window is not None and not self._window.whole_days
        return UNIT_TABLES if table is ACTIVITY_DAILY and cuts_days else ()

    def _select(self, table: Table) -> str:
        if self._below(table):
            return queries.sql("view_activity_of_hours" if table is ACTIVITY_DAILY else f"view_{table.name}")
        columns = ", ".join(table.column_names)
        files, condition = narrowed(table, self._view[table.name], self._window)
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
        return f"<shoplake lake {self._lake.root}, {self.version}, tables: {', '.join((*self.tables, *self.views))}>"

    def __enter__(self) -> Self:
        """The lake itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release the lake."""
        self.close()


def _count_progress(database: duckdb.DuckDBPyConnection) -> None:
    """Let a database count its progress without showing it; where it shows a bar of its own, that stays."""
    ((shows,),) = database.execute("SELECT current_setting('enable_progress_bar')").fetchall()
    if not shows:
        with suppress(duckdb.InvalidInputException):  # a notebook without the package that shows bars there
            database.execute("SET enable_progress_bar_print = false")
            database.execute("SET enable_progress_bar = true")


def narrowed(table: Table, snapshot: TableSnapshot, window: Window | None) -> tuple[Sequence[DataFile], str]:
    """The files that can hold rows of a window, and the condition that picks these rows."""
    column = table.partition[0]
    if window is None or column not in _TIMES_OF_EVENTS:
        return snapshot.files, ""
    if column == "event_date":
        low, high = window.first.date(), window.last.date()
        condition = f" WHERE {column} BETWEEN DATE '{low}' AND DATE '{high}'"
        return snapshot.within(low, high), condition
    condition = f" WHERE {column} BETWEEN TIMESTAMP '{window.first}' AND TIMESTAMP '{window.last}'"
    return snapshot.within(window.first, window.last), condition


@cache
def _parser() -> duckdb.DuckDBPyConnection:
    """An empty database: where a table is a view, DuckDB names what it reads instead of the view.

    One is enough for a process (each costs 18 ms); a cursor of it may be used while another thread has its own.
    """
    return duckdb.connect()
