"""Parquet files of a table: its Arrow schema with Iceberg field ids, and one way to write a file.

Texts that come as Arrow dictionaries are written as they are: PyArrow's own dictionaries would hash each value again, and
end at a megabyte. Each row group holds the texts of its rows alone, so that what was taken away leaves nothing behind.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from shoplake.errors import FatalError
from shoplake.lake.metadata import numbered_columns, partition_folder
from shoplake.lake.types import column_type
from shoplake.storage.base import Storage
from shoplake.tables import Table

# zstd's fastest ordinary level: on an hour of events, level 3 gave no smaller files.
_COMPRESSION: dict[str, Any] = {"compression": "zstd", "compression_level": 1}
# Readers keep a whole dictionary in memory. It does not pay where most of its texts are in a single row.
_DICTIONARY_BYTES = 32 << 20
_DICTIONARY_SHARE = 0.75
_LOOK_ROWS = 1 << 16
# In memory a dictionary is made of values that rows have at least so often on average.
_REPEATED = 4
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
    rows = _with_dictionaries(_with_schema(_sorted(rows.select(schema.names), order), schema))
    footers: list[Any] = []
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(
        sink,
        rows.schema,
        **_COMPRESSION,
        use_dictionary=[field.name for field in rows.schema if pa.types.is_dictionary(field.type)],
        dictionary_pagesize_limit=2 * _DICTIONARY_BYTES,
        # Statistics of what rows are found by; on the others they cost more than they ever save.
        write_statistics=list({table.key, table.partition[0], *order}),
        # Times in order, or nearly so, take a fraction of the space and of the time to compress; small integers a bit less.
        column_encoding={
            column.name: "DELTA_BINARY_PACKED"
            for column in table.columns
            if column.type in {"timestamp", "int", "long"}
        },
        store_decimal_as_integer=True,  # as far as 18 digits: half the bytes to compress
        store_schema=False,
        metadata_collector=footers,
    ) as writer:
        for first in range(0, max(rows.num_rows, 1), at_once):
            group = rows if rows.num_rows <= at_once else _compact(rows.slice(first, at_once))
            writer.write_table(group, row_group_size=at_once)
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


@contextmanager
def reading(location: str) -> Iterator[None]:
    """A block that reads a data file of a lake: one that is damaged is an error that names it.

    Raises:
        FatalError: It cannot be read.
    """
    try:
        yield
    except (pa.ArrowException, OSError, KeyError) as error:
        raise FatalError(
            f"the data file {location} cannot be read: {error}",
            remedy="See what is damaged, and what is left of it: shoplake verify",
        ) from error


def read(table: Table, file: bytes | BinaryIO, columns: Sequence[str] | None = None) -> pa.Table:
    """The rows of a data file, or some columns of them."""
    schema = arrow_schema(table)
    names = list(schema.names if columns is None else columns)
    rows, schema = _rows(file, names), pa.schema([schema.field(name) for name in names])
    if rows.schema.equals(
        schema
    ):  # a cast would load all of Arrow's functions: a sixth of a run that finds nothing new
        return pa.Table.from_arrays(rows.columns, schema=schema)
    return rows.cast(schema)


def read_together(table: Table, files: Iterable[bytes | BinaryIO], columns: Sequence[str] | None = None) -> pa.Table:
    """The rows of several data files, or some columns of them.

    Texts come as dictionaries: each is in memory once, however many rows hold it.
    """
    texts = [column.name for column in table.columns if column.type == "string"]
    names = list(table.column_names if columns is None else columns)
    return pa.concat_tables([_rows(file, names, texts) for file in files]).unify_dictionaries()


def among(column: pa.ChunkedArray, values: Collection[Any]) -> pa.ChunkedArray:
    """Which rows of a column, with or without a dictionary, have one of the given values."""
    import pyarrow.compute as pc

    if not pa.types.is_dictionary(column.type):
        return pc.is_in(column, pa.array(list(values), column.type))
    wanted = pa.array(list(values), column.type.value_type)
    masks = [pc.take(pc.is_in(chunk.dictionary, wanted), chunk.indices) for chunk in column.chunks]
    return pa.chunked_array(masks, pa.bool_())


def encoded_if_repeated(texts: pa.StringArray) -> pa.Array:
    """Texts as a dictionary array if, by the first of them, few are different; else as they are."""
    first = texts[:_LOOK_ROWS].drop_null()
    if len(first) < _REPEATED * max(1, len(first.unique())):
        return texts
    return texts.dictionary_encode()


def bounds(table: Table, footer: pq.FileMetaData) -> dict[str, tuple[Any, Any]]:
    """Smallest and largest value of a table's key and of its partitioned column in a data file, by name."""
    found = {}
    for name in dict.fromkeys((table.key, table.partition[0])):
        position = table.column_names.index(name)
        statistics = [footer.row_group(group).column(position).statistics for group in range(footer.num_row_groups)]
        found[name] = (min(one.min for one in statistics), max(one.max for one in statistics))
    return found


