"""The five questions from the raw files and from gold, in seconds and in bytes.

    .venv/bin/python bench/raw_against_gold.py shoplake-demo/raw shoplake-demo/lake --rounds 3

From the raw files, DuckDB inflates and parses every file for each question of grading/queries.sql, as an analyst without tables
would. From gold, each question of queries.sql opens the lake again. Both in one warm process, in turn; medians. The answers
must be equal. The lake of ``make demo`` is an hour of 12 files.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
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


def from_gold(lake: Path, name: str) -> list[tuple[object, ...]]:
    """A question, asked of the tables, from opening the lake on."""
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
    print("| question | raw files, s | raw files, bytes | gold, s | gold, bytes |")
    print("| --- | ---: | ---: | ---: | ---: |")
    totals = [0.0, 0.0, 0, 0]
    for name, text in ((query.name, query.sql) for query in queries.oracle()):
        raw, gold = [], []
        for _ in range(options.rounds):
            started = time.perf_counter()
            expected = from_raw(database, text)
            between = time.perf_counter()
            answer = from_gold(options.lake, name)
            gold.append(time.perf_counter() - between)
            raw.append(between - started)
            if expected != answer:
                sys.exit(f"{name}: the answers differ")
        row = [statistics.median(raw), statistics.median(gold), raw_bytes]
        row.append(table_bytes(options.lake, TABLES.get(name, "product_hourly")))
        totals = [total + value for total, value in zip(totals, row, strict=True)]
        print(f"| {name} | {row[0]:.2f} | {row[2]:,} | {row[1]:.2f} | {row[3]:,} |")
    print(f"| **the five** | {totals[0]:.2f} | {totals[2]:,} | {totals[1]:.2f} | {totals[3]:,} |")


if __name__ == "__main__":
    main()
