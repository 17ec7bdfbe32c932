"""Asks the five questions again and again in one process: ``python bench/warm_queries.py LAKE REPEATS RESULT``."""

from __future__ import annotations

import json
import statistics
import sys
import time
from pathlib import Path

import shoplake
from shoplake import queries

lake, repeats, result = Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
started = time.perf_counter()
with shoplake.open(lake) as opened:
    opening = time.perf_counter() - started
    medians, rows = {}, {}
    for question in queries.five():
        rows[question.name] = len(opened.query(question.name).fetchall())  # the one that warms up
        times = []
        for _ in range(repeats):
            started = time.perf_counter()
            opened.query(question.name).fetchall()
            times.append(time.perf_counter() - started)
        medians[question.name] = statistics.median(times)
    hours, products, pairs = opened.sql(
        "SELECT count(DISTINCT event_hour), count(DISTINCT product_id), count(*) FROM product_hourly"
    ).fetchall()[0]
    files = {name: len(snapshot.files) for name, snapshot in opened.view.tables.items()}
figures = {"open": opening, "medians": medians, "sum": sum(medians.values()), "rows": rows}
gold = {"hours": hours, "products": products, "product_hourly_rows": pairs, "files": files}
result.write_text(json.dumps({**figures, "gold": gold}), "utf-8")
