"""The floor: inflate, parse and encode, and nothing else. No questions, so no answers either.

ISA-L inflates in threads of its own into pipes, DuckDB parses what comes out of them into typed columns, PyArrow
encodes each file as Parquet.
"""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import answers
import duckdb
import pyarrow.parquet as pq
from isal import igzip

raw, work, _ = answers.arguments()
database = duckdb.connect()
database.execute("SET GLOBAL TimeZone = 'UTC'")


def inflate(file: Path, pipe: int) -> None:
    """Write what the file holds into the pipe, and close it."""
    with igzip.open(file, "rb") as stream, os.fdopen(pipe, "wb", buffering=0) as out:
        while chunk := stream.read(1 << 18):
            view = memoryview(chunk)
            while view:
                view = view[out.write(view) :]


def convert(file: Path) -> None:
    """One gzip to one Parquet file."""
    reading, writing = os.pipe()
    feeder = threading.Thread(target=inflate, args=(file, writing))
    feeder.start()
    options = f"format = 'newline_delimited', compression = 'none', columns = {answers.DUCKDB_FIELDS}"
    lines = f"read_json('/dev/fd/{reading}', {options})"
    rows = database.cursor().sql(f"FROM {lines}").to_arrow_table()
    feeder.join()
    os.close(reading)
    pq.write_table(rows, work / f"{file.stem}.parquet", compression="zstd", compression_level=1)


with ThreadPoolExecutor(os.cpu_count()) as pool:
    list(pool.map(convert, sorted(raw.rglob("*.jsonl.gz"))))
