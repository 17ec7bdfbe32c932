"""Data files: what is stored of a column besides its values, and how files are read."""

from __future__ import annotations

import io
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shoplake.lake import parquet
from shoplake.tables import EVENTS, TABLES

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
