"""A month's backlog: the plan is cut into batches, and what the driver holds does not grow with them."""

import re
import tracemalloc
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from shoplake.engines.base import CheckedFile, Deduped, DedupedFile, Gold
from shoplake.ingestion import pipeline
from shoplake.lake.catalog import Lake
from shoplake.lake.parquet import arrow_schema
from shoplake.settings import Settings
from shoplake.sources.base import SourceFile
from shoplake.sources.listing import Listing
from shoplake.tables import ACTIVITY_DAILY, EVENTS, GOLD_HOURLY
from tests.support import START, proofs

MONTH = 8640  # files
BYTES = 12_000_000
LARGE = 1_000_000  # one block of Python's own is: the table of interned strings, which doubles at any time


class Month:
    """A simulated one: a file of 12 MB for each five minutes."""

    name = "simulated"

    def __init__(self, files):
        self.files = files

    def list(self, after=""):
        moments = (START + number * timedelta(minutes=5) for number in range(self.files))
        paths = (f"{at:events/year=%Y/month=%m/day=%d/hour=%H/minute=%M}/e.jsonl.gz" for at in moments)
        return Listing(SourceFile(path, "1", BYTES) for path in paths if path > after)


class Counting:
    """An engine that finds no events."""

    name = "spark"

    def check(self, request):
        return [CheckedFile(file, lines=600_000, rows=()) for file in request.files]

    def dedupe(self, checked, stored):
        return Deduped([DedupedFile(**vars(result)) for result in checked], frozenset())

    def write_events(self, checked, output):
        return []

    def gold(self, request, output):
        return Gold({}, frozenset(), frozenset(), [])

    def discard(self, checked):
        pass


class Writing(Counting):
    """An engine that leaves data files as Spark's does, one of events for each source file and of gold for each hour."""

    def check(self, request):
        return [CheckedFile(file, lines=1, rows=(self.moment(file),)) for file in request.files]

    def moment(self, file):
        year, month, day, hour, minute = re.findall(r"=(\d+)", file.path)
        return datetime.fromisoformat(f"{year}-{month}-{day}T{hour}:{minute}")

    def dedupe(self, checked, stored):
        files = []
        for result in checked:
            (at,) = result.rows
            hours = frozenset([at.replace(minute=0)])
            files.append(DedupedFile(**vars(result), accepted=1, hours=hours, min_event_time=at, max_event_time=at))
            stored.within(at, at)
        return Deduped(files, frozenset())

    def write_events(self, checked, output):
        return [output.write(EVENTS, at, row(EVENTS, at, result.file.path)) for result in checked for at in result.rows]

    def gold(self, request, output):
        hours = request.hours
        hourly = {
            table.name: [output.write(table, hour, row(table, hour)) for hour in sorted(hours)] for table in GOLD_HOURLY
        }
        days = frozenset(hour.date() for hour in hours)
        return Gold(
            hourly,
            frozenset(),
            days,
            [output.write(ACTIVITY_DAILY, day, row(ACTIVITY_DAILY, day)) for day in sorted(days)],
        )


def row(table, moment, text="x"):
    """A row of a table, all of its values made of one time and one text."""
    schema = arrow_schema(table)
    day = moment.date() if isinstance(moment, datetime) else moment
    values = {"timestamp": moment, "date": day, "string": text, "int": 1, "long": 1, "double": 1.0}
    made = [values.get(column.type, Decimal(1) if "decimal" in column.type else None) for column in table.columns]
    return pa.Table.from_arrays(
        [pa.array([one], field.type) for one, field in zip(made, schema, strict=True)], schema=schema
    )


@pytest.mark.parametrize(
    ("engine", "listed"),
    [(Writing, MONTH // 20), *proofs((Counting, MONTH), (Writing, MONTH))],
)
def test_backlog(tmp_path, engine, listed):
    """A month is done in batches of whole hours; memory at the end of the last is about that at the end of the first."""
    held, files = [], []
    settings = Settings(engine="spark", batch_bytes=288 * BYTES)

    def committed(report, view):
        files.append(report.files)
        if len(files) == 1 or files[-1] == listed:
            held.append(sum(block.size for block in tracemalloc.take_snapshot().traces if block.size < LARGE))

    source: Any = Month(listed)
    run = pipeline.Run(Lake(tmp_path / "lake"), source, engine, settings, pipeline.Watchers(committed=committed))
    todo = pipeline.preview(run)
    assert todo.files == listed
    assert len(todo.batches) == listed // 144
    assert all(len(batch.files) <= 288 and len(batch.files) % 12 == 0 for batch in todo.batches)
    tracemalloc.start()
    try:
        pipeline.ingest(run)
    finally:
        tracemalloc.stop()
    first, last = held
    assert last < first + 2_000_000
    if engine is Writing:
        assert Lake(tmp_path / "lake").view()["events"].rows == listed
