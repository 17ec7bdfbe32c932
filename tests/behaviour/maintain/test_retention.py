"""Retention: rows of old days go, their totals stay, and no late, replaced or repeated file changes these totals."""

import json
from datetime import timedelta

import pytest

import shoplake
from shoplake.lake.catalog import Lake
from shoplake.operations.maintain import MaintenanceRequest, maintain
from tests.support import (
    START,
    answers,
    both_in_proofs,
    command,
    dump,
    events,
    ingest,
    put,
)

DAYS = ("2025-11-16", "2025-11-17", "2025-11-18")
KEPT = ("events", "user_hourly", "session_hourly", "quarantine")


def on(day, lines):
    return [line | {"timestamp": line["timestamp"].replace("2025-11-18", day)} for line in lines]


def at(day):
    return f"events/{day}.jsonl.gz"


@pytest.fixture
def shop(tmp_path, engine):
    """Three days, ingested each on its day, a broken line in each, and an event of the day before in the last two."""
    raw, lake = tmp_path / "raw", tmp_path / "lake"
    for number, day in enumerate(DAYS):
        put(raw, at(day), [*on(day, events(40, first=100 * number)), b"broken"])
    put(raw, at("2025-11-17-edge"), [*on(DAYS[0], events(3, first=60)), *on(DAYS[1], events(4, first=160))])
    ingest(raw, lake)
    return raw, lake


def retain(lake, days=0.6):
    """Maintenance as it runs on the noon of the third day: it keeps the second and the third."""
    return maintain(MaintenanceRequest(Lake(lake), keep_days=days, now=lambda: START - timedelta(hours=2)))


def totals(lake):
    tables = dump(lake)
    return tables["product_hourly"], tables["activity_daily"], answers(lake)


def agrees(raw, lake, *words):
    told = command("verify", "--lake", lake, "--source", raw, "--format", "json", *words)
    assert [one for check in told.json["checks"] for one in check["differences"]] == []
    return told.json


@both_in_proofs
def test_old_days_go_and_totals_stay(shop):
    """Events and rows of users and sessions of a day go, as a whole; its totals and all of the other days stay."""
    raw, lake = shop
    before, due = dump(lake), totals(lake)
    report = retain(lake)
    assert (str(report.kept_from), report.expired["events"]) == ("2025-11-17", 43)
    after = dump(lake)
    for table, column in (("events", "event_time"), ("user_hourly", "event_hour"), ("session_hourly", "event_hour")):
        kept = [row for row in before[table] if str(row[column]) >= "2025-11-17"]
        assert sorted(after[table], key=repr) == sorted(kept, key=repr), table
    assert totals(lake) == due
    assert after["ledger"] == before["ledger"]
    assert {note["what"] for note in agrees(raw, lake)["notes"]} >= {"retention"}
    assert retain(lake).expired == {}
    assert "ok       whole" in command("status", "--lake", lake).out
    assert ingest(raw, lake).batches == 0


@both_in_proofs
def test_late_replaced_and_repeated_files(shop, engine):
    """Whatever arrives for a closed day leaves its totals; open days in the same files stay exact."""
    raw, lake = shop
    retain(lake)
    closed = [rows for rows in totals(lake)[0] if str(rows["event_hour"]) < "2025-11-17"], totals(lake)[1][0]
    put(raw, "events/late.jsonl.gz", [*on(DAYS[0], events(9, first=700)), *on(DAYS[1], events(6, first=800))])
    put(raw, at(DAYS[0]), on(DAYS[0], events(5, first=900)))  # replaced: its events went
    put(raw, at("2025-11-17-edge"), on(DAYS[1], events(2, first=160)))  # replaced: of both days
    put(raw, "events/again.jsonl.gz", on(DAYS[0], events(40)))  # events that the lake had
    ingest(raw, lake)
    assert command("replay", "--lake", lake, "--source", raw, "--files", at(DAYS[1])).code == 0
    now = totals(lake)
    assert ([rows for rows in now[0] if str(rows["event_hour"]) < "2025-11-17"], now[1][0]) == closed
    agrees(raw, lake)
    ingest(raw, lake.parent / "fresh")
    whole = totals(lake.parent / "fresh")
    assert [row for row in now[0] if str(row["event_hour"]) >= "2025-11-17"] == [
        row for row in whole[0] if str(row["event_hour"]) >= "2025-11-17"
    ]
    assert now[1][1:] == whole[1][1:]
    assert retain(lake).expired["events"] == 54  # what had come late goes next time
    agrees(raw, lake)
    assert totals(lake) == now


@pytest.mark.parametrize("engine", ["duckdb"], indirect=True)
def test_operations_on_a_lake_with_closed_days(shop):
    """Erasures, replays of quarantined lines and repairs leave the totals of closed days."""
    raw, lake = shop
    retain(lake)
    due = [row for row in totals(lake)[0] if str(row["event_hour"]) < "2025-11-17"], totals(lake)[1][0]
    put(raw, "events/late.jsonl.gz", on(DAYS[0], events(9, first=700)))
    ingest(raw, lake)
    receipt = shoplake.erase("u_1", lake, raw)
    assert all(str(hour) >= "2025-11-17" for hour in receipt.hours)
    agrees(raw, lake)
    replayed = command("quarantine", "replay", "--lake", lake)
    assert (replayed.code, "retention removed events" in replayed.err) == (0, True)
    agrees(raw, lake)
    now = totals(lake)
    assert ([row for row in now[0] if str(row["event_hour"]) < "2025-11-17"], now[1][0]) == due
    # A closed day's file that is lost must not be rebuilt from events that are gone; that of an open day is.
    files = sorted(Lake(lake).view()["product_hourly"].files, key=lambda file: file.lower["event_hour"])
    lost = files[0].path, files[-1].path
    for path in lost:
        (lake.parent / path).unlink()
    told = command("verify", "--lake", lake, "--repair", "--format", "json")
    assert [left["where"][:10] for left in told.json["repaired"]["left"]] == [DAYS[0]]
    paths = {file.path for file in Lake(lake).view()["product_hourly"].files}
    assert [path in paths for path in lost] == [True, False]


@pytest.mark.parametrize("engine", ["duckdb"], indirect=True)
def test_command(shop, monkeypatch):
    """The setting turns it on; a dry run says what would go and changes nothing."""
    _, lake = shop
    assert "older than" not in command("maintain", "--lake", lake).out
    monkeypatch.setenv("SHOPLAKE_KEEP_DAYS", "1")
    before = dump(lake)
    told = command("maintain", "--lake", lake, "--dry-run")
    assert "Would remove what is older than" in told.out
    assert dump(lake) == before
    done = command("maintain", "--lake", lake, "--format", "json").json
    assert done["expired"]["events"] == 127
    assert not any(dump(lake)[table] for table in KEPT if table != "quarantine")
    assert len(dump(lake)["activity_daily"]) == 3
    assert json.loads((lake / "catalog.json").read_text())["format"] == 2


@pytest.mark.parametrize("engine", ["duckdb"], indirect=True)
def test_quarantined_lines_go_by_their_arrival(shop):
    """A quarantined line goes when its file has been there for so long; verify and status count on it."""
    raw, lake = shop
    later = START.replace(year=2026, month=12, day=30)
    maintain(MaintenanceRequest(Lake(lake), keep_days=1, now=lambda: later))
    assert dump(lake)["quarantine"] == []
    agrees(raw, lake)
    assert "ok       whole" in command("status", "--lake", lake).out
