"""The Python interface for those who build: what the commands do, for notebooks and schedulers."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shoplake import pipeline
from shoplake import settings as configuration
from shoplake.discover import open_source
from shoplake.engines import choose
from shoplake.lake import Lake
from shoplake.plan import Plan
from shoplake.reports import RunReport

if TYPE_CHECKING:
    from shoplake.operations.maintain import Report


def preview(source: str | Path, lake: str | Path, **settings: Any) -> Plan:
    """What :func:`ingest` would take in now; changes nothing.

    Args:
        source: The folder of raw files, or s3://BUCKET/PREFIX.
        lake: The lake: a folder or prefix too.
        settings: As for :func:`ingest`.

    Returns:
        ``.batches`` with their ``.files`` (``path``, ``bytes``), ``.files`` (how many), ``.bytes``, ``.known``.
    """
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
    return pipeline.ingest(_run(source, lake, settings))


def maintain(lake: str | Path, *, closed_after: timedelta | None = None) -> Report:
    """Merge the files of closed hours, days and months, and remove what nothing needs; safe beside runs and readers.

    Args:
        lake: The lake's folder, or s3://BUCKET/PREFIX.
        closed_after: An hour, day or month is closed when it ended this long ago; two hours by default.

    Returns:
        ``.merged`` by table, ``.removed``, ``.as_json()``.
    """
    from shoplake.operations import maintain as operation

    request = operation.Request(Lake(lake))
    if closed_after is not None:
        request = operation.Request(Lake(lake), closed_after=closed_after)
    return operation.maintain(request)


def _run(source: str | Path, lake: str | Path, given: dict[str, Any]) -> pipeline.Run:
    chosen = configuration.load({"source": str(source), "lake": str(lake)} | given)
    target = Lake(chosen.need_lake())
    return pipeline.Run(target, open_source(chosen.need_source()), choose.engine(chosen, target), chosen)
