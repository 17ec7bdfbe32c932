"""What a run costs in a lake of a day, a month, a year and ten years: requests to S3 and seconds of cold commands.

    python bench/age.py                          1, 30, 365 and 3,650 days on a server that counts; ten minutes
    python bench/age.py --days 1,365 --rounds 5
    python bench/age.py --place DIR --days 1,30,365    in a folder instead; no requests to count

The past is fabricated: a ledger with a row for each five minutes, in a data file a month as maintenance leaves it; a data file
of events for each hour and of gold for each day, by name only, so that the metadata is as large as it would be; and a source
that lists a key for each row. What is timed is real: cold commands, one more file of 625,000 events each time. The server is
in memory and has no latency: on S3 each request that waits for the one before adds 20 to 100 ms.
"""

from __future__ import annotations

import argparse
import gzip
import os
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import measure

sys.path.insert(0, str(Path(__file__).parents[1]))

from shoplake.generator.events import gzip_file, render
from shoplake.lake import ledger, parquet
from shoplake.lake.catalog import Lake
from shoplake.lake.commits import Commit
from shoplake.lake.ledger import Entry
from shoplake.lake.parquet import NewFile
from shoplake.sources.base import SourceFile
from shoplake.sources.open import open_source
from shoplake.tables import ACTIVITY_DAILY, EVENTS, GOLD_HOURLY, LEDGER, Table
from tests.s3.counted import Counted
from tests.s3.server import KEYS

SLOT = timedelta(minutes=5)
NOW = datetime.now(UTC).replace(tzinfo=None, minute=0, second=0, microsecond=0)
NEW = NOW.replace(hour=0)
"""The first slot of the new day: all that is fabricated lies before it."""
EVENTS_A_FILE = 625_000
OLD = gzip.compress(b"{}")
"""The bytes of a fabricated source file; nothing reads them."""
SWITCHES = {"SHOPLAKE_MAINTAIN": "on"}


@dataclass
class Shop:
    """A source and a lake, in a folder or on the server that counts."""

    server: Counted | None
    folder: Path

    @property
    def source(self) -> str:
        return "s3://shop/raw" if self.server else str(self.folder / "raw")

    @property
    def lake(self) -> str:
        return "s3://shop/lake" if self.server else str(self.folder / "lake")

    def put(self, keys: Sequence[str], content: bytes) -> None:
        """Write source files."""
        if self.server:
            self.server.fill((f"shop/raw/{key}" for key in keys), content)
            return
        for key in keys:
            path = self.folder / "raw" / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


def key(moment: datetime) -> str:
    """The path of a slot's file."""
    return f"{moment:year=%Y/month=%m/day=%d/hour=%H/minute=%M}/events-{moment:%Y%m%d-%H%M%S}.jsonl.gz"


def fabricate(shop: Shop, days: int) -> None:
    """A lake and a source of this age."""
    moments = [NEW - SLOT * number for number in range(288 * days, 0, -1)]
    shop.put([key(moment) for moment in moments], OLD)
    versions = {file.path: file for file in open_source(shop.source).list()}
    lake = Lake(shop.lake)
    with Commit(lake, lake.create(), NEW - SLOT, {}) as commit:
        months: dict[datetime, list[Entry]] = {}
        for moment in moments:
            months.setdefault(moment.replace(day=1, hour=0, minute=0), []).append(entry(versions[key(moment)], moment))
        commit.replace(
            LEDGER, (), [commit.write(LEDGER, month, ledger.as_rows(rows)) for month, rows in months.items()]
        )
        commit.replace(EVENTS, (), [named(commit, EVENTS, hour, 12) for hour in every(moments, timedelta(hours=1))])
        for table in GOLD_HOURLY:
            commit.replace(table, (), [named(commit, table, day, 24) for day in every(moments, timedelta(days=1))])
        months_of_days = [named(commit, ACTIVITY_DAILY, month, 30) for month in months]
        commit.replace(ACTIVITY_DAILY, (), months_of_days)
        commit.set_property(LEDGER, ledger.SOURCE, shop.source if shop.server else os.path.realpath(shop.source))
        commit.publish()


def every(moments: Sequence[datetime], step: timedelta) -> Iterator[datetime]:
    """The starts of the hours or days of some moments."""
    moment = moments[0]
    while moment < NEW:
        yield moment
        moment += step


def named(commit: Commit, table: Table, moment: datetime, rows: int) -> NewFile:
    """A data file that the metadata names, with bounds in the hour or day; it is not there, and nothing reads it."""
    values: dict[str, Any] = {table.key: moment, table.partition[0]: moment}
    if table is EVENTS:
        values[table.key] = key(moment)
    if table is ACTIVITY_DAILY:
        values = {"event_date": moment.date()}

    def column(position: int) -> SimpleNamespace:
        value = values.get(table.column_names[position]) if position < len(table.column_names) else None
        return SimpleNamespace(statistics=SimpleNamespace(min=value, max=value), total_compressed_size=1 << 20)

    group = SimpleNamespace(column=column)
    footer: Any = SimpleNamespace(num_rows=rows, num_row_groups=1, row_group=lambda _: group)
    path = parquet.new_location(commit.base[table.name].folder, table, values[table.partition[0]])
    return NewFile(path, footer, 12 << 20)


