"""What the tests of maintenance share: files to merge, files no longer referred to, and what a lake has to be in the end."""

import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import shoplake
from shoplake.lake.catalog import Lake
from shoplake.operations.maintain import compact
from shoplake.operations.maintain.run import MaintenanceRequest, maintain
from tests.support import START, accepted, answers, data_files, dump, event, five_answers, ingest, judge_files, oracle

LATER = datetime.now(UTC) + timedelta(days=40)
DAY = timedelta(days=1)
NEXT_DAY = 12 * 24


def tidy(lake, now=LATER, **options):
    """Maintain the lake forty days from now, when every hour, day and month of it is closed."""
    return maintain(MaintenanceRequest(Lake(str(lake)), now=lambda: now, **options))


def at(slot, number, event_type="page_view", **changes):
    """An event in the five minutes of a slot."""
    moment = START + slot * timedelta(minutes=5) + timedelta(seconds=number)
    time = moment.isoformat().replace("+00:00", "Z")
    return event(number, event_type, timestamp=time, session_id=f"s_{slot}_{number}", **changes)


def some(slot):
    """A source file's lines: events of all types, one that every file of its hour has, and a broken one."""
    types = ("page_view", "add_to_cart", "remove_from_cart", "purchase", "search")
    return [*(at(slot, number, types[number % 5]) for number in range(10)), at(slot - slot % 12, 200), b"broken"]


def right(shop):
    """The lake is whole, and its tables and answers are those of its source."""
    lake, raw = shop / "lake", shop / "raw"
    report = shoplake.verify(lake, raw)
    assert report.ok, report.differences
    assert answers(lake) == oracle(lake) == five_answers(accepted(judge_files(raw)))
    fresh = shop / "fresh"
    shutil.rmtree(fresh, ignore_errors=True)
    ingest(raw, fresh)
    assert dump(lake) == dump(fresh)
    return True


def hours(lake):
    """How many data files each hour of events has."""
    found: dict[datetime, int] = {}
    for file in Lake(str(lake)).view()["events"].files:
        hour = file.lower["event_time"].replace(minute=0, second=0, microsecond=0)
        found[hour] = found.get(hour, 0) + 1
    return [found[hour] for hour in sorted(found)]


def stored(lake):
    """Every file of the tables."""
    return {str(path) for path in Path(lake).rglob("*.*") if path.parent.name != Path(lake).name}


def named(lake):
    """Every data file that the newest snapshots name."""
    return {file.path for table in Lake(lake).view().tables.values() for file in table.files}


def between(monkeypatch, other):
    """Another run does all its work after the first merged file of maintenance was written."""
    real, turns = compact.merge, iter([other])

    def wrapper(*args):
        new = real(*args)
        for turn in turns:
            turn()
        return new

    monkeypatch.setattr(compact, "merge", wrapper)


def put_orphan(lake, age=timedelta(days=2)):
    """A data file of a run that was killed; by its clock, that was before the newest batch."""
    orphan = Path(next(iter(data_files(lake, "events")))).with_name("orphan.parquet")
    orphan.write_bytes(b"left behind")
    when = (datetime.now(UTC) - age).timestamp()
    os.utime(orphan, (when, when))
    return orphan
