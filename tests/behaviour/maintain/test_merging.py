"""``shoplake maintain``: fewer and sorted files, the same rows and answers, whatever comes to what was merged."""

from datetime import timedelta
from hashlib import sha256

import pyarrow.parquet as pq
import pytest

import shoplake
from shoplake.engines import memory
from shoplake.lake import parquet
from shoplake.lake.catalog import Lake
from shoplake.operations import replay
from shoplake.operations.maintain.run import MaintenanceRequest, maintain, preview
from shoplake.tables import UNIT_TABLES
from tests.behaviour.maintain.support import DAY, LATER, at, hours, put_orphan, right, some, stored, tidy
from tests.support import (
    START,
    accepted,
    answers,
    command,
    data_files,
    dump,
    everywhere,
    five_answers,
    ingest,
    judge_files,
    key,
    oracle,
    prepare,
    proof,
    put,
    snapshots,
)


def told(lake):
    """What status says, but for files and ages, and for the stored rows of users and sessions, whose parts are added up."""
    state = command("status", "--lake", lake, "--format", "json").json
    in_parts = {table.name for table in UNIT_TABLES}
    rows = {name: table["rows"] for name, table in state["tables"].items() if name not in in_parts}
    return rows, {
        name: state[name] for name in ("verdict", "ledger", "newest_event", "newest_arrival", "gaps", "batches")
    }


def test_rows_and_answers_stay(shop):
    """Each closed hour of events, day of gold and of quarantine, and month of the ledger is one file; all rows are there."""
    lake = shop / "lake"
    before = dump(lake), told(lake)
    assert hours(lake) == [6, 6, 2]
    report = tidy(lake)
    assert (dump(lake), told(lake)) == before
    assert hours(lake) == [1, 1, 1]
    counts = {name: len(table.files) for name, table in Lake(lake).view().tables.items()}
    days = dict.fromkeys(("product_hourly", "user_hourly", "session_hourly"), 2)
    assert counts == {"events": 3, **days, "quarantine": 1, "activity_daily": 1, "ledger": 1, "erasures": 0}
    assert {name: (one.files_before, one.files_after) for name, one in report.merged.items()} == {
        "events": (14, 3),
        "product_hourly": (2, 1),
        **{table.name: (14, 2) for table in UNIT_TABLES},
        "quarantine": (14, 1),
        "activity_daily": (2, 1),
        "ledger": (14, 1),
    }
    assert right(shop)


def test_memory_is_given_back_before_a_day_is_read(shop, monkeypatch):
    """What a backlog or another day leaves free does not lie beside what is merged: once a commit, before its first file."""
    steps = []
    read = parquet.read_together

    def reading(*words):
        steps.append("read")
        return read(*words)

    monkeypatch.setattr(memory, "give_back", lambda: steps.append("give back"))
    monkeypatch.setattr(parquet, "read_together", reading)
    report = tidy(shop / "lake")
    assert steps.count("give back") == report.commits == 3
    assert steps[:2] == ["give back", "read"]


def test_second_time_there_is_nothing_to_do(shop):
    """Maintenance straight after maintenance changes nothing, and says so."""
    tidy(shop / "lake")
    state = snapshots(shop / "lake"), stored(shop / "lake")
    report = tidy(shop / "lake", older_than=100 * DAY)
    assert (report.merged, report.commits, report.removed) == ({}, 0, [])
    assert (snapshots(shop / "lake"), stored(shop / "lake")) == state


def test_what_is_open_stays(shop):
    """The files of an hour, a day or a month that may still get others are left alone, up to two hours after its end."""
    lake = shop / "lake"
    now = START + DAY + timedelta(hours=2, minutes=59)
    report = maintain(MaintenanceRequest(Lake(lake), now=lambda: now))
    assert hours(lake) == [1, 1, 2]
    assert report.merged.keys() == {"events", "product_hourly", "user_hourly", "session_hourly"}
    assert report.merged["user_hourly"].partitions == ["event_hour_day=2025-11-18"]
    later = maintain(MaintenanceRequest(Lake(lake), now=lambda: now + timedelta(minutes=1)))
    assert hours(lake) == [1, 1, 1]
    assert later.merged.keys() == {"events"}


def test_events_are_sorted(shop):
    """Inside a merged file the events of a type are together, in the order of their times."""
    tidy(shop / "lake")
    for path in data_files(shop / "lake", "events"):
        rows = pq.ParquetFile(path).read(["event_type", "event_time"]).to_pylist()
        assert rows == sorted(rows, key=lambda row: (row["event_type"], row["event_time"]))


def test_large_files_stay_apart(shop, monkeypatch):
    """Files are merged only as far as the result has a good size."""
    size = max(file.bytes for file in Lake(shop / "lake").view()["events"].files)
    monkeypatch.setattr("shoplake.operations.maintain.compact.TARGET_BYTES", 3 * size)
    tidy(shop / "lake")
    assert hours(shop / "lake") == [2, 2, 1]
    assert right(shop)


def test_users_and_sessions_are_merged_some_rows_at_a_time(shop, monkeypatch):
    """The parts of an hour stay together; hours that are too many rows together stay apart, which bounds the memory."""
    lake, rows = shop / "lake", dump(shop / "lake")
    monkeypatch.setattr("shoplake.operations.maintain.compact.TARGET_UNITS", 1)
    tidy(lake)
    for table in UNIT_TABLES:
        bounds = data_files(lake, table.name).values()
        assert [first for first, last in bounds if first != last] == []
        assert len(bounds) == 3
    assert dump(lake) == rows


