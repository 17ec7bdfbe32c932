"""The Python interface for analysts: a lake opened for reading."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import duckdb

from shoplake import queries
from shoplake.errors import FatalError
from shoplake.lake import Lake
from shoplake.scans import Scans
from shoplake.snapshots import TableSnapshot, View
from shoplake.tables import TABLES, Table

if TYPE_CHECKING:
    from duckdb import DuckDBPyRelation

_SQL_TYPES = {
    "string": "VARCHAR",
    "int": "INTEGER",
    "long": "BIGINT",
    "double": "DOUBLE",
    "timestamp": "TIMESTAMP",
    "date": "DATE",
    "list<string>": "VARCHAR[]",
}


def open(lake: str | Path, *, threads: int | None = None) -> OpenLake:  # noqa: A001 - read as shoplake.open(lake)
    """Open a lake for reading.

    What is read is one consistent state: every table as the last batch left it at the moment of opening. Later batches are
    seen by opening again, or by :meth:`OpenLake.refresh`.

    Args:
        lake: The lake's folder, or s3://BUCKET/PREFIX.
        threads: Cores to use; all by default.

    Raises:
        UsageError: There is no lake at that place.
        FatalError: The lake is damaged.

    Example:
        >>> import shoplake
        >>> lake = shoplake.open("lake")
        >>> lake.query("conversion_funnel").df()
        >>> lake.sql("SELECT count(*) FROM events WHERE event_type = 'purchase'").fetchall()
    """
    return OpenLake(Lake(lake), threads)


class OpenLake:
    """A lake opened for reading; see :func:`open`. Usable as a context manager."""

    def __init__(self, lake: Lake, threads: int | None = None) -> None:
        """Read the lake's newest consistent set of snapshots."""
        self._lake = lake
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
        if not snapshot.files:
            nothing = ", ".join(
                f"CAST(NULL AS {_SQL_TYPES.get(column.type, column.type.upper())}) AS {column.name}"
                for column in table.columns
            )
            return f"SELECT {nothing} WHERE FALSE"
        return f"SELECT {columns} FROM {self._scans.parquet(snapshot.files)}"

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
