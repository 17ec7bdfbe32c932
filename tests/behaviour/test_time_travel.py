"""A lake as it was: one version of all tables, as long as they keep it; and up to when it is complete."""

# ruff: noqa: DTZ001 - times of the lake are UTC without a zone

import datetime as dt
from typing import Any

import pytest

import shoplake
from shoplake.errors import UsageError
from shoplake.lake import completeness, history, metadata
from shoplake.lake.catalog import Lake
from shoplake.lake.commits import Commit
from shoplake.lake.gaps import Acknowledged
from shoplake.operations.maintain.run import MaintenanceRequest, maintain
from tests.support import QUESTIONS, SLOT, START, accepted, events, five_answers, ingest, judge_files, key, put

HOUR = dt.timedelta(hours=1)
NAIVE = START.replace(tzinfo=None)


def answers(lake):
    return {name: lake.query(name).fetchall() for name in QUESTIONS}


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A lake of three batches, with the answers after each; the second quarantines a line, the third replaces a file."""
    folder = tmp_path_factory.mktemp("travel")
    after = []
    batches: list[tuple[int, list[Any]]] = [
        (0, events(60)),
        (1, [*events(60, first=100), b"broken"]),
        (0, events(30, first=300)),
    ]
    for slot, lines in batches:
        put(folder / "raw", slot, lines)
        ingest(folder / "raw", folder / "lake")
        after.append(five_answers(accepted(judge_files(folder / "raw"))))
    return folder, after


def test_every_version_gives_the_answers_of_its_time(shop):
    """By its time, by the moments until the next one, and by any snapshot that it made."""
    folder, after = shop
    with shoplake.open(folder / "lake") as lake:
        versions, newest = lake.versions, lake.view
    assert len(versions) == len(after) == 3
    for version, expected in zip(reversed(versions), after, strict=True):
        with shoplake.open(folder / "lake", at=version.at.replace(tzinfo=None)) as lake:
            assert answers(lake) == expected
        for snapshot in version.snapshots.values():
            assert history.as_of(newest, snapshot) == history.as_of(newest, version.at)
    with shoplake.open(folder / "lake", at=versions[1].at - dt.timedelta(milliseconds=1)) as lake:
        assert answers(lake) == after[0]
        assert lake.sql("SELECT count(*) FROM quarantine").fetchall() == [(0,)]
        lake.refresh()
        assert answers(lake) == after[0]
        assert "as of 20" in repr(lake)


def test_a_version_that_is_not_there(shop):
    """The error names the oldest version that is left."""
    folder, _ = shop
    with shoplake.open(folder / "lake") as lake:
        oldest = f"{lake.versions[-1].at:%Y-%m-%dT%H:%M:%S}"
    for at, words in ((dt.date(2020, 1, 1), "had no data at 2020-01-01"), (77, "keeps a snapshot 77")):
        with pytest.raises(UsageError, match=words) as caught:
            shoplake.open(folder / "lake", at=at)
        assert oldest in caught.value.remedy


def test_what_is_no_longer_kept(tmp_path, monkeypatch):
    """With the snapshots of one table gone, the version is gone for all of them; maintenance pushes none out."""
    monkeypatch.setattr(metadata, "SNAPSHOTS_KEPT", 3)
    for number in range(4):
        put(tmp_path / "raw", number, [*events(5, first=10 * number), *([b"broken"] * (number == 0))])
        ingest(tmp_path / "raw", tmp_path / "lake")
    with shoplake.open(tmp_path / "lake") as lake:
        versions = lake.versions
    assert len(versions) == 3
    gone = versions[-1].at - dt.timedelta(milliseconds=1)
    with pytest.raises(UsageError, match="no longer keeps its version") as caught:
        shoplake.open(tmp_path / "lake", at=gone)
    assert f"{versions[-1].at:%H:%M:%S}" in caught.value.remedy
    oldest = []
    for _ in range(2):
        with shoplake.open(tmp_path / "lake", at=versions[1].at) as lake:
            assert lake.sql("SELECT (SELECT count(*) FROM events), count(*) FROM quarantine").fetchall() == [(15, 1)]
            oldest.append(lake.versions[-1].at)
        maintain(MaintenanceRequest(Lake(tmp_path / "lake"), HOUR, HOUR))
    assert oldest[0] == versions[-1].at


def test_a_clock_that_goes_back_mixes_no_versions(tmp_path):
    """Each commit's time is later than those before it, so a time never means one batch in one table, another elsewhere."""
    put(tmp_path / "raw", 0, events(5))
    ingest(tmp_path / "raw", tmp_path / "lake")
    place = Lake(tmp_path / "lake")
    for now in (dt.datetime(2031, 1, 1), dt.datetime(2019, 1, 1)):
        view = place.view()
        names = ("events", "ledger") if now.year == 2031 else ("user_hourly",)
        with Commit(place, view, now, {}) as commit:
            for table in (view[name].table for name in names):
                new = [file.path for file in view[table.name].files]
                commit.replace(table, (), [], merge=new)
            commit.publish()
    with shoplake.open(tmp_path / "lake") as lake:
        assert [sorted(version.snapshots) for version in lake.versions[:2]] == [["user_hourly"], ["events", "ledger"]]


