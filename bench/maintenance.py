"""What a month of five-minute batches does to a lake, and what maintenance makes of it.

    python bench/maintenance.py                    8,640 batches, about half an hour
    python bench/maintenance.py --batches 300      tries everything, measures little

Makes one lake by as many commits as there are files, with the clock of each file, and another by one run over the same
files: the fresh lake. Then it times, in turn on both, one more file and the five questions (each time from opening the lake),
before and after ``shoplake maintain``. All in one process, so that only the lakes differ. Prints JSON.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import os
import pstats
import shutil
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import shoplake
from shoplake import pipeline, queries
from shoplake.discover import LocalSource
from shoplake.engines.duckdb import DuckDBEngine
from shoplake.generate_files import generate_files
from shoplake.lake import Lake
from shoplake.operations import maintain
from shoplake.settings import Settings

START = datetime(2025, 10, 1, tzinfo=UTC)
SLOT = timedelta(minutes=5)
THREADS = 2


def clock(first: datetime) -> Callable[[], datetime]:
    """A clock that moves on by a slot each time one looks."""
    moments: Iterator[datetime] = (first + number * SLOT for number in range(10**9))
    return lambda: next(moments)


def run(source: Path, lake: Path, now: Callable[[], datetime], **settings: Any) -> pipeline.Run:
    """A run over the source."""
    chosen = Settings(threads=THREADS, **settings)
    return pipeline.Run(Lake(lake), LocalSource(source), lambda: DuckDBEngine(THREADS), chosen, now=now)


def build(data: Path, batches: int, events: int) -> None:
    """The raw files and both lakes, without waiting for the disk."""
    print(f"building {batches:,} batches of {events} events; this takes a while", file=sys.stderr)
    shutil.rmtree(data, ignore_errors=True)
    generate_files(data / "raw", batches, (events, events), START, 42)
    flush, os.fsync = os.fsync, lambda _: None
    try:
        started = time.perf_counter()
        pipeline.ingest(run(data / "raw", data / "month", clock(START + 2 * SLOT), batch_bytes=1))
        print(f"{batches:,} commits took {time.perf_counter() - started:.0f} s", file=sys.stderr)
        pipeline.ingest(run(data / "raw", data / "fresh", lambda: START + batches * SLOT))
    finally:
        os.fsync = flush
    (data / "built").touch()


def increments(data: Path, numbers: range, batches: int) -> dict[str, list[float]]:
    """Seconds that each of some further files takes, on both lakes."""
    took: dict[str, list[float]] = {"month": [], "fresh": []}
    for number in numbers:
        at = START + (batches + number) * SLOT
        generate_files(data / "raw", 1, (40, 40), at, 42 + number)
        for name, times in took.items():
            one = run(data / "raw", data / name, lambda at=at: at + SLOT)  # type: ignore[misc]
            engine = one.engine()
            one = pipeline.Run(one.lake, one.source, lambda engine=engine: engine, one.settings, now=one.now)  # type: ignore[misc]
            started = time.perf_counter()
            report = pipeline.ingest(one)
            times.append(time.perf_counter() - started)
            assert report.batches == 1, report  # noqa: S101
    return took


def questions(data: Path, rounds: int) -> dict[str, list[float]]:
    """Seconds that opening a lake and asking the five questions takes, on both lakes."""
    took: dict[str, list[float]] = {"month": [], "fresh": []}
    for _ in range(rounds):
        answers = []
        for name, times in took.items():
            started = time.perf_counter()
            with shoplake.open(data / name, threads=THREADS) as lake:
                answers.append([lake.sql(question.sql).fetchall() for question in queries.five()])
            times.append(time.perf_counter() - started)
        assert answers[0] == answers[1]  # noqa: S101
    return took


def figures(lake: Path) -> dict[str, Any]:
    """What a lake consists of."""
    view = Lake(lake).view()
    stored = [path.stat().st_size for path in lake.rglob("*") if path.is_file()]
    return {
        "data_files": {name: len(table.files) for name, table in view.tables.items()},
        "manifests": {name: len(table.manifests) for name, table in view.tables.items()},
        "files_on_disk": len(stored),
        "megabytes_on_disk": round(sum(stored) / 1e6, 1),
    }


def measured(data: Path, first: int, rounds: int, batches: int) -> dict[str, Any]:
    """Medians of both lakes, and how many times as long the month takes."""
    found: dict[str, Any] = {}
    for what, took in (
        ("increment", increments(data, range(first, first + rounds), batches)),
        ("five questions", questions(data, rounds)),
    ):
        medians = {name: statistics.median(times) for name, times in took.items()}
        ratio = medians["month"] / medians["fresh"]
        found[what] = {name: round(value, 3) for name, value in medians.items()} | {"ratio": round(ratio, 2)}
    return found


def profile(data: Path, number: int, batches: int) -> str:
    """Where one more file's time goes in the month's lake."""
    profiler = cProfile.Profile()
    at = START + (batches + number) * SLOT
    generate_files(data / "raw", 1, (40, 40), at, 42 + number)
    one = run(data / "raw", data / "month", lambda: at + SLOT)
    profiler.runcall(pipeline.ingest, one)
    lines: list[str] = []
    stream = type("Lines", (), {"write": lambda _, text: lines.append(text)})()
    pstats.Stats(profiler, stream=stream).strip_dirs().sort_stats("cumtime").print_stats(45)
    return "".join(lines)


def main() -> None:
    """Build, measure, maintain, measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, default=8640, metavar="N")
    parser.add_argument("--events", type=int, default=40, metavar="N", help="of each file")
    parser.add_argument("--rounds", type=int, default=9, metavar="N", help="medians count")
    parser.add_argument("--data", type=Path, default=Path(__file__).parent / "data" / "maintenance", metavar="DIR")
    parser.add_argument("--reuse", action="store_true", help="take the lakes that an earlier call built")
    parser.add_argument("--profile", action="store_true", help="show where an increment's time goes")
    options = parser.parse_args()
    data: Path = options.data.absolute()
    if not (options.reuse and (data / "built").exists()):
        build(data, options.batches, options.events)
    (data / "built").unlink()
    result: dict[str, Any] = {
        "batches": options.batches,
        "before": figures(data / "month"),
        "fresh": figures(data / "fresh"),
    }
    result["before"] |= measured(data, 0, options.rounds, options.batches)
    if options.profile:
        print(profile(data, 100, options.batches), file=sys.stderr)
        pipeline.ingest(run(data / "raw", data / "fresh", lambda: START + (options.batches + 102) * SLOT))
    started = time.perf_counter()
    end = START + (options.batches + 400) * SLOT
    requests = [
        maintain.Request(Lake(data / name), older_than=timedelta(0), now=lambda: max(end, datetime.now(UTC)))
        for name in ("month", "month")
    ]
    reports = [maintain.maintain(request) for request in requests]
    result["maintain"] = {
        "seconds": round(time.perf_counter() - started, 1),
        "commits": sum(report.commits for report in reports),
        "removed_files": sum(len(report.removed) for report in reports),
    }
    result["after"] = figures(data / "month") | measured(data, options.rounds, options.rounds, options.batches)
    if options.profile:
        print(profile(data, 200, options.batches), file=sys.stderr)
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
