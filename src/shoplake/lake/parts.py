"""Parts: an hour of a table of users or sessions may lie in several data files, which readers add up.

A batch that only adds events to an hour writes the rows of these events as one more part, so that its cost depends on them
and not on what the hour holds already (docs/adr/0019). Every reader of shoplake sees one row for each unit of an hour, and
maintenance merges the parts of hours that are over.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from shoplake.lake.hours import hours_between, literals
from shoplake.lake.snapshots import DataFile
from shoplake.lake.types import column_type
from shoplake.tables import Table

if TYPE_CHECKING:
    import pyarrow as pa

# How the values of several rows become one; those of all other columns add up.
_SMALLEST = ("user_id", "first_event_time")
_LARGEST = ("last_event_time",)


def hours_of(file: DataFile) -> list[datetime]:
    """The hours that a data file of an hourly table may have rows of."""
    return hours_between(file.lower["event_hour"], file.upper["event_hour"])


def in_parts(files: Iterable[DataFile]) -> set[datetime]:
    """The hours that more than one of some data files may have rows of."""
    counts = Counter(hour for file in files for hour in hours_of(file))
    return {hour for hour, count in counts.items() if count > 1}


def select(table: Table, files: Sequence[DataFile], scan: Callable[[Iterable[DataFile]], str]) -> str:
    """A SELECT of a table's rows, those of its parts added up.

    Args:
        table: Any table.
        files: Its data files, all of those of an hour; at least one.
        scan: Gives a table function that reads data files.
    """
    columns = ", ".join(table.column_names)
    split = in_parts(files) if table.unit else set()
    if not split:
        return f"SELECT {columns} FROM {scan(files)}"
    shared = [file for file in files if not split.isdisjoint(hours_of(file))]
    partly = [file for file in shared if not split.issuperset(hours_of(file))]
    others = [file for file in files if split.isdisjoint(hours_of(file))]
    among = f"{table.key} IN ({literals(split)})"
    keys = ", ".join(_grain(table))
    selects = [f"SELECT {combined(table)} FROM {scan(shared)} WHERE {among} GROUP BY {keys}"]
    if partly:
        selects.append(f"SELECT {columns} FROM {scan(partly)} WHERE NOT {among}")
    if others:
        selects.append(f"SELECT {columns} FROM {scan(others)}")
    return " UNION ALL ".join(selects)


def add_up(table: Table, rows: pa.Table) -> pa.Table:
    """Rows of an hourly table with one row for each of its grain: those of the same one added up.

    Args:
        table: An hourly table.
        rows: Its rows; texts may be dictionaries.
    """
    from shoplake.lake.parquet import arrow_schema  # Arrow, which queries do without

    grain = _grain(table)
    schema = arrow_schema(table).remove_metadata()
    figures = [(name, combination(name)) for name in table.column_names if name not in grain]
    added = rows.cast(schema).group_by(list(grain), use_threads=False).aggregate(figures)
    renamed = {f"{name}_{function}": name for name, function in figures}
    added = added.rename_columns([renamed.get(name, name) for name in added.column_names])
    return added.select(schema.names).cast(schema)


def _grain(table: Table) -> tuple[str, ...]:
    """The columns that tell a row of an hourly table from all others."""
    return (table.key, *((table.unit,) if table.unit else table.sort))


def combined(table: Table) -> str:
    """The columns of a table in SQL where its rows are added up, grouped by its grain."""
    return ", ".join(
        column.name
        if column.name in _grain(table)
        else f"CAST({combination(column.name)}({column.name}) AS {column_type(column.type).duckdb}) AS {column.name}"
        for column in table.columns
    )


def combination(name: str) -> str:
    """The function that makes one value of a column's values in several rows: sum, min or max."""
    if name in _SMALLEST:
        return "min"
    return "max" if name in _LARGEST else "sum"
