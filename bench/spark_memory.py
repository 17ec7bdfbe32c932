"""What a run on Spark holds in memory: the figures under "Sizing" in docs/spark.md.

    .venv/bin/python bench/spark_memory.py

The tasks' processes on the hour's raw data (made by ``make bench``), quarantined lines, and the driver over many batches of
small files, with its Java machine after a collection. Prints a line for each. Linux.
"""

from __future__ import annotations

import gzip
import json
import pickle
import re
import subprocess
import sys
import tempfile
import time
import tracemalloc
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from shoplake.engines import spark_session, spark_tasks
from shoplake.engines.base import CheckRequest
from shoplake.engines.spark import SparkEngine
from shoplake.ingestion import pipeline
from shoplake.lake.catalog import Lake
from shoplake.lake.erasures import Erased
from shoplake.settings import Settings
from shoplake.sources.local import LocalSource
from shoplake.storage.local import LocalStorage

RAW = Path(__file__).with_name("data") / "raw" / "hour-625000"
BATCHES, LINES = 60, 100_000
START = datetime(2025, 11, 18, tzinfo=UTC)


def main() -> None:
    """Print the figures, each part of them found in a process of its own."""
    if len(sys.argv) > 1:
        with tempfile.TemporaryDirectory() as folder:
            {"task": task, "quarantine": quarantine, "driver": driver}[sys.argv[1]](Path(folder))
        return
    for part in ("task", "quarantine", "driver"):
        subprocess.run([sys.executable, __file__, part], check=True)


def task(folder: Path) -> None:
    """Spark's own Python processes, while a command ingests the hour with two of them."""
    words = ("ingest", "--source", RAW, "--lake", folder / "lake", "--engine", "spark", "--master", "local[2]")
    peaks: dict[str, float] = {}
    with subprocess.Popen([sys.executable, "-m", "shoplake", *words], stdout=subprocess.DEVNULL) as run:
        while run.poll() is None:
            for process in Path("/proc").glob("[0-9]*"):
                with suppress(OSError):
                    if b"pyspark.daemon" in (process / "cmdline").read_bytes():
                        peak = re.search(r"VmHWM:\s+(\d+) kB", (process / "status").read_text("utf-8"))
                        peaks[process.name] = int(peak[1]) / 1e3 if peak else 0.0
            time.sleep(0.1)
    if run.returncode:
        sys.exit(run.returncode)
    most = max(file.bytes for file in LocalSource(RAW).list()) / 1e6
    print(f"task: files of up to {most:.1f} MB: a process held {max(peaks.values()):.0f} MB at its peak")


def quarantine(folder: Path) -> None:
    """What lines of one kind of fault, all others as they should be, weigh on their way and in the driver."""
    _put(folder / "raw", START, LINES, event_type="view")
    octets = _check(folder, LocalSource(folder / "raw"))
    tracemalloc.start()
    checked = spark_tasks.unpacked(octets)
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    lines = len(checked.quarantined)
    each = (f"{octet / lines:.1f}" for octet in (len(octets), len(pickle.dumps(checked)), held))
    print("quarantine: bytes a line: {} packed, {} pickled, {} in the driver's Python".format(*each))


def driver(folder: Path) -> None:
    """What the driver holds after the first and after the last of many batches."""
    for number in range(BATCHES):
        _put(folder / "raw", START + timedelta(hours=number), 1000)
    session = spark_session.start("local[2]", 2)
    java: Any = session.sparkContext._jvm  # noqa: SLF001 - the only way to its Java machine
    held = []

    def committed(*_: object) -> None:
        java.System.gc()
        time.sleep(1)  # what was collected on the way tells Spark to let go of more
        java.System.gc()
        runtime = java.Runtime.getRuntime()
        held.append((tracemalloc.get_traced_memory()[0] / 1e6, (runtime.totalMemory() - runtime.freeMemory()) / 1e6))

    lake, settings = Lake(str(folder / "lake")), Settings(engine="spark", batch_bytes=1)
    watchers = pipeline.Watchers(committed=committed)
    tracemalloc.start()
    pipeline.ingest(
        pipeline.Run(lake, LocalSource(folder / "raw"), lambda: SparkEngine(session, lake), settings, watchers)
    )
    for name, values in zip(("Python", "Java"), zip(*held, strict=True), strict=True):
        print(f"driver: {name}, MB after each of {len(values)} batches: {', '.join(f'{one:.1f}' for one in values)}")
    session.stop()


def _check(folder: Path, source: LocalSource) -> bytes:
    writer = spark_tasks.Writer(LocalStorage(str(folder / "lake")))
    return spark_tasks.check(source.list()[0], CheckRequest(source, (), START + timedelta(days=1), Erased("")), writer)


def _put(raw: Path, at: datetime, lines: int, **others: object) -> None:
    event = {"timestamp": at.isoformat(), "event_type": "page_view", "product_id": "p_1001", "category": "books"}
    target = raw / f"{at:year=%Y/month=%m/day=%d/hour=%H/minute=%M}" / "events.jsonl.gz"
    target.parent.mkdir(parents=True)
    with gzip.open(target, "wt") as stream:
        for number in range(lines):
            own = {"user_id": f"u_{number}", "session_id": f"s_{number}", "price": None, "quantity": None}
            stream.write(json.dumps({**event, **own, "search_query": None, **others}) + "\n")


if __name__ == "__main__":
    main()
