"""What a call of the interface stands on: its settings, the places that they name, and who follows it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shoplake import settings
from shoplake.settings import Settings

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
    """Follows a long call. Each part may be left out.

    Attributes:
        total: Is told how much there is to do, in the unit of the first number that ``advance`` is told.
        advance: Is told of work that was done since the last time: bytes or files, and lines, rows or files; may be called
            from several threads.
        note: Is told a sentence worth showing, such as who is being waited for.
    """

    total: Callable[[int], None] = _silent
    advance: Callable[[int, int], None] = _silent
    note: Callable[[str], None] = _silent


def prepare(
    chosen: Settings,
    watchers: pipeline.Watchers | None = None,
    engine: Callable[[Lake], Engine] | None = None,
) -> pipeline.Run:
    """The run that settings describe: the one place that puts its parts together.

    Args:
        chosen: The lake, the source, the engine and the bounds.
        watchers: Who follows it.
        engine: Makes the engine that writes to a lake, instead of the one that the settings name.

    Raises:
        UsageError: No lake or no source is named, or there is nothing at that place.
    """
    from shoplake.engines import choose
    from shoplake.ingestion import pipeline
    from shoplake.sources.open import open_source

    lake = lake_of(chosen)
    start = (lambda: engine(lake)) if engine else choose.engine(chosen, lake)
    return pipeline.Run(lake, open_source(chosen.need_source()), start, chosen, watchers or pipeline.Watchers())


def watchers(observer: Observer | None) -> pipeline.Watchers:
    """An observer, as a run takes it."""
    from shoplake.ingestion import pipeline

    watch = observer or Observer()
    return pipeline.Watchers(lambda plan: watch.total(plan.bytes), watch.advance, watch.note)


def settled(lake: Place, source: Place, given: Mapping[str, Any]) -> Settings:
    """The settings of a call; a place that it does not give is the one that the environment or ``shoplake.toml`` names."""
    places = {"lake": lake and str(lake), "source": source and str(source)}
    return settings.load({**places, **given})


def lake_of(chosen: Settings) -> Lake:
    """The lake that the settings name.

    Raises:
        UsageError: They name none, or what they name cannot be one.
    """
    from shoplake.lake.catalog import Lake

    return Lake(chosen.need_lake())


def source_of(chosen: Settings) -> Source | None:
    """The source that the settings name, if they do.

    Raises:
        UsageError: There is nothing at that place.
    """
    from shoplake.sources.open import open_source

    return open_source(chosen.source) if chosen.source else None


def duckdb_of(chosen: Settings) -> Callable[[], DuckDBEngine]:
    """Makes the embedded engine: what operations on a lake compute with, whatever engine ingests."""
    from shoplake.engines.duckdb import DuckDBEngine

    return lambda: DuckDBEngine(chosen.threads)