def column_sizes(table: Table, footer: pq.FileMetaData) -> dict[int, int]:
    """The bytes of each column in a data file, compressed; by its field id, for a list by the id of its elements."""
    groups = [footer.row_group(group) for group in range(footer.num_row_groups)]
    return {
        element_id or field_id: sum(group.column(position).total_compressed_size for group in groups)
        for position, (_, field_id, element_id) in enumerate(numbered_columns(table))
    }


def _rows(file: bytes | BinaryIO, names: list[str], dictionaries: Sequence[str] = ()) -> pa.Table:
    """Columns of a file in the given order, read in this thread.

    Arrow's own threads would let go of the file whenever they come to it. If the process ends in that moment, it is aborted.
    """
    # Not pq.read_table, which imports pyarrow.dataset and with it pandas: a quarter of a second.
    source = pa.BufferReader(file) if isinstance(file, bytes) else file
    parquet = pq.ParquetFile(source, read_dictionary=list(dictionaries), pre_buffer=False)
    return parquet.read(columns=names, use_threads=False).select(names)


def _sorted(rows: pa.Table, names: Sequence[str]) -> pa.Table:
    import pyarrow.compute as pc

    if not names:
        return rows
    keys = pa.table({name: _sortable(rows.column(name)) for name in names})
    if _in_order(keys):
        return rows
    return rows.take(pc.sort_indices(keys, sort_keys=[(name, "ascending") for name in names]))


def _sortable(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column that sorts like the given one; of texts in a dictionary their places in its order."""
    import pyarrow.compute as pc

    if not pa.types.is_dictionary(column.type):
        return column
    codes = column.unify_dictionaries().chunks
    if not codes:
        return pa.chunked_array([], pa.uint64())
    texts = codes[0].dictionary
    if pc.all(pc.less(texts[:-1], texts[1:]), min_count=0).as_py():
        return pa.chunked_array([chunk.indices for chunk in codes])
    places = pc.rank(texts, tiebreaker="dense")
    return pa.chunked_array([pc.take(places, chunk.indices) for chunk in codes], pa.uint64())


def _in_order(keys: pa.Table) -> bool:
    """Whether rows are in order already, without NULLs."""
    import pyarrow.compute as pc

    if any(column.null_count for column in keys.columns):
        return False
    equal = np.ones(max(keys.num_rows - 1, 0), bool)
    for column in keys.columns:
        values = column.combine_chunks()
        before, after = values[:-1], values[1:]
        if bool((equal & pc.less(after, before).to_numpy(zero_copy_only=False)).any()):
            return False
        equal &= pc.equal(after, before).to_numpy(zero_copy_only=False)
    return True


def _with_dictionaries(rows: pa.Table) -> pa.Table:
    """Texts as dictionaries where these pay, as plain ones where they do not."""
    for position, field in enumerate(rows.schema):
        if pa.types.is_dictionary(field.type):
            column = _packed(rows.column(position))
            kept = _pays(column)
        elif pa.types.is_string(field.type) and _pays(
            rows.column(position)[:_LOOK_ROWS].combine_chunks().dictionary_encode()
        ):
            column = rows.column(position).combine_chunks().dictionary_encode()
            kept = _pays(column)
        else:
            continue
        column = column if kept else column.cast(pa.string())
        rows = rows.set_column(position, field.with_type(column.type), column)
    return rows


def _pays(texts: pa.DictionaryArray) -> bool:
    """Whether a dictionary makes a column of texts smaller, and is itself no burden."""
    entries = len(texts.dictionary)
    return 0 < entries <= max(1, _DICTIONARY_SHARE * len(texts)) and texts.dictionary.nbytes <= _DICTIONARY_BYTES


def _compact(rows: pa.Table) -> pa.Table:
    """Rows whose dictionaries hold the texts of these rows alone."""
    for position, field in enumerate(rows.schema):
        if pa.types.is_dictionary(field.type):
            rows = rows.set_column(position, field, _packed(rows.column(position)))
    return rows


def _packed(column: pa.ChunkedArray) -> pa.DictionaryArray:
    """A column as one array whose dictionary holds no text but those of its rows."""
    import pyarrow.compute as pc

    column = column.unify_dictionaries()
    texts = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    indices, names = texts.indices.cast(pa.int32()), texts.dictionary
    if len(names):
        used = pc.inverse_permutation(indices, max_index=len(names) - 1).is_valid()
        if used.true_count < len(names):
            places = pa.array(np.cumsum(used.to_numpy(zero_copy_only=False), dtype=np.int32) - 1)
            indices, names = pc.take(places, indices), names.filter(used)
    return pa.DictionaryArray.from_arrays(indices, names, safe=False)


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
