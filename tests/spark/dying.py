"""Storages whose writers die, hang or find no room, for tasks in other processes to import, and runs with them."""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

from shoplake.engines.spark import SparkEngine
from shoplake.engines.spark_tasks import Writer
from shoplake.ingestion import pipeline
from shoplake.lake.catalog import Lake
from shoplake.settings import Settings
from shoplake.sources.open import open_source
from shoplake.storage.local import LocalStorage


class OfTable(LocalStorage):
    """Does something of its own to the data files of one table."""

    def __init__(self, root, table):
        super().__init__(root)
        self.table = table


class DyingOnce(OfTable):
    """Kills its process right after it wrote the first data file of a table: what was written is there, nobody knows of it."""

    def write(self, location, content):
        super().write(location, content)
        marker = Path(self.root) / f"{self.table}-died"
        if f"/{self.table}/data/" in location and location.endswith(".parquet") and not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)


class Full(OfTable):
    """Has no room for data files of a table."""

    def write(self, location, content):
        if f"/{self.table}/data/" in location:
            raise OSError(28, "No space left on device")
        super().write(location, content)


class Slow(OfTable):
    """Takes a minute to write a data file of a table; a file beside the table says that it has begun."""

    def write(self, location, content):
        if f"/{self.table}/data/" in location:
            (Path(self.root) / f"{self.table}-slow").touch()
            time.sleep(60)
        super().write(location, content)


class Hanging(LocalStorage):
    """Whoever wrote the first data file of one of these tables does not come back; after two minutes nobody has helped."""

    def __init__(self, root, tables):
        super().__init__(root)
        self.tables = tables

    def write(self, location, content):
        super().write(location, content)
        table = Path(location).relative_to(self.root).parts[0]
        if table not in self.tables:
            return
        with suppress(FileExistsError), (Path(self.root) / f"{table}-hung").open("x") as marker:
            marker.write(location)
            marker.flush()
            time.sleep(120)
            raise TimeoutError("nobody did it in my place")


def run(session, source, lake, storage):
    """An ingest whose executors, but not its driver, use another storage."""

    def engine():
        made = SparkEngine(session, Lake(lake))
        made._writer = Writer(storage)
        return made

    return pipeline.ingest(pipeline.Run(Lake(lake), open_source(str(source)), engine, Settings(engine="spark")))