def test_dry_run_tells_and_changes_nothing(shop):
    """A preview has the figures of what maintenance then does."""
    lake = shop / "lake"
    put_orphan(lake)
    state = snapshots(lake), stored(lake)
    would = preview(MaintenanceRequest(Lake(lake), now=lambda: LATER)).as_json()
    assert (snapshots(lake), stored(lake)) == state
    done = tidy(lake).as_json()
    for report in (would, done):
        assert report.pop("commits") == (0 if report["dry_run"] else 3)
        del report["dry_run"]
        for one in report["merged"].values():
            del one["bytes_after"]
    assert would == done


@proof
def test_thirty_batches(tmp_path):
    """A small month (see bench/maintenance.py): batch by batch, maintained on the way, it equals a fresh lake."""
    for part in range(3):
        for slot in range(part * 40, part * 40 + 40, 4):
            put(tmp_path / "raw", slot, some(slot))
        ingest(tmp_path / "raw", tmp_path / "lake", batch_bytes=1)
        tidy(tmp_path / "lake")
    assert hours(tmp_path / "lake") == [1] * 10
    assert right(tmp_path)


@everywhere
def test_on_every_storage(place):
    """Merging, replacing rows of a merged file and removing what a killed run left work on S3 as in a folder."""
    raw, lake = place / "raw", place / "lake"
    for slot in range(3):
        put(raw, slot, some(slot))
    ingest(raw, lake, batch_bytes=1)
    storage, orphan = Lake(str(lake)).storage, f"{lake}/events/data/orphan.parquet"
    storage.write(orphan, b"left behind")
    while next(storage.list(Lake(str(lake)).catalog_location)).modified <= next(storage.list(orphan)).modified:
        slot += 1
        put(raw, slot % 12, some(slot % 12) if slot < 12 else [at(slot % 12, slot)])
        ingest(raw, lake)
    before = dump(lake)
    assert [file.location for file in tidy(lake).removed] == [orphan]
    assert dump(lake) == before
    put(raw, 1, [at(1, 299, "purchase")])
    ingest(raw, lake)
    tidy(lake)
    assert hours(lake) == [1]
    assert answers(lake) == oracle(lake) == five_answers(accepted(judge_files(raw)))
    assert shoplake.verify(str(lake), str(raw)).ok


# --------------------------------------------------------------------------------------------- changes to what was merged


def test_late_events(shop):
    """Events that come for a merged hour are counted; the few small files wait until it is worth to merge again."""
    users = (sha256(b"%d" % number).hexdigest() for number in range(720))  # which do not compress
    put(shop / "raw", 11, [at(0, number, user_id=user) for number, user in enumerate(users) if number >= 20])
    ingest(shop / "raw", shop / "lake")
    tidy(shop / "lake")
    put(shop / "raw", 30, [at(1, 200, "purchase"), at(30, 0)])
    report = ingest(shop / "raw", shop / "lake")
    assert (report.accepted, report.hours) == (2, 2)
    assert right(shop)
    tidy(shop / "lake")
    assert hours(shop / "lake") == [2, 1, 1, 1]
    for slot in range(31, 40):
        put(shop / "raw", slot, [at(2, slot, "purchase", price=slot), *some(slot)])
    ingest(shop / "raw", shop / "lake", batch_bytes=1)
    assert hours(shop / "lake") == [11, 1, 6, 4, 1]
    tidy(shop / "lake")
    assert hours(shop / "lake") == [1] * 5
    assert right(shop)


def test_duplicates_of_merged_events(shop):
    """A late file that repeats events of a merged hour adds none."""
    tidy(shop / "lake")
    put(shop / "raw", 50, [*some(4)[:10], at(50, 1)])
    report = ingest(shop / "raw", shop / "lake")
    assert (report.accepted, report.duplicates) == (1, 10)
    assert right(shop)


def test_replaced_source_file(shop):
    """Rows of a replaced source file go from the merged files that hold them, and only their hours are published anew."""
    put(shop / "raw", 23, [at(0, 99), at(14, 99)])  # so that the first hour has a wide range of source files
    ingest(shop / "raw", shop / "lake")
    tidy(shop / "lake")
    (first, second, third) = sorted(data_files(shop / "lake", "events").items(), key=lambda item: item[1])
    assert first[1] == (key(0), key(23))
    put(shop / "raw", 16, [at(16, 500, "purchase"), b"broken", b"broken, too"])
    report = ingest(shop / "raw", shop / "lake")
    assert (report.replaced, report.hours) == (1, 1)
    now = data_files(shop / "lake", "events")
    assert first[0] in now
    assert third[0] in now
    assert second[0] not in now
    assert right(shop)
    tidy(shop / "lake")
    assert right(shop)


@pytest.mark.usefixtures("own_data_files")
def test_replaced_by_another_hour(shop):
    """A source file whose events move to another hour leaves the merged one for good."""
    tidy(shop / "lake")
    for slot in range(0, 12, 2):
        put(shop / "raw", slot, [at(40, slot)])
    ingest(shop / "raw", shop / "lake")
    assert hours(shop / "lake") == [1, 6, 1]
    assert right(shop)


def test_replay_of_merged_hours(shop):
    """A replay gives the rows that were there."""
    tidy(shop / "lake")
    before = dump(shop / "lake")
    run = prepare(shop / "raw", shop / "lake")
    chosen = replay.choose_range(run, START, START + timedelta(minutes=30))
    assert replay.replay(run, chosen).accepted > 0
    assert dump(shop / "lake") == before
    assert right(shop)