COMPLETE: dict[str, tuple[dict[int, str], int | None]] = {
    "nothing": ({}, None),
    "one slot": ({0: "ingested"}, 1),
    "slots in a row": ({0: "ingested", 1: "ingested", 2: "ingested"}, 3),
    "a gap": ({0: "ingested", 1: "ingested", 4: "ingested"}, 2),
    "an unreadable file": ({0: "ingested", 1: "unreadable", 2: "ingested"}, 1),
    "a file to be ingested again": ({0: "reopened", 1: "ingested"}, 0),
    "a slot of the far future": ({0: "ingested", 10_000_000: "ingested"}, 1),
}


@pytest.mark.parametrize("name", COMPLETE)
def test_complete_until(name):
    """The start of the first slot whose lines are not in, or the end of the newest; acknowledged slots do not count."""
    files, slots = COMPLETE[name]
    arrival = dt.datetime(2025, 12, 1)
    entries = [("elsewhere.jsonl.gz", "ingested", arrival), *((key(slot), files[slot], arrival) for slot in files)]
    assert completeness.of(entries, []) == (None if slots is None else NAIVE + slots * SLOT)
    closed = [Acknowledged(NAIVE, NAIVE + HOUR, "closed", arrival)]
    newest = max((slot for slot in files if slot < 100), default=None)
    assert completeness.of(entries, closed) == (None if newest is None else NAIVE + (newest + 1) * SLOT)


def test_a_lake_is_complete_until_its_first_gap(tmp_path):
    """Of a lake, as it is and as it was, with the gaps that somebody acknowledged since."""
    for slot in (0, 2):
        put(tmp_path / "raw", slot, events(5, first=10 * slot))
        ingest(tmp_path / "raw", tmp_path / "lake")
    with shoplake.open(tmp_path / "lake") as lake:
        assert lake.complete_until == NAIVE + SLOT
        first = lake.versions[-1]
    with shoplake.open(tmp_path / "lake", at=first.at) as lake:
        assert lake.complete_until == NAIVE + SLOT
    shoplake.acknowledge(START, START + HOUR, "closed", tmp_path / "lake")
    with shoplake.open(tmp_path / "lake") as lake:
        assert lake.complete_until == NAIVE + 3 * SLOT


def test_whole_sessions(tmp_path):
    """``sessions`` has a session once over all its hours, late ones too, and equals what plain Python counts."""
    lines = [event | {"session_id": f"s_{number % 4}"} for number, event in enumerate(events(60))]
    late = [event | {"session_id": "s_1", "timestamp": "2025-11-18T11:30:00.000Z"} for event in events(1, first=500)]
    put(tmp_path / "raw", 0, lines)
    ingest(tmp_path / "raw", tmp_path / "lake")
    put(tmp_path / "raw", 1, late)
    ingest(tmp_path / "raw", tmp_path / "lake")
    expected: dict[str, list[Any]] = {}
    for each in accepted(judge_files(tmp_path / "raw")):
        expected.setdefault(each.session, []).append(each)
    with shoplake.open(tmp_path / "lake") as lake:
        rows = lake.sql(
            "SELECT session_id, user_id, first_event_time, last_event_time, events, purchases, revenue FROM sessions"
        ).fetchall()
    assert {row[0]: row[1:] for row in rows} == {
        session: (
            min(each.user for each in of_session),
            min(each.time for each in of_session),
            max(each.time for each in of_session),
            len(of_session),
            sum(each.type == "purchase" for each in of_session),
            sum(each.quantity * each.price for each in of_session if each.type == "purchase"),
        )
        for session, of_session in expected.items()
    }


def test_a_range_of_hours(tmp_path):
    """Every table has the events of the range alone; of a day that it cuts, distinct users and sessions stay exact."""
    for slot in (0, 12, 24):
        put(tmp_path / "raw", slot, [_moved(event, slot // 12) for event in events(40 + slot, first=100 * slot)])
    ingest(tmp_path / "raw", tmp_path / "lake")
    start, end = START + HOUR, START + 2 * HOUR
    inside = [
        each for each in accepted(judge_files(tmp_path / "raw")) if start <= each.time.replace(tzinfo=dt.UTC) < end
    ]
    with shoplake.open(tmp_path / "lake", start=start, end=end) as lake:
        assert answers(lake) == five_answers(inside)
        assert lake.sql("SELECT count(*) FROM events").fetchall() == [(len(inside),)]
    with shoplake.open(tmp_path / "lake", start=dt.date(2025, 11, 18), end=dt.date(2025, 11, 19)) as lake:
        assert answers(lake) == five_answers(accepted(judge_files(tmp_path / "raw")))
    for wrong in ({"start": start, "end": start}, {"start": start + HOUR / 2}, {"start": start, "since": start.date()}):
        with pytest.raises(UsageError):
            shoplake.open(tmp_path / "lake", **wrong)


def _moved(line, hours):
    at = dt.datetime.fromisoformat(line["timestamp"]) + hours * HOUR
    return line | {"timestamp": at.isoformat(timespec="milliseconds").replace("+00:00", "Z")}
