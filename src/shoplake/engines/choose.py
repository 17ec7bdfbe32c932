"""Which engine computes: the one place that knows them all."""

from __future__ import annotations

from collections.abc import Callable

from shoplake.engines.base import Engine
from shoplake.lake.catalog import Lake
from shoplake.settings import Settings
from shoplake.storage.uris import is_s3


def engine(settings: Settings, lake: Lake) -> Callable[[], Engine]:
    """How to start the engine that the settings name.

    Args:
        settings: ``engine``, ``master``, ``threads`` and the bounds.
        lake: The lake that it will write to.
    """

    def start() -> Engine:
        if settings.engine == "spark":
            from shoplake.engines import spark_session

            on_s3 = is_s3(lake.root)
            session = spark_session.start(settings.master, settings.threads, spark_session.S3 if on_s3 else "")
            from shoplake.engines.spark import SparkEngine  # behind the check that PySpark is there

            return SparkEngine(session, lake, settings.bounds)
        from shoplake.engines.duckdb import DuckDBEngine

        return DuckDBEngine(settings.threads, settings.bounds)

    return start
