"""shoplake: shop events in, answers out."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["__version__", "experiment", "ingest", "maintain", "open", "preview", "verify"]

if TYPE_CHECKING:
    from shoplake.api import ingest, maintain, open, preview, verify  # noqa: A004 - shoplake.open(lake) is the interface
    from shoplake.experiments import experiment

# Imported when asked for: what a command does not need, it does not wait for.
_PLACES = {
    "experiment": "experiments",
    "ingest": "api",
    "maintain": "api",
    "open": "api",
    "preview": "api",
    "verify": "api",
}


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        return getattr(import_module(f"shoplake.{_PLACES[name]}"), name)
    raise AttributeError(f"module 'shoplake' has no attribute {name!r}")
