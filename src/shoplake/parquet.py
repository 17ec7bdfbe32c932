"""Parquet files of a table: its Arrow schema with Iceberg field ids, and one way to write a file."""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from shoplake import iceberg
from shoplake.storage import Storage
from shoplake.tables import Table

_SIMPLE = {
    "string": pa.string(),
    "int": pa.int32(),
    "long": pa.int64(),
    "double": pa.float64(),
    "timestamp": pa.timestamp("us"),
    "date": pa.date32(),
}
# zstd's fastest ordinary level: on an hour of events, level 3 gave no smaller files.
_COMPRESSION_LEVEL = 1
_ROW_GROUP_ROWS = 1 << 20


@dataclass(frozen=True)
class NewFile:
    """A written data file that no snapshot names yet.

    Attributes:
        path: Absolute path.
        metadata: Its Parquet footer, from which the table format takes its statistics.
        bytes: Size in bytes.
    """

    path: str
    metadata: pq.FileMetaData
    bytes: int

    @property
    def rows(self) -> int:
        """Number of rows."""
        return int(self.metadata.num_rows)


def arrow_schema(table: Table) -> pa.Schema:
    """The Arrow schema of a table, each field with the id that Iceberg knows it by.

    Ids count the columns from 1; the elements of lists follow after the last column, as Iceberg assigns them.
    """
    nested = len(table.columns)
    fields = []
    for field_id, column in enumerate(table.columns, 1):
        if column.type == "list<string>":
            nested += 1
            arrow_type: pa.DataType = pa.list_(pa.field("element", pa.string(), metadata=_field_id(nested)))
        else:
            arrow_type = arrow_type_of(column.type)
        fields.append(pa.field(column.name, arrow_type, metadata=_field_id(field_id)))
    return pa.schema(fields)


def arrow_type_of(name: str) -> pa.DataType:
    """The Arrow type of a column type of :mod:`shoplake.tables`."""
    decimal = re.fullmatch(r"decimal\((\d+),(\d+)\)", name)
    if decimal:
        return pa.decimal128(int(decimal[1]), int(decimal[2]))
    if name == "list<string>":
        return pa.list_(pa.string())
    return _SIMPLE[name]


def encode(table: Table, rows: pa.Table) -> tuple[pa.Buffer, pq.FileMetaData]:
    """The bytes of a data file, and its footer.

    Args:
        table: The table it is for.
        rows: The rows, with the table's columns in any order; sorted here if the table is.
    """
    schema = arrow_schema(table)
    rows = rows.select(schema.names)
    if table.sort:
        rows = rows.sort_by([(name, "ascending") for name in table.sort])
    rows = _with_schema(rows, schema)
    footers: list[Any] = []
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(
        sink,
        rows.schema,
        compression="zstd",
        compression_level=_COMPRESSION_LEVEL,
        use_dictionary=[column.name for column in table.columns if column.type == "string"],
        # Statistics of what rows are found by; on the others they cost more than they ever save.
        write_statistics=[table.key, table.partition[0], *table.sort],
        # Times in order, or nearly so, take a fraction of the space and of the time to compress.
        column_encoding={column.name: "DELTA_BINARY_PACKED" for column in table.columns if column.type == "timestamp"},
        store_schema=False,
        metadata_collector=footers,
    ) as writer:
        writer.write_table(rows, row_group_size=_ROW_GROUP_ROWS)
    return sink.getvalue(), footers[0]


def new_location(folder: str, table: Table, partition: date) -> str:
    """A location for a new data file of a table; nothing is made there.

    Args:
        folder: The table's own location.
        table: The table.
        partition: A value of the partitioned column that all rows share the partition of.
    """
    return f"{folder}/data/{iceberg.partition_folder(table, partition)}/{uuid.uuid4()}.parquet"


def write(storage: Storage, location: str, table: Table, rows: pa.Table) -> NewFile:
    """Write a data file."""
    content, footer = encode(table, rows)
    storage.write(location, content)
    return NewFile(location, footer, len(content))


def read(table: Table, content: bytes, columns: Sequence[str] | None = None) -> pa.Table:
    """The rows of a data file, or some columns of them."""
    schema = arrow_schema(table)
    names = schema.names if columns is None else columns
    # Not pq.read_table, which imports pyarrow.dataset and with it pandas: a quarter of a second.
    rows = pq.ParquetFile(pa.BufferReader(content)).read(columns=list(names))
    return rows.select(names).cast(pa.schema([schema.field(name) for name in names]))


def bounds(table: Table, footer: pq.FileMetaData) -> dict[str, tuple[Any, Any]]:
    """Smallest and largest value of a table's key and of its partitioned column in a data file, by name."""
    found = {}
    for name in dict.fromkeys((table.key, table.partition[0])):
        position = table.column_names.index(name)
        statistics = [footer.row_group(group).column(position).statistics for group in range(footer.num_row_groups)]
        found[name] = (min(one.min for one in statistics), max(one.max for one in statistics))
    return found


def _with_schema(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    columns = []
    for field in schema:
        column = rows.column(field.name)
        if pa.types.is_dictionary(column.type) or column.type.equals(field.type):
            columns.append(column)
        else:
            columns.append(column.cast(field.type))
    fields = [
        field.with_type(column.type) if pa.types.is_dictionary(column.type) else field
        for field, column in zip(schema, columns, strict=True)
    ]
    return pa.Table.from_arrays(columns, schema=pa.schema(fields))


def _field_id(number: int) -> dict[bytes, bytes]:
    return {b"PARQUET:field_id": str(number).encode()}
