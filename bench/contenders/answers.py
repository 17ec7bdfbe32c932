"""How DuckDB reads raw lines; how a contender hands over its answers: the JSON of ``shoplake query all --format json``."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

DUCKDB_FIELDS = {
    "timestamp": "TIMESTAMPTZ",  # a cast straight to TIMESTAMP would drop the offset in silence
    "user_id": "VARCHAR",
    "session_id": "VARCHAR",
    "event_type": "VARCHAR",
    "product_id": "VARCHAR",
    "quantity": "INTEGER",
    "price": "DECIMAL(12, 2)",
    "category": "VARCHAR",
    "search_query": "VARCHAR",
}
"""What a raw line has, typed as the tables have it."""

Answer = tuple[str, Sequence[str], Iterable[Sequence[Any]]]
"""Name, columns, rows."""


def arguments() -> tuple[Path, Path, Path]:
    """The folder of raw files, an empty folder to work in, and the file for the answers."""
    raw, work, answers = sys.argv[1:]
    return Path(raw), Path(work), Path(answers)


def save(path: Path, answers: Iterable[Answer]) -> None:
    """Write the answers; times, dates and decimals as text."""
    document = [{"name": n, "columns": list(columns), "rows": [list(r) for r in rows]} for n, columns, rows in answers]
    path.write_text(json.dumps(document, default=str), "utf-8")
