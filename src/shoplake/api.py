"""The Python interface: what the commands do, for notebooks, schedulers and analysts."""

from __future__ import annotations

import os
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shoplake import settings as configuration
from shoplake.errors import UsageError

if TYPE_CHECKING:  # what a call does not need, it does not wait for
    from shoplake.ingestion import pipeline
    from shoplake.ingestion.plan import Plan
    from shoplake.ingestion.report import RunReport
    from shoplake.lake.reader import OpenLake
    from shoplake.operations.maintain import MaintenanceReport
    from shoplake.operations.verify import VerifyReport


def open(  # noqa: A001 - read as shoplake.open(lake)
    lake: str | Path, *, threads: int | None = None, since: date | None = None, until: date | None = None
) -> OpenLake:
    """Open a lake for reading.

    What is read is one consistent state: every table as the last batch left it at the moment of opening. Later batches are
    seen by opening again, or by :meth:`OpenLake.refresh`.

    Args:
        lake: The lake's folder, or s3://BUCKET/PREFIX.
        threads: Cores to use; all by default.
        since: The first day (UTC) to see of the events and of the gold tables; all by default.
        until: The last one, included. ``ledger`` and ``quarantine`` are always whole.

    Raises:
        UsageError: There is no lake at that place.
        FatalError: The lake is damaged.

    Example:
        >>> import shoplake
        >>> lake = shoplake.open("lake")
        >>> lake.query("conversion_funnel").df()
        >>> lake.sql("SELECT count(*) FROM events WHERE event_type = 'purchase'").fetchall()
    """
    from shoplake.lake.catalog import Lake
    from shoplake.lake.reader import OpenLake

    return OpenLake(Lake(lake), threads, since, until)


def verify(
    lake: str | Path,
    source: str | Path | None = None,
    *,
    sample: float = 1.0,
    repair: bool = False,
    threads: int | None = None,
) -> VerifyReport:
    """Recount a lake from its raw objects and from every table, and compare all with the ledger.

    Args:
        lake: The lake's folder, or s3://BUCKET/PREFIX.
        source: The folder or prefix of its raw objects; without it they are left out.
        sample: The share of hours, days and files to look at, above 0, and 1 for all.
        repair: Whether hours and days of gold that differ from the events are rebuilt.
        threads: Cores to use; all by default.

    Returns:
        ``.ok``, ``.differences`` (each with ``where``, ``message`` and ``remedy``), ``.checks``, ``.notes``, ``.as_json()``.

    Raises:
        UsageError: There is no lake, or no source, at that place.

    Example:
        >>> import shoplake
        >>> shoplake.verify("lake", "raw").ok
        True
    """
    from shoplake.engines.duckdb import DuckDBEngine
    from shoplake.lake.catalog import Lake
    from shoplake.operations import verify as operation
    from shoplake.sources.open import open_source

    try:
        configuration.SHARE.read(sample)
    except (TypeError, ValueError) as error:
        raise UsageError(f"sample must be {configuration.SHARE}, not {sample!r}", remedy="1 looks at all.") from error
    cores = threads or os.cpu_count() or 1
    place = None if source is None else open_source(source)
    request = operation.VerifyRequest(
        Lake(lake), place, lambda: DuckDBEngine(cores), cores, share=sample, repair=repair
    )
    return operation.verify(request)


def preview(source: str | Path, lake: str | Path, **settings: Any) -> Plan:
    """What :func:`ingest` would take in now; changes nothing.

    Args:
        source: The folder of raw files, or s3://BUCKET/PREFIX.
        lake: The lake: a folder or prefix too.
        settings: As for :func:`ingest`.

    Returns:
        ``.batches`` with their ``.files`` (``path``, ``bytes``), ``.files`` (how many), ``.bytes``, ``.known``.
    """
    from shoplake.ingestion import pipeline

    return pipeline.preview(_run(source, lake, settings))


def ingest(source: str | Path, lake: str | Path, **settings: Any) -> RunReport:
    """Take in what is new in the source, exactly once in effect.

    Args:
        source: The folder of raw files, or s3://BUCKET/PREFIX.
        lake: The lake, a folder or prefix too; it is made if missing.
        settings: Any of the settings by name, such as ``threads=2`` or ``engine="spark"``; the environment and
            ``shoplake.toml`` give the others.

    Returns:
        ``.files``, ``.lines``, ``.accepted``, ``.duplicates``, ``.quarantined``, ``.as_json()`` and more.

    Raises:
        ShoplakeError: As the command line tells it, with a ``remedy``. What was published before stays.

    Example:
        >>> import shoplake
        >>> shoplake.ingest("raw", "lake").files
        12
    """
    from shoplake.ingestion import pipeline

    return pipeline.ingest(_run(source, lake, settings))


def maintain(lake: str | Path, *, closed_after: timedelta | None = None) -> MaintenanceReport:
    """Merge the files of closed hours, days and months, and remove what nothing needs; safe beside runs and readers.

    Args:
        lake: The lake's folder, or s3://BUCKET/PREFIX.
        closed_after: An hour, day or month is closed when it ended this long ago; two hours by default.

    Returns:
        ``.merged`` by table, ``.removed``, ``.as_json()``.
    """
    from shoplake.lake.catalog import Lake
    from shoplake.operations import maintain as operation

    request = operation.MaintenanceRequest(Lake(lake))
    if closed_after is not None:
        request = operation.MaintenanceRequest(Lake(lake), closed_after=closed_after)
    return operation.maintain(request)


def _run(source: str | Path, lake: str | Path, given: dict[str, Any]) -> pipeline.Run:
    from shoplake.engines import choose
    from shoplake.ingestion import pipeline
    from shoplake.lake.catalog import Lake
    from shoplake.sources.open import open_source

    chosen = configuration.load({"source": str(source), "lake": str(lake)} | given)
    target = Lake(chosen.need_lake())
    return pipeline.Run(target, open_source(chosen.need_source()), choose.engine(chosen, target), chosen)
