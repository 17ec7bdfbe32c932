"""What the calls of the interface share: settings, the places that they name, and observers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shoplake import settings
from shoplake.settings import Settings
from shoplake.text import as_datetime

if TYPE_CHECKING:  # what a call does not need, it does not wait for
    from shoplake.engines.base import Engine
    from shoplake.engines.duckdb import DuckDBEngine
    from shoplake.ingestion import pipeline
    from shoplake.lake.catalog import Lake
    from shoplake.sources.base import Source

Place = str | Path | None


def _silent(*_: object) -> None:
    return


@dataclass(frozen=True)
class Observer:
    """Follows a long call. Every callback is optional.

    Attributes:
        total: Called with the amount of work, in the unit of the first argument of ``advance``.
        advance: Called with the work done since the last call: bytes or files, and lines, rows or files. It may be called from
            several threads.
        note: Called with a remark worth showing, such as who the call is waiting for.
    """

    total: Callable[[int], None] = _silent
    advance: Callable[[int, int], None] = _silent
    note: Callable[[str], None] = _silent


def prepare(
    chosen: Settings,
    watchers: pipeline.Watchers | None = None,
    engine: Callable[[Lake], Engine] | None = None,
    set_aside: Sequence[str | Path] = (),
) -> pipeline.Run:
    """The run that settings describe; the one place that assembles its parts.

    Args:
        chosen: The lake, the source, the engine and the bounds.
        watchers: Callbacks that follow it.
        engine: Creates the engine for a lake, instead of the one that the settings name.
        set_aside: Source files to set aside unread, by their path below the source.

    Raises:
        UsageError: No lake or source is named, or the source does not exist.
    """
    from shoplake.engines import choose
    from shoplake.ingestion import pipeline
    from shoplake.sources.open import open_source

    lake = lake_of(chosen)
    start = (lambda: engine(lake)) if engine else choose.engine(chosen, lake)
    source = open_source(chosen.need_source())
    aside = frozenset(_below(source, str(name)) for name in set_aside)
    return pipeline.Run(lake, source, start, chosen, watchers or pipeline.Watchers(), set_aside=aside)


def _below(source: Source, name: str) -> str:
    """A file's path below the source, given as that, or as a local path or URI of the file."""
    locations, folder = (name, str(Path(name).absolute())), f"{source.name}/"
    return next((place.removeprefix(folder) for place in locations if place.startswith(folder)), name)


def watchers(observer: Observer | None) -> pipeline.Watchers:
    """An observer in the form that a run expects."""
    from shoplake.ingestion import pipeline

    watch = observer or Observer()
    return pipeline.Watchers(lambda plan: watch.total(plan.bytes), watch.advance, watch.note)


def utc(moment: date) -> datetime:
    """A time with its zone, UTC unless it has an offset; of a day, its first moment."""
    time = as_datetime(moment)
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def settled(lake: Place, source: Place, given: Mapping[str, Any]) -> Settings:
    """The settings of a call; places that are not given come from the environment or ``shoplake.toml``."""
    places = {"lake": lake and str(lake), "source": source and str(source)}
    return settings.load({**places, **given})


def lake_of(chosen: Settings) -> Lake:
    """The lake that the settings name.

    Raises:
        UsageError: They name none, or the place cannot be a lake.
    """
    from shoplake.lake.catalog import Lake

    return Lake(chosen.need_lake())


def source_of(chosen: Settings) -> Source | None:
    """The source that the settings name, or None.

    Raises:
        UsageError: The source does not exist.
    """
    from shoplake.sources.open import open_source

    return open_source(chosen.source) if chosen.source else None


def duckdb_of(chosen: Settings) -> Callable[[], DuckDBEngine]:
    """Creates the embedded engine, which operations on a lake use whatever engine ingests."""
    from shoplake.engines.duckdb import DuckDBEngine

    return lambda: DuckDBEngine(chosen.threads, chosen.bounds)
