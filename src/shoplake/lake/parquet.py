"""Parquet files of a table: its Arrow schema with Iceberg field ids, and one way to write a file."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from shoplake.lake.metadata import numbered_columns, partition_folder
from shoplake.lake.types import column_type
from shoplake.storage.base import Storage
from shoplake.tables import Table

# zstd's fastest ordinary level: on an hour of events, level 3 gave no smaller files.
_COMPRESSION_LEVEL = 1
# Of files as they come, one for each source file; of sorted ones, so that a search reads little.
_ROW_GROUP_ROWS = 1 << 20
_SORTED_ROW_GROUP_ROWS = 1 << 19


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

    See https://iceberg.apache.org/spec/#parquet.
    """
    fields = []
    for column, field_id, element_id in numbered_columns(table):
        arrow_type = column_type(column.type).arrow
        if element_id is not None:
            arrow_type = pa.list_(pa.field("element", arrow_type.value_type, metadata=_field_id(element_id)))
        fields.append(pa.field(column.name, arrow_type, metadata=_field_id(field_id)))
    return pa.schema(fields)


def encode(table: Table, rows: pa.Table, order: Sequence[str] | None = None) -> tuple[pa.Buffer, pq.FileMetaData]:
    """The bytes of a data file, and its footer.

    Args:
        table: The table it is for.
        rows: The rows, with the table's columns in any order.
        order: Columns to sort the rows by, if not by the table's own order; with none they stay as they are.
    """
    schema = arrow_schema(table)
    at_once = _ROW_GROUP_ROWS if order is None else _SORTED_ROW_GROUP_ROWS
    order = table.sort if order is None else order
    rows = _with_schema(_sorted(rows.select(schema.names), order), schema)
    dictionaries = _dictionaries(rows)
    footers: list[Any] = []
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(
        sink,
        _decoded(rows.slice(0, 0), dictionaries).schema,
        compression="zstd",
        compression_level=_COMPRESSION_LEVEL,
        use_dictionary=[column.name for column in table.columns if column.type == "string"],
        # Statistics of what rows are found by; on the others they cost more than they ever save.
        write_statistics=list({table.key, table.partition[0], *order}),
        # Times in order, or nearly so, take a fraction of the space and of the time to compress.
        column_encoding={column.name: "DELTA_BINARY_PACKED" for column in table.columns if column.type == "timestamp"},
        store_schema=False,
        metadata_collector=footers,
    ) as writer:
        for first in range(0, max(rows.num_rows, 1), at_once):
            writer.write_table(_decoded(rows.slice(first, at_once), dictionaries), row_group_size=at_once)
    return sink.getvalue(), footers[0]


def new_location(folder: str, table: Table, partition: date) -> str:
    """A location for a new data file of a table; nothing is made there.

    Args:
        folder: The table's own location.
        table: The table.
        partition: A value of the partitioned column that all rows share the partition of.
    """
    return f"{folder}/data/{partition_folder(table, partition)}/{uuid.uuid4()}.parquet"


def write(storage: Storage, location: str, table: Table, rows: pa.Table, order: Sequence[str] | None = None) -> NewFile:
    """Write a data file; ``order`` as in :func:`encode`."""
    content, footer = encode(table, rows, order)
    storage.write(location, content)
    return NewFile(location, footer, len(content))


def read(table: Table, file: bytes | BinaryIO, columns: Sequence[str] | None = None) -> pa.Table:
    """The rows of a data file, or some columns of them."""
    schema = arrow_schema(table)
    names = list(schema.names if columns is None else columns)
    return _rows(file, names).cast(pa.schema([schema.field(name) for name in names]))


def read_together(table: Table, files: Iterable[bytes | BinaryIO], columns: Sequence[str] | None = None) -> pa.Table:
    """The rows of several data files, or some columns of them.

    Texts come as dictionaries: each is in memory once, however many rows hold it.
    """
    texts = [column.name for column in table.columns if column.type == "string"]
    names = list(table.column_names if columns is None else columns)
    return pa.concat_tables([_rows(file, names, texts) for file in files]).unify_dictionaries()


def among(column: pa.ChunkedArray, values: Collection[Any]) -> pa.ChunkedArray:
    """Which rows of a column, with or without a dictionary, have one of the given values."""
    if not pa.types.is_dictionary(column.type):
        return pc.is_in(column, pa.array(list(values), column.type))
    wanted = pa.array(list(values), column.type.value_type)
    masks = [pc.take(pc.is_in(chunk.dictionary, wanted), chunk.indices) for chunk in column.chunks]
    return pa.chunked_array(masks, pa.bool_())


def bounds(table: Table, footer: pq.FileMetaData) -> dict[str, tuple[Any, Any]]:
    """Smallest and largest value of a table's key and of its partitioned column in a data file, by name."""
    found = {}
    for name in dict.fromkeys((table.key, table.partition[0])):
        position = table.column_names.index(name)
        statistics = [footer.row_group(group).column(position).statistics for group in range(footer.num_row_groups)]
        found[name] = (min(one.min for one in statistics), max(one.max for one in statistics))
    return found


def _rows(file: bytes | BinaryIO, names: list[str], dictionaries: Sequence[str] = ()) -> pa.Table:
    """Columns of a file in the given order, read in this thread.

    Arrow's own threads would let go of the file whenever they come to it. If the process ends in that moment, it is aborted.
    """
    # Not pq.read_table, which imports pyarrow.dataset and with it pandas: a quarter of a second.
    source = pa.BufferReader(file) if isinstance(file, bytes) else file
    parquet = pq.ParquetFile(source, read_dictionary=list(dictionaries), pre_buffer=False)
    return parquet.read(columns=names, use_threads=False).select(names)


def _sorted(rows: pa.Table, names: Sequence[str]) -> pa.Table:
    if not names:
        return rows
    keys = pa.table({name: _sortable(rows.column(name)) for name in names})
    return rows.take(pc.sort_indices(keys, sort_keys=[(name, "ascending") for name in names]))


def _sortable(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column that sorts like the given one; of texts in a dictionary their places in its order."""
    if not pa.types.is_dictionary(column.type):
        return column
    codes = column.unify_dictionaries().chunks
    places = pc.rank(codes[0].dictionary, tiebreaker="dense") if codes else pa.array([], pa.uint64())
    return pa.chunked_array([pc.take(places, chunk.indices) for chunk in codes], pa.uint64())


def _dictionaries(rows: pa.Table) -> list[str]:
    """Columns held as dictionaries that have texts which not every row has.

    Written as such, every row group would hold all of the texts, also those of rows that were taken away.
    """
    return [
        name
        for name, column in zip(rows.column_names, rows.columns, strict=True)
        if pa.types.is_dictionary(column.type)
        and any(len(chunk.dictionary) != 1 or chunk.null_count for chunk in column.chunks)
    ]


def _decoded(rows: pa.Table, names: Sequence[str]) -> pa.Table:
    for name in names:
        position = rows.schema.get_field_index(name)
        field = rows.schema.field(position).with_type(pa.string())
        rows = rows.set_column(position, field, rows.column(position).cast(pa.string()))
    return rows


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