def entry(file: SourceFile, moment: datetime) -> Entry:
    """A row of the ledger for a file of a slot."""
    first = moment.replace(microsecond=123_000)
    counts = {"lines": 1, "accepted": 1, "duplicates": 0, "quarantined": 0, "erased": 0}
    return Entry(
        source_file=file.path,
        version=file.version,
        bytes=file.bytes,
        status=ledger.INGESTED,
        error=None,
        unknown_keys=None,
        duplicates_of=(),
        min_event_time=first,
        max_event_time=first + SLOT - timedelta(seconds=1),
        arrived_at=moment + SLOT,
        batch=f"{moment:%y%m%d%H%M%S}",
        engine="duckdb",
        seconds=1.234,
        **counts,
    )


def run(shop: Shop, name: str, *words: str) -> dict[str, Any]:
    """A cold command: what it cost, and its requests."""
    environment = {**os.environ, **SWITCHES, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    if shop.server:
        shop.server.seen.clear()
    cost = measure.command(words, cwd=shop.folder, log=shop.folder / "log", env=environment, timeout=600)
    seen = Counter(shop.server.seen) if shop.server else Counter()
    return {"what": name, "wall": cost.wall, "cpu": cost.cpu, "requests": dict(seen)}


def age(shop: Shop, days: int, rounds: int) -> list[dict[str, Any]]:
    """The commands on a lake of an age; of each the cheapest round."""
    fabricate(shop, days)
    empty = f"{shop.lake}-empty"
    Lake(empty).create()
    rows: dict[str, list[dict[str, Any]]] = {}
    places = ("--source", shop.source, "--lake", shop.lake)
    opening = (
        f"import time, shoplake; t = time.perf_counter(); shoplake.open({shop.lake!r}); print(time.perf_counter() - t)"
    )
    for number in range(rounds + 1):
        moment = NEW + number * SLOT
        shop.put([key(moment)], b"".join(gzip_file(render(moment.replace(tzinfo=UTC), EVENTS_A_FILE, number))))
        name = "next file" if number else "next file, by a sweep"
        commands = {
            name: ("shoplake", "ingest", *places),
            "nothing new": ("shoplake", "ingest", *places),
            "status": ("shoplake", "status", *places, "--format", "json"),
            "status, all files waiting": ("shoplake", "status", *places[:2], "--lake", empty),
            "opening the lake": (sys.executable, "-c", opening),
        }
        for what, words in commands.items():
            done = run_status(shop, what, words)
            if what == "opening the lake":
                done["wall"] = float((shop.folder / "log").read_text())
            rows.setdefault(what, []).append(done)
    return [min(some, key=lambda row: row["cpu"]) for some in rows.values()]


def run_status(shop: Shop, what: str, words: Sequence[str]) -> dict[str, Any]:
    """Run a command; one that warns of the lake's state has not failed."""
    if what.startswith("status"):
        words = ("sh", "-c", '"$@" || test $? = 1', "sh", *words)
    return run(shop, what, *words)


def main() -> None:
    """Fabricate, measure, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", default="1,30,365,3650", metavar="N,N")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="the cheapest counts")
    parser.add_argument(
        "--place", type=Path, metavar="DIR", help="a folder to work in, instead of the server that counts"
    )
    options = parser.parse_args()
    measure.adopt_orphans()
    print("| age, days | files | cold command | wall s | CPU s | LIST | GET, HEAD | PUT |")
    print("| ---: | ---: | --- | ---: | ---: | ---: | ---: | ---: |")
    for days in map(int, options.days.split(",")):
        folder = Path(tempfile.mkdtemp(prefix="age-", dir=options.place))
        server = None if options.place else Counted()
        if server:
            os.environ.update(KEYS | {"AWS_ENDPOINT_URL": server.url})
        try:
            for row in age(Shop(server, folder), days, options.rounds):
                seen = row["requests"]
                counts = (seen.get("LIST", 0), seen.get("GET", 0) + seen.get("HEAD", 0), seen.get("PUT", 0))
                figures = f"{row['wall']:.2f} | {row['cpu']:.2f}"
                requests = " | ".join(map(str, counts)) if server else "| |"
                print(f"| {days:,} | {288 * days:,} | {row['what']} | {figures} | {requests} |", flush=True)
        finally:
            shutil.rmtree(folder)
            if server:
                server.close()


if __name__ == "__main__":
    main()
