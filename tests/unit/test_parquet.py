"""Data files: what is stored of a column besides its values, and how files are read."""

from __future__ import annotations

import io
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from shoplake.lake import parquet
from shoplake.tables import EVENTS, TABLES, USER_HOURLY

NOON = datetime(2025, 11, 18, 12, tzinfo=UTC)
READ = """
import os, sys
import pyarrow as pa
from shoplake.lake import parquet
from shoplake.tables import EVENTS

def threads():
    return {task: open(f"/proc/self/task/{task}/comm").read().strip() for task in os.listdir("/proc/self/task")}

content = open(sys.argv[1], "rb").read()
pa.array([1]).to_pylist()
before = threads()
for _ in range(20):
    parquet.read(EVENTS, content)
    parquet.read_together(EVENTS, [content, open(sys.argv[1], "rb")])
new = [name for task, name in threads().items() if task not in before]
print(len([name for name in new if not name.startswith("jemalloc")]))
"""


def events(number: int) -> pa.Table:
    schema = parquet.arrow_schema(EVENTS)
    some = {"source_file": "events/a.jsonl.gz", "user_id": "u_00001", "event_type": "search"}
    rows = [
        {field.name: some.get(field.name) for field in schema} | {"event_time": NOON + timedelta(milliseconds=place)}
        for place in range(number)
    ]
    return pa.Table.from_pylist(rows, schema)


