"""An hour that grows: what a batch adds is written beside what is there, and everybody still sees one row for each unit."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import shoplake
from shoplake.engines import unit_keys
from shoplake.lake.catalog import Lake
from shoplake.operations.maintain import compact
from shoplake.operations.maintain.run import MaintenanceRequest, maintain
from shoplake.tables import UNIT_TABLES
from tests import support

START = support.START.replace(tzinfo=None)
DAY = START.date()


def put(raw: Path, minute: int, events: list[tuple[str, str, int]]) -> None:
    """A source file of page views; each is a user, a session and a second of the file's slot."""
    slot = support.START + timedelta(minutes=minute)
    lines = [
        support.event(
            number, timestamp=(slot + timedelta(seconds=second)).isoformat(), user_id=user, session_id=session
        )
        for number, (user, session, second) in enumerate(events)
    ]
    support.put(raw, minute // 5, lines)


def files_of(lake: Path, table: str) -> int:
    return len(Lake(lake).view()[table].files)


def days(lake: Path) -> list[tuple]:
    return shoplake.open(lake).sql("SELECT * FROM activity_daily ORDER BY event_date").fetchall()


def arrive(shop: tuple[Path, Path], minute: int, *events: tuple[str, str, int], **settings: Any) -> None:
    """A file arrives, or is replaced, and is ingested."""
    put(shop[0], minute, list(events))
    shoplake.ingest(*shop, **settings)


def right(shop: tuple[Path, Path], users: int, sessions: int, events: int) -> None:
    """The day has these distinct users, sessions and events, and verify agrees with every table."""
    assert days(shop[1]) == [(DAY, users, sessions, events)]
    assert shoplake.verify(shop[1], shop[0]).ok


@pytest.fixture
def grown(tmp_path: Path) -> tuple[Path, Path]:
    """An hour of three files, ingested one by one: u1 and s1 are in all of them."""
    raw, lake = tmp_path / "raw", tmp_path / "lake"
    for number in range(3):
        put(raw, 5 * number, [("u1", "s1", 1), (f"v{number}", f"t{number}", 2), ("u1", "s1", 3)])
        shoplake.ingest(raw, lake)
    return raw, lake


def test_one_row_for_each_unit(grown):
    """Each batch wrote a part; who reads sees users and sessions once, with sums and times over all parts."""
    _, lake = grown
    assert [files_of(lake, table.name) for table in UNIT_TABLES] == [3, 3]
    assert files_of(lake, "product_hourly") == 1
    opened = shoplake.open(lake)
    assert opened.sql("SELECT user_id, page_views, events FROM user_hourly ORDER BY 1").fetchall() == [
        ("u1", 6, 6),
        ("v0", 1, 1),
        ("v1", 1, 1),
        ("v2", 1, 1),
    ]
    first, last = START + timedelta(seconds=1), START + timedelta(minutes=10, seconds=3)
    found = opened.sql(
        "SELECT user_id, first_event_time, last_event_time, events FROM session_hourly ORDER BY events DESC"
    )
    assert found.fetchall()[0] == ("u1", first, last, 6)
    right(grown, 4, 4, 9)


def test_a_batch_reads_no_events_of_its_hour(grown, monkeypatch):
    """Neither events nor users and sessions of the hour are read again, whatever it holds: only their keys are."""
    raw, lake = grown
    put(raw, 15, [("u1", "s9", 1)])
    read: list[str] = []

    def noting(real):
        def method(self, location):
            read.append(location)
            return real(self, location)

        return method

    storage = type(Lake(lake).storage)
    for name in ("read", "open"):
        monkeypatch.setattr(storage, name, noting(getattr(storage, name)))
    shoplake.ingest(raw, lake, maintain="off")
    data = [path for path in read if path.endswith(".parquet") and "/ledger/" not in path]
    assert {path.split(f"{lake}/")[1].split("/")[0] for path in data} == {"product_hourly", "activity_daily"}
    assert sum(path.endswith(".keys") for path in read) == 6
    assert days(lake) == [(DAY, 4, 5, 10)]


@pytest.mark.parametrize("damage", ["missing", "cut", "of another table"])
def test_keys_are_made_from_the_texts_where_there_are_none(grown, damage):
    """The same counts without the files of keys, as after a run of Spark."""
    lake = grown[1]
    for path in lake.rglob("*.keys"):
        if damage == "missing":
            path.unlink()
        elif damage == "cut":
            path.write_bytes(path.read_bytes()[:-1])
        else:
            path.write_bytes(unit_keys.of(pa.array(["u1"]), "another").encoded("another"))
    arrive(grown, 15, ("u1", "s1", 1), ("v1", "s9", 2), ("w", "s9", 3))
    right(grown, 5, 5, 12)


def test_the_next_hour_adds_up_the_parts(grown):
    """A run that sees the next hour begin leaves one file of the hour before; the rows stay the same."""
    lake = grown[1]
    query = "SELECT * FROM session_hourly WHERE event_hour = TIMESTAMP '2025-11-18 14:00' ORDER BY session_id"
    before = shoplake.open(lake).sql(query).fetchall()
    arrive(grown, 60, ("u1", "s1", 0))
    assert [files_of(lake, table.name) for table in UNIT_TABLES] == [2, 2]
    assert shoplake.open(lake).sql(query).fetchall() == before
    assert not compact.plan_parts(Lake(lake).view())
    arrive(grown, 65, ("u1", "s1", 0), ("x", "y", 0))
    right(grown, 5, 5, 12)


def test_what_a_run_looks_at_does_not_grow(grown):
    """Of a lake with another day the manifests of its old days are not read to find parts."""
    lake = grown[1]
    shoplake.maintain(lake)
    arrive(grown, 2 * 24 * 60, ("u1", "s1", 0), maintain="off")
    arrive(grown, 2 * 24 * 60 + 5, ("u1", "s1", 0), maintain="off")
    view = Lake(lake).view()
    compact.plan_parts(view)
    for table in UNIT_TABLES:
        read, every = len(view[table.name].files_by_manifest), len(view[table.name].manifests)
        assert (read, every) == (2, 3)
        assert {file.lower["event_hour"].date() for file in view[table.name].newest(2)} == {DAY + timedelta(days=2)}


def test_without_maintenance(grown):
    """With the setting off the parts stay, and maintenance adds them up when it is asked to."""
    lake = grown[1]
    arrive(grown, 60, ("u1", "s1", 0), maintain="off")
    assert [files_of(lake, table.name) for table in UNIT_TABLES] == [4, 4]
    before = [shoplake.open(lake).sql(f"FROM {table.name} ORDER BY ALL").fetchall() for table in UNIT_TABLES]
    shoplake.maintain(lake)
    assert [files_of(lake, table.name) for table in UNIT_TABLES] == [1, 1]
    assert [shoplake.open(lake).sql(f"FROM {table.name} ORDER BY ALL").fetchall() for table in UNIT_TABLES] == before
    arrive(grown, 20, ("u1", "s1", 1), ("z", "s1", 2))  # into the merged day
    right(grown, 5, 4, 12)


def test_a_replaced_file_recounts_the_day(grown):
    """Where rows go, the hour is computed from its events again: what only they had is gone from the day."""
    lake = grown[1]
    arrive(grown, 60, ("v0", "t9", 0), maintain="off")
    arrive(
        grown, 0, ("v1", "t1", 1), maintain="off"
    )  # u1 and s1 stay by the other files, v0 by the other hour; t0 goes
    assert files_of(lake, "user_hourly") == 2
    right(grown, 4, 4, 8)


def test_a_replaced_file_beside_a_new_one(grown):
    """A batch that takes rows from one hour and adds to another of the day, which keeps what it held."""
    raw = grown[0]
    arrive(grown, 60, ("v0", "t9", 0), ("w", "t8", 1), maintain="off")
    put(raw, 0, [("v1", "t1", 1)])
    arrive(grown, 65, ("w", "t7", 0), maintain="off")
    right(grown, 5, 6, 10)


def _in_days(days: int) -> datetime:
    return datetime.now(UTC) + timedelta(days=days)


def test_keys_go_with_their_data_files(grown):
    """Maintenance leaves the keys of files that tables name, and removes those of files that it merged."""
    lake = grown[1]
    arrive(grown, 60, ("u1", "s1", 0))
    for later in (3, 6):
        maintain(MaintenanceRequest(Lake(lake), now=partial(_in_days, later)))
    data = {str(path) for table in UNIT_TABLES for path in (lake / table.name).rglob("*.parquet")}
    live = {file.path for table in UNIT_TABLES for file in Lake(lake).view()[table.name].files}
    assert live < data
    assert {str(path) for path in lake.rglob("*.keys")} == {f"{path}.keys" for path in live}
