"""Reads the data files of a lake in DuckDB, hour by hour."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

import duckdb

from shoplake.errors import FatalError
from shoplake.lake import parquet, parts
from shoplake.lake.scans import Scans, connect
from shoplake.lake.snapshots import DataFile
from shoplake.operations.verify.files import Files, Inventory, hours_of
from shoplake.operations.verify.report import Note
from shoplake.tables import EVENTS, GOLD_HOURLY, Table

READ_ERRORS = (duckdb.Error, FatalError)
"""What the reader raises for a data file that cannot be read."""


class Reader:
    """DuckDB over chosen data files of a lake."""

    def __init__(self, threads: int) -> None:
        """Open a database; what does not fit into memory spills to a temporary folder."""
        self._folder = tempfile.TemporaryDirectory(prefix="shoplake-")
        self.connection = connect(threads, temp_directory=self._folder.name, preserve_insertion_order=False)
        self._scans = Scans(self.connection)

    def view(self, name: str, table: Table, files: Sequence[DataFile], where: str = "TRUE") -> None:
        """Define a view of the rows of some data files of a table."""
        self.rows(f"CREATE OR REPLACE TEMP VIEW {name} AS SELECT * FROM {self.relation(table, files)} WHERE {where}")

    def relation(self, table: Table, files: Sequence[DataFile]) -> str:
        """The SQL of the rows of some data files of a table, all of those of an hour."""
        if not files:
            self.connection.register(f"no_{table.name}", parquet.arrow_schema(table).empty_table())
            return f"no_{table.name}"
        return f"({parts.select(table, files, self._scans.parquet)})"

    def rows(self, sql: str, parameters: object = None) -> list[tuple[Any, ...]]:
        """The rows of a statement.

        Raises:
            TransientError: S3 did not respond, which says nothing about a data file.
        """
        with self._scans.reading():
            return self.connection.execute(sql, parameters).fetchall()

    def why_unreadable(self, table: Table, file: DataFile) -> str:
        """Why a data file cannot be read to its end; empty if it can."""
        try:
            self.rows(f"SELECT bit_xor(hash(stored)) FROM {self.relation(table, [file])} AS stored")
        except READ_ERRORS as error:
            return str(error).splitlines()[0]
        return ""

    def close(self) -> None:
        """Close the database and remove the temporary folder."""
        self.connection.close()
        self._folder.cleanup()


class Hours:
    """The data files of each hour, as far as they can be read.

    Attributes:
        events: Data files of ``events`` by hour.
        gold: Data files of the hourly tables by table name and hour.
        lacking: Hours with an unreadable data file of ``events``: nothing can be recomputed from them.
        notes: What could not be compared completely.
    """

    def __init__(self, inventory: Inventory, kept_from: datetime | None = None) -> None:
        """Sort the data files by hour.

        Args:
            inventory: The data files.
            kept_from: The first day of which events are kept; None if all are.
        """
        self._kept_from = kept_from
        self.events = _by_hour(inventory.usable(EVENTS), EVENTS)
        self.lacking = set(_by_hour(inventory.broken(EVENTS), EVENTS))
        self.gold = {table.name: _by_hour(inventory.usable(table), table) for table in GOLD_HOURLY}
        self.notes: list[Note] = []
        broken = [_by_hour(inventory.broken(table), table) for table in GOLD_HOURLY]
        self.all = sorted(
            {*self.events, *self.lacking, *(hour for by_hour in (*self.gold.values(), *broken) for hour in by_hour)}
        )

    def is_closed(self, hour: datetime) -> bool:
        """Whether the events of an hour went by retention, so that its gold cannot be recomputed."""
        return self._kept_from is not None and hour < self._kept_from

    def not_compared(self, where: str, why: str) -> None:
        """Note that something was not compared."""
        self.notes.append(Note("not_compared", f"{where} could not be compared completely: {why}", {"where": where}))

    def find_unreadable(self, hour: datetime, reader: Reader, files: Files) -> None:
        """After a read failed: note which data files of the hour cannot be read, and leave them out from now on."""
        for table, by_hour in ((EVENTS, self.events), *((table, self.gold[table.name]) for table in GOLD_HOURLY)):
            for file in list(by_hour.get(hour, [])):
                if why := reader.why_unreadable(table, file):
                    files.unreadable(table, file, why)
                    for files_of_hour in by_hour.values():
                        if file in files_of_hour:
                            files_of_hour.remove(file)
                    if table is EVENTS:
                        self.lacking.add(hour)


def _by_hour(files: Collection[DataFile], table: Table) -> dict[datetime, list[DataFile]]:
    """The data files with rows of each hour; a file of events belongs to the hour of its first event."""
    column = table.partition[0]
    by_hour: dict[datetime, list[DataFile]] = defaultdict(list)
    for file in files:
        if column in file.lower and column in file.upper:
            hours = hours_of(file, column)
            for hour in hours[:1] if table is EVENTS else hours:
                by_hour[hour].append(file)
    return dict(by_hour)


def iso(hour: datetime) -> str:
    """An hour as reports name it."""
    return f"{hour.isoformat()}Z"
