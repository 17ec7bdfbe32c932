"""A month's backlog: the plan is cut into batches, and what the driver holds does not grow with them."""

import tracemalloc
from datetime import timedelta
from typing import Any

from shoplake import pipeline
from shoplake.discover import SourceFile
from shoplake.engines.base import Checked, Gold
from shoplake.lake import Lake
from shoplake.settings import Settings
from tests.support import START

FILES = 8640
BYTES = 12_000_000


class Month:
    """A simulated listing: a file of 12 MB for each five minutes of thirty days."""

    name = "simulated"

    def list(self):
        moments = (START + number * timedelta(minutes=5) for number in range(FILES))
        return [
            SourceFile(f"{at:events/year=%Y/month=%m/day=%d/hour=%H/minute=%M}/e.jsonl.gz", "1", BYTES)
            for at in moments
        ]


class Counting:
    """An engine that holds nothing and finds no events."""

    name = "spark"

    def check(self, source, files, latest, erased, progress):
        return [Checked(file, lines=600_000, rows=()) for file in files]

    def dedupe(self, checked, stored):
        return frozenset()

    def write_events(self, checked, output):
        return []

    def gold(self, checked, hours, base, output):
        return Gold({}, frozenset(), [])

    def discard(self, checked):
        pass


def test_backlog(tmp_path):
    """8,640 files are done in batches of whole hours; memory at the end of each is about that at the end of the first."""
    held, files = [], []
    settings = Settings(engine="spark", batch_bytes=288 * BYTES)

    def committed(report, view):
        files.append(report.files)
        held.append(tracemalloc.get_traced_memory()[0])

    source: Any = Month()
    run = pipeline.Run(Lake(tmp_path / "lake"), source, Counting, settings, pipeline.Watchers(committed=committed))
    todo = pipeline.preview(run)
    assert todo.files == FILES
    assert all(len(batch.files) <= 288 and len(batch.files) % 12 == 0 for batch in todo.batches)
    tracemalloc.start()
    try:
        pipeline.ingest(run)
    finally:
        tracemalloc.stop()
    assert files[-1] == FILES
    assert held[-1] < held[0] + 4_000_000