def coded(number: int, users: int, erased: str = "") -> pa.Table:
    """Events of so many users, texts as dictionaries; with those of another user taken away again, in the middle."""
    rows = events(number + bool(erased))
    names = [f"user-{place % users:020}" for place in range(number)]
    if erased:
        names.insert(number // 2, erased)
    rows = rows.set_column(rows.schema.get_field_index("user_id"), "user_id", pa.array(names).dictionary_encode())
    return rows.filter(pc.not_equal(rows.column("user_id"), erased)) if erased else rows


def chunks(content: pa.Buffer) -> dict[str, pq.ColumnChunkMetaData]:
    group = pq.ParquetFile(pa.BufferReader(content)).metadata.row_group(0)
    return {group.column(place).path_in_schema.split(".")[0]: group.column(place) for place in range(group.num_columns)}


@pytest.mark.parametrize("order", [None, (), ("event_type", "event_time")], ids=["as it comes", "unsorted", "merged"])
def test_statistics_are_of_what_rows_are_found_by(order: tuple[str, ...] | None) -> None:
    """Statistics of other columns cost time in every file, and nobody looks at them."""
    content, _ = parquet.encode(EVENTS, events(1000), order)
    found = {name for name, chunk in chunks(content).items() if chunk.is_stats_set}
    assert found == {"source_file", "event_time", *(order or EVENTS.sort)}


def test_times_are_stored_as_differences() -> None:
    """Ten thousand times in order take two bytes each or less, instead of eight."""
    content, _ = parquet.encode(EVENTS, events(10_000))
    times = chunks(content)["event_time"]
    assert "DELTA_BINARY_PACKED" in times.encodings
    assert times.total_uncompressed_size < 2 * 10_000


@pytest.mark.parametrize("order", [None, ("user_id",)], ids=["as it comes", "sorted"])
@pytest.mark.parametrize("at_once", [100, 1 << 20], ids=["row groups", "one row group"])
def test_nothing_of_rows_that_were_taken_away(monkeypatch, order, at_once) -> None:
    """A dictionary keeps the texts of rows that a filter took away; the file has those of its rows alone."""
    monkeypatch.setattr(parquet, "_COMPRESSION", {"compression": "none"})
    monkeypatch.setattr(parquet, "_ROW_GROUP_ROWS", at_once)
    monkeypatch.setattr(parquet, "_SORTED_ROW_GROUP_ROWS", at_once)
    rows = coded(1000, 40, erased="user-erased")
    assert "user-erased" in rows.column("user_id").chunk(0).dictionary.to_pylist()
    content = parquet.encode(EVENTS, rows, order)[0].to_pybytes()
    assert b"user-00" in content
    assert b"user-erased" not in content
    file = pq.ParquetFile(pa.BufferReader(content), read_dictionary=["user_id"])
    assert file.num_row_groups == -(-1000 // at_once)
    for group in range(file.num_row_groups):
        (users,) = file.read_row_group(group, ["user_id"]).column("user_id").chunks
        assert sorted(users.dictionary.to_pylist()) == sorted(set(users.to_pylist()))


def test_dictionary_of_several_megabytes() -> None:
    """It stays one, instead of ending at a megabyte: a third of the bytes. DuckDB reads it, too."""
    rows = coded(300_000, 200_000)
    content, _ = parquet.encode(EVENTS, rows)
    users = chunks(content)["user_id"]
    assert users.data_page_offset - users.dictionary_page_offset < users.total_compressed_size
    assert users.total_uncompressed_size < 200_000 * 29 + 300_000 * 3
    assert (
        parquet.read(EVENTS, content.to_pybytes()).column("user_id").to_pylist() == rows.column("user_id").to_pylist()
    )


@pytest.mark.parametrize("number", [100, 300_000])
def test_duckdb_reads_it(tmp_path: Path, number: int) -> None:
    """Small dictionaries and large ones, money in eight bytes, differences."""
    rows = coded(number, max(1, number // 2)).set_column(
        EVENTS.column_names.index("price"),
        "price",
        pa.array([Decimal("9999999999.99"), None] * (number // 2), pa.decimal128(12, 2)),
    )
    rows = rows.set_column(
        EVENTS.column_names.index("quantity"), "quantity", pa.array([2**31 - 1, 1] * (number // 2), pa.int32())
    )
    (tmp_path / "file.parquet").write_bytes(parquet.encode(EVENTS, rows)[0])
    with duckdb.connect() as connection:
        found = connection.sql(f"FROM '{tmp_path}/file.parquet'").to_arrow_table()
    assert found.cast(parquet.arrow_schema(EVENTS)).equals(rows.cast(parquet.arrow_schema(EVENTS)))


def test_texts_that_do_not_repeat() -> None:
    """They are no dictionary, whether they come as one or not."""
    unique = coded(1000, 1000)
    for rows in (unique, unique.cast(parquet.arrow_schema(EVENTS))):
        content, _ = parquet.encode(EVENTS, rows)
        assert not chunks(content)["user_id"].has_dictionary_page
        assert chunks(content)["event_type"].has_dictionary_page
        assert parquet.read(EVENTS, content.to_pybytes()).equals(unique.cast(parquet.arrow_schema(EVENTS)))


def test_money_in_eight_bytes() -> None:
    """Prices are integers in the file, and decimals for whoever reads it; so are sums that do not fit into integers."""
    assert chunks(parquet.encode(EVENTS, events(10))[0])["price"].physical_type == "INT64"
    empty = parquet.arrow_schema(USER_HOURLY).empty_table()
    assert chunks(parquet.encode(USER_HOURLY, empty)[0])["revenue"].physical_type == "FIXED_LEN_BYTE_ARRAY"


@pytest.mark.parametrize(
    "texts", [["a", "b", "c"], ["c", "a", "b"]], ids=["dictionary in order", "dictionary in no order"]
)
@pytest.mark.parametrize("places", [[0, 1, 1, 2], [2, 1, None, 0, 1]], ids=["rows in order", "rows in no order"])
def test_rows_are_sorted(texts: list[str], places: list[int | None]) -> None:
    """By the texts, not by their places in a dictionary."""
    users = pa.DictionaryArray.from_arrays(pa.array(places, pa.int32()), pa.array(texts))
    schema = parquet.arrow_schema(USER_HOURLY)
    columns = [users if field.name == "user_id" else pa.nulls(len(users), field.type) for field in schema]
    content, _ = parquet.encode(USER_HOURLY, pa.table(columns, names=schema.names))
    found = parquet.read(USER_HOURLY, content.to_pybytes(), ["user_id"]).column("user_id").to_pylist()
    assert found == sorted(users.to_pylist(), key=lambda text: (text is None, text))


def test_reads_what_was_written() -> None:
    """From bytes or from an open file, all columns or some, in the order asked for."""
    rows = events(100)
    content = parquet.encode(EVENTS, rows)[0].to_pybytes()
    assert parquet.read(EVENTS, content).equals(rows)
    some = ["user_id", "event_time"]
    assert parquet.read(EVENTS, io.BytesIO(content), some).equals(rows.select(some))
    both = parquet.read_together(EVENTS, [content, io.BytesIO(content)], some)
    assert both.column_names == some
    assert both.to_pylist() == rows.select(some).to_pylist() * 2


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads are counted in /proc, which only Linux has")
def test_a_read_starts_no_thread(tmp_path: Path) -> None:
    """A thread of Arrow that still holds the file while Python ends aborts the process."""
    file = tmp_path / "events.parquet"
    file.write_bytes(parquet.encode(EVENTS, events(10_000))[0].to_pybytes())
    done = subprocess.run([sys.executable, "-c", READ, file], capture_output=True, text=True, check=True)
    assert done.stdout == "0\n"


def test_every_table_has_a_schema_with_ids() -> None:
    """Each field and each element of a list carries the id that Iceberg knows it by, and none twice."""
    for table in TABLES:
        schema = parquet.arrow_schema(table)
        nested = [field.type.value_field for field in schema if pa.types.is_list(field.type)]
        ids = [field.metadata[b"PARQUET:field_id"] for field in [*schema, *nested]]
        assert sorted(map(int, ids)) == list(range(1, len(ids) + 1))
