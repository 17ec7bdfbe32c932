"""What a month of five-minute batches does to a lake, and what maintenance makes of it; what compaction does to an hour.

    python bench/maintenance.py month                  8,640 batches, a quarter of an hour on an idle machine
    python bench/maintenance.py month --batches 300    tries everything, measures little
    python bench/maintenance.py hour                   an hour of full size, a minute or two
    python bench/maintenance.py day --lake LAKE        a lake that is there, such as the one of the workload day: changes it

``month`` makes one lake by as many commits as there are files, each with the clock of its file, and another by one run over
the same files: the fresh lake. Then it times, in turn on both, one more file and the five questions (each time from opening
the lake), before ``maintain`` and after. ``hour`` ingests the same twelve files into two lakes, maintains one, and times
questions to ``events``, in turn on both. All in one process, so that only the lakes differ. ``day`` compares a cold
``shoplake maintain`` with the least that a rewrite can cost: reading the files of ``events`` and writing them as they are, with
PyArrow and the same codecs, in a process of its own. Prints JSON: medians of wall
seconds, and of CPU seconds, which mind other work on the machine less; ratios are to the fresh, or not maintained, lake.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import measure

import shoplake
from shoplake import queries
from shoplake.engines.duckdb import DuckDBEngine
from shoplake.generator.files import generate_files
from shoplake.ingestion import pipeline
from shoplake.lake import parquet
from shoplake.lake.catalog import Lake
from shoplake.operations import maintain
from shoplake.settings import Settings
from shoplake.sources.local import LocalSource
from shoplake.tables import EVENTS

START = datetime(2025, 10, 1, tzinfo=UTC)
SLOT = timedelta(minutes=5)
HOUR = 12
THREADS = 2
SCANS = {
    "revenue by minute": "SELECT date_trunc('minute', event_time), sum(quantity * price) FROM events"
    " WHERE event_type = 'purchase' GROUP BY ALL ORDER BY ALL",
    "funnel by product": "SELECT product_id, count(*) FILTER (event_type = 'page_view'),"
    " count(*) FILTER (event_type = 'purchase') FROM events GROUP BY ALL ORDER BY ALL",
    "one user's events": "SELECT * FROM events WHERE user_id = (SELECT min(user_id) FROM events) ORDER BY ALL",
    "users of one minute": "SELECT count(DISTINCT user_id) FROM events"
    " WHERE event_time >= TIMESTAMP '2025-10-01 00:30:00' AND event_time < TIMESTAMP '2025-10-01 00:31:00'",
    "distinct users": "SELECT count(DISTINCT user_id), count(DISTINCT session_id) FROM events",
}

Times = dict[str, list[tuple[float, float]]]


class Stopwatch:
    """Wall and CPU seconds of rounds, by what was measured."""

    def __init__(self) -> None:
        """Nothing measured yet."""
        self.times: Times = {}

    def time(self, name: str, work: Callable[[], Any]) -> Any:
        """Do the work once; returns what it returns."""
        wall, cpu = time.perf_counter(), time.process_time()
        result = work()
        self.times.setdefault(name, []).append((time.perf_counter() - wall, time.process_time() - cpu))
        return result

    def medians(self, name: str, base: str) -> dict[str, Any]:
        """What was measured beside its base, with ratios."""
        found: dict[str, Any] = {}
        for place, unit in enumerate(("wall", "cpu")):
            mine, other = (statistics.median(one[place] for one in self.times[which]) for which in (name, base))
            found[unit] = {name: round(mine, 3), base: round(other, 3), "ratio": round(mine / other, 2)}
        return found


def run(source: Path, lake: Path, now: Callable[[], datetime], **settings: Any) -> pipeline.Run:
    """A run over the source."""
    chosen, engine = Settings(threads=THREADS, **settings), DuckDBEngine(THREADS)
    return pipeline.Run(Lake(lake), LocalSource(source), lambda: engine, chosen, now=now)


def clock(first: datetime) -> Callable[[], datetime]:
    """A clock that moves on by a slot each time one looks."""
    moments: Iterator[datetime] = (first + number * SLOT for number in range(10**9))
    return lambda: next(moments)


def tidy(lake: Path) -> maintain.MaintenanceReport:
    """Maintain a lake, tomorrow."""
    return maintain.maintain(maintain.MaintenanceRequest(Lake(lake), now=lambda: datetime.now(UTC) + timedelta(days=2)))


# ---------------------------------------------------------------------------------------------------------------- month


def month(data: Path, batches: int, events: int, rounds: int) -> dict[str, Any]:
    """Build both lakes, measure, maintain, measure."""
    if not (data / "built").exists():
        build_month(data, batches, events)
    (data / "built").unlink()  # what follows changes the lakes
    result: dict[str, Any] = {"batches": batches, "events": events * batches, "fresh": figures(data / "fresh")}
    result["before"] = figures(data / "month") | compared(data, batches, rounds)
    watch = Stopwatch()
    report = watch.time("maintain", lambda: tidy(data / "month"))
    again = watch.time("again", lambda: tidy(data / "month"))
    result["maintain"] = {
        "seconds": [round(wall, 1) for times in watch.times.values() for wall, _ in times],
        "cpu_seconds": [round(cpu, 1) for times in watch.times.values() for _, cpu in times],
        "commits": [report.commits, again.commits],
        "removed_files": [len(report.removed), len(again.removed)],
    }
    result["after"] = figures(data / "month") | compared(data, batches + 3 * HOUR, rounds)  # none of the merged hours
    return result


def build_month(data: Path, batches: int, events: int) -> None:
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


def compared(data: Path, first: int, rounds: int) -> dict[str, Any]:
    """One more file, and the five questions, in turn on both lakes."""
    watch = Stopwatch()
    for number in range(first, first + rounds):
        at = START + number * SLOT
        generate_files(data / "raw", 1, (40, 40), at, number)
        for name in ("month", "fresh"):
            one = run(data / "raw", data / name, lambda at=at: at + SLOT)  # type: ignore[misc]
            report = watch.time(f"{name}: increment", lambda one=one: pipeline.ingest(one))  # type: ignore[misc]
            assert report.batches == 1, report  # noqa: S101
    for _ in range(rounds):
        answers = [
            watch.time(f"{name}: five questions", lambda name=name: five(data / name)) for name in ("month", "fresh")
        ]  # type: ignore[misc]
        assert answers[0] == answers[1]  # noqa: S101
    return {what: watch.medians(f"month: {what}", f"fresh: {what}") for what in ("increment", "five questions")}


def five(place: Path) -> list[Any]:
    """Open a lake and ask the five questions."""
    with shoplake.open(place, threads=THREADS) as lake:
        return [lake.sql(question.sql).fetchall() for question in queries.five()]


def figures(lake: Path) -> dict[str, Any]:
    """What a lake consists of."""
    stored = [path.stat().st_size for path in lake.rglob("*") if path.is_file()]
    return {
        "data_files": {name: len(table.files) for name, table in Lake(lake).view().tables.items()},
        "files_on_disk": len(stored),
        "megabytes_on_disk": round(sum(stored) / 1e6, 1),
    }


# ----------------------------------------------------------------------------------------------------------------- hour


def hour(data: Path, events: int, rounds: int) -> dict[str, Any]:
    """Size and scans of an hour's events, as ingested and compacted."""
    shutil.rmtree(data, ignore_errors=True)
    generate_files(data / "raw", 12, (events, events), START, 42, "realistic")
    for name in ("ingested", "compacted"):
        pipeline.ingest(run(data / "raw", data / name, lambda: START + 12 * SLOT))
    watch = Stopwatch()
    report = watch.time("compacting", lambda: tidy(data / "compacted"))
    for turn in range(rounds + 1):
        for question, sql in SCANS.items():
            answers = []
            for name in ("ingested", "compacted"):
                with shoplake.open(data / name, threads=THREADS) as lake:
                    lake.sql("SELECT min(event_time) FROM events").fetchall()
                    relation = lake.sql(sql)
                    name = f"{name}: {question}" if turn else "warm-up"  # noqa: PLW2901
                    answers.append(watch.time(name, relation.fetchall))
            assert answers[0] == answers[1], question  # noqa: S101
    return {
        "events": 12 * events,
        "compacting": [round(figure, 1) for figure in watch.times["compacting"][0]],
        "merged": vars(report.merged["events"]),
        **{question: watch.medians(f"compacted: {question}", f"ingested: {question}") for question in SCANS},
    }


