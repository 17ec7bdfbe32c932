"""The Python interface: what the commands do, for notebooks, schedulers and analysts.

A lake or a source that a call does not give is the one that the environment or ``shoplake.toml`` names, as on the command
line.
"""

from shoplake.api.copying import copy
from shoplake.api.ingesting import ReplayReport, ingest, preview, replay
from shoplake.api.operating import (
    acknowledge,
    erase,
    maintain,
    open,  # noqa: A004 - read as shoplake.open(lake)
    person,
    recover,
    status,
    verify,
)
from shoplake.api.quarantined import Quarantine, quarantine
from shoplake.api.setup import Observer, prepare, watchers

__all__ = [
    "Observer",
    "Quarantine",
    "ReplayReport",
    "acknowledge",
    "copy",
    "erase",
    "ingest",
    "maintain",
    "open",
    "person",
    "prepare",
    "preview",
    "quarantine",
    "recover",
    "replay",
    "status",
    "verify",
    "watchers",
]
