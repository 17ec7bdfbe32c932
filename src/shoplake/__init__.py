"""shoplake: shop events in, answers out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["__version__", "experiment", "open", "verify"]

if TYPE_CHECKING:
    from shoplake.api import open, verify  # noqa: A004 - shoplake.open(lake) is the interface
    from shoplake.experiments import experiment


def __getattr__(name: str) -> Any:
    if name == "open":
        from shoplake.api import open  # noqa: A004 - shoplake.open(lake) is the interface

        return open
    if name == "verify":
        from shoplake.api import verify

        return verify
    if name == "experiment":
        from shoplake.experiments import experiment

        return experiment
    raise AttributeError(f"module 'shoplake' has no attribute {name!r}")
