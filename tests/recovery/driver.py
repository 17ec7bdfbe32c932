"""Runs one ingest in a process of its own and dies, as if killed, at a named point of it.

    python driver.py SOURCE LAKE POINT BATCH_BYTES

A point is `before:TABLE`, `after:TABLE` (a commit to that table; `:2` behind it means the second one), `create:N` (before
the lake's Nth table is made), `gold` (before gold is computed), or `never`. Nothing is flushed, closed or released.
"""

import os
import sys
from pathlib import Path

from pyiceberg.catalog.sql import SqlCatalog

from shoplake import pipeline
from shoplake.commits import Commits
from shoplake.discover import LocalSource
from shoplake.engines.duckdb import DuckDBEngine
from shoplake.lake import Lake
from shoplake.settings import Settings

DIED = 9


def kill_at(point):
    what, _, rest = point.partition(":")
    name, _, turn = rest.partition(":")
    left = int(turn or 1)
    replace, create = Commits.replace, SqlCatalog.create_table_if_not_exists

    def dying_replace(self, table, *args, **more):
        nonlocal left
        left -= table.name == name
        if table.name == name and left == 0 and what == "before":
            os._exit(DIED)
        result = replace(self, table, *args, **more)
        if table.name == name and left == 0:
            os._exit(DIED)
        return result

    def dying_create(self, *args, **more):
        nonlocal left
        left -= 1
        if left == 0:
            os._exit(DIED)
        return create(self, *args, **more)

    if what == "create":
        left = int(name)
        setattr(SqlCatalog, create.__name__, dying_create)
    elif what == "gold":
        DuckDBEngine.gold = lambda *_: os._exit(DIED)  # type: ignore[method-assign]
    elif what != "never":
        setattr(Commits, replace.__name__, dying_replace)


if __name__ == "__main__":
    source, lake, point, batch_bytes = sys.argv[1:]
    kill_at(point)
    settings = Settings(batch_bytes=int(batch_bytes))
    pipeline.ingest(
        pipeline.Run(Lake(Path(lake)), LocalSource(source), lambda: DuckDBEngine(settings.threads), settings)
    )
