"""shoplake: shop events in, answers out."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
PUBLISHED = False
"""Whether this version can be installed by its name: until then only a checkout has what AWS installs."""
__all__ = [
    "Observer",
    "__version__",
    "acknowledge",
    "copy",
    "erase",
    "experiment",
    "ingest",
    "maintain",
    "open",
    "person",
    "preview",
    "quarantine",
    "recover",
    "replay",
    "status",
    "verify",
]

if TYPE_CHECKING:
    from shoplake.api import (
        Observer,
        acknowledge,
        copy,
        erase,
        ingest,
        maintain,
        open,  # noqa: A004 - shoplake.open(lake) is the interface
        person,
        preview,
        quarantine,
        recover,
        replay,
        status,
        verify,
    )
    from shoplake.experiments import experiment


def __getattr__(name: str) -> Any:
    """Import what is asked for: what a caller does not need, it does not wait for."""
    if name not in __all__:
        raise AttributeError(f"module 'shoplake' has no attribute {name!r}")
    return getattr(import_module("shoplake.experiments" if name == "experiment" else "shoplake.api"), name)


def __dir__() -> list[str]:
    """The interface, without the modules behind it."""
    return __all__
