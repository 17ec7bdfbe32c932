"""The five questions from the raw files, from the accepted events and from gold, in seconds and in bytes.

    .venv/bin/python bench/raw_against_gold.py shoplake-demo/raw shoplake-demo/lake --rounds 3

From the raw files, DuckDB inflates and parses every file for each question of grading/queries.sql, as an analyst without tables
would. From the table ``events`` and from gold, each question of grading/queries.sql or queries.sql opens the lake again. All in
one warm process, in turn; medians. The answers must be equal. The lake of ``make demo`` is an hour of 12 files.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from functools import partial
from pathlib import Path

import duckdb
from contenders.answers import DUCKDB_FIELDS
from pyiceberg.table import StaticTable

import shoplake
from shoplake import queries

TABLES = {"user_activity": "activity_daily"}  # the others read product_hourly


def table_bytes(lake: Path, name: str) -> int:
    """Bytes of a table's current data files."""
    document = json.loads((lake / "catalog.json").read_text("utf-8"))["tables"][name]
    table = StaticTable.from_metadata(str((lake / document).absolute()))
    return sum(int(task.file.file_size_in_bytes) for task in table.scan().plan_files())


def from_raw(database: duckdb.DuckDBPyConnection, text: str) -> list[tuple[object, ...]]:
    """A question, asked of every raw line."""
    return database.sql(text).fetchall()


def from_events(lake: Path, text: str) -> list[tuple[object, ...]]:
    """A question, asked of the accepted events, from opening the lake on."""
    with shoplake.open(str(lake)) as opened:
        return opened.sql(text).fetchall()


def from_gold(lake: Path, name: str) -> list[tuple[object, ...]]:
    """A question, asked of the gold tables, from opening the lake on."""
    with shoplake.open(str(lake)) as opened:
        return opened.query(name).fetchall()


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("lake", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    database = duckdb.connect()
    database.execute("SET TimeZone = 'UTC'")
    database.execute(
        f"""CREATE VIEW events AS SELECT "timestamp"::TIMESTAMP AS event_time, * EXCLUDE ("timestamp")
        FROM read_json('{options.source}/**/*.jsonl.gz', format = 'newline_delimited', columns = {DUCKDB_FIELDS})"""
    )
    raw_bytes = sum(path.stat().st_size for path in options.source.rglob("*.jsonl.gz"))
    events_bytes = table_bytes(options.lake, "events")
    print("| question | raw files, s | bytes | events, s | bytes | gold, s | bytes |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    totals = [0.0] * 3
    sizes = [0] * 3
    for name, text in ((query.name, query.sql) for query in queries.oracle()):
        ways = (
            partial(from_raw, database, text),
            partial(from_events, options.lake, text),
            partial(from_gold, options.lake, name),
        )
        seconds: list[list[float]] = [[], [], []]
        for _ in range(options.rounds):
            answers = []
            for way, times in zip(ways, seconds, strict=True):
                started = time.perf_counter()
                answers.append(way())
                times.append(time.perf_counter() - started)
            if not answers[0] == answers[1] == answers[2]:
                sys.exit(f"{name}: the answers differ")
        row = [statistics.median(times) for times in seconds]
        read = [raw_bytes, events_bytes, table_bytes(options.lake, TABLES.get(name, "product_hourly"))]
        totals = [total + value for total, value in zip(totals, row, strict=True)]
        sizes = [total + value for total, value in zip(sizes, read, strict=True)]
        print(line(name, row, read))
    print(line("**the five**", totals, sizes))


def line(name: str, seconds: list[float], sizes: list[int]) -> str:
    """A row of the table."""
    return (
        f"| {name} | "
        + " | ".join(f"{second:.2f} | {size:,}" for second, size in zip(seconds, sizes, strict=True))
        + " |"
    )


if __name__ == "__main__":
    main()
