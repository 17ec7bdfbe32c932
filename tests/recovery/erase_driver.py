"""Runs one `erase --raw` in a process of its own and dies, as if killed, at a named step of it.

USERS are ids with commas between them. A step is `before:WHAT:N` or `after:WHAT:N`, the Nth time that WHAT happens: `swap`
(of the catalog), `write` (of any file of the lake), `sweep` (of what nothing names any more), `replace` (of a raw file) or
`rename` (of any file into its place, the catalog's too). Nothing is flushed, closed or released.
"""

import os
from pathlib import Path

from shoplake.engines.duckdb import DuckDBEngine
from shoplake.lake.catalog import Lake
from shoplake.operations import erase
from shoplake.operations.maintain import vacuum
from shoplake.settings import Settings
from shoplake.sources.local import LocalSource
from shoplake.storage.local import LocalStorage

DIED = 9
PLACES = {
    "swap": (LocalStorage, "swap"),
    "write": (LocalStorage, "write"),
    "sweep": (vacuum, "remove"),
    "replace": (LocalSource, "replace"),
    "rename": (Path, "replace"),
}


def die_at(step):
    when, what, turn = step.split(":")
    place, name = PLACES[what]
    real = getattr(place, name)
    left = int(turn)

    def dying(*args, **more):
        nonlocal left
        left -= 1
        if left == 0 and when == "before":
            os._exit(DIED)
        result = real(*args, **more)
        if left == 0:
            os._exit(DIED)
        return result

    setattr(place, name, dying)


def main(source, lake, users, step):
    die_at(step)
    settings = Settings(threads=2)
    erase.erase(
        erase.EraseRequest(
            erase.People(tuple(users.split(","))),
            Lake(lake),
            LocalSource(source),
            lambda: DuckDBEngine(settings.threads),
            settings,
            raw=True,
        )
    )