# ------------------------------------------------------------------------------------------------------------------ day


def day(lake: Path) -> dict[str, Any]:
    """CPU and memory of maintaining a lake, beside those of a plain rewrite of its events."""
    log, environment = lake.with_name("maintenance.log"), dict(os.environ)
    program = Path(sys.executable).with_name("shoplake")

    def cost(*words: str | Path) -> dict[str, float]:
        done = measure.command(words, cwd=lake.parent, log=log, env=environment, timeout=3600)
        return {name: round(value, 2) for name, value in vars(done).items()}

    plain = cost(sys.executable, __file__, "rewrite", "--lake", lake)
    maintained = cost(program, "maintain", "--lake", lake)
    again = cost(program, "maintain", "--lake", lake)
    ratio = round(maintained["cpu"] / plain["cpu"], 2)
    return {"rewrite": plain, "maintain": maintained, "again": again, "cpu ratio": ratio}


def rewrite(lake: Path) -> dict[str, Any]:
    """Read each file of events, and write its rows as they are."""
    files = Lake(lake).view()["events"].files
    for file in files:
        content = Path(file.path).read_bytes()
        rows = parquet.read_together(EVENTS, [content])
        parquet.encode(EVENTS, rows, ())
    return {"files": len(files), "bytes": sum(file.bytes for file in files)}


def main() -> None:
    """Build, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=("month", "hour", "day", "rewrite"))
    parser.add_argument("--lake", type=Path, metavar="DIR", help="of the day")
    parser.add_argument("--batches", type=int, default=8640, metavar="N", help="of the month")
    parser.add_argument("--events", type=int, metavar="N", help="of each file; 40 in the month, 625,000 in the hour")
    parser.add_argument("--rounds", type=int, default=9, metavar="N", help="medians count")
    parser.add_argument("--data", type=Path, default=Path(__file__).parent / "data", metavar="DIR")
    options = parser.parse_args()
    data = options.data.absolute() / f"maintenance-{options.part}"
    if options.lake:
        measure.adopt_orphans()
        result = (day if options.part == "day" else rewrite)(options.lake.absolute())
    elif options.part == "month":
        result = month(data, options.batches, options.events or 40, options.rounds)
    else:
        result = hour(data, options.events or 625_000, options.rounds)
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
