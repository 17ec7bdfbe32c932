"""Runs one ingest in a process of its own and kills it at a named point of it.

    python driver.py SOURCE LAKE POINT BATCH_BYTES [ENGINE]

A point is `before:WHAT` or `after:WHAT`, where WHAT is a table (its part of a batch's commit), `swap` (the catalog's) or
`write` (of any file of the lake); `:2` behind it means the second one. `gold` is before gold is computed; `never` is never;
`unlocked` is never, and no run waits for another.
Nothing is flushed, closed or released.
"""

import os
import signal
import sys
from contextlib import nullcontext

from shoplake.engines import choose
from shoplake.engines.duckdb import DuckDBEngine
from shoplake.ingestion import pipeline
from shoplake.lake.catalog import Lake
from shoplake.lake.commits import Commit
from shoplake.settings import Settings
from shoplake.sources.open import open_source
from shoplake.storage.local import LocalStorage
from shoplake.storage.s3 import S3Storage


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def class_of(engine):
    if engine == "duckdb":
        return DuckDBEngine
    from shoplake.engines.spark import SparkEngine

    return SparkEngine


def kill_at(point, engine="duckdb"):
    when, _, rest = point.partition(":")
    what, _, turn = rest.partition(":")
    left = int(turn or 1)

    def dying(real, counts):
        def wrapper(*args, **more):
            nonlocal left
            left -= counts(args)
            due = counts(args) and left == 0
            if due and when == "before":
                die()
            result = real(*args, **more)
            if due:
                die()
            return result

        return wrapper

    if when == "gold":
        setattr(class_of(engine), when, lambda *_: die())
    elif when == "unlocked":
        setattr(Lake, Lake.lock.__name__, lambda *_: nullcontext())
    elif what in ("swap", "write"):
        for storage in (LocalStorage, S3Storage):
            setattr(storage, what, dying(getattr(storage, what), lambda _: True))
    elif what:
        setattr(Commit, Commit.replace.__name__, dying(Commit.replace, lambda args: args[1].name == what))


def main(source, lake, point, batch_bytes, engine="duckdb"):
    kill_at(point, engine)
    settings = Settings(batch_bytes=int(batch_bytes), engine=engine)
    target = Lake(lake)
    run = pipeline.Run(target, open_source(source), choose.engine(settings, target), settings)
    pipeline.ingest(run)


if __name__ == "__main__":
    main(*sys.argv[1:])
