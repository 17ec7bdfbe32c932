"""``shoplake erase`` removes a person, so that the lake is as if the person's lines had never been in the raw files."""

from shoplake.lake import erasures
from shoplake.lake.catalog import Lake
from shoplake.lake.commits import Commit
from tests.behaviour.erase.support import (
    PERSON,
    as_without,
    clean,
    erase,
    files,
    lines_of_person,
    mine,
    places_of,
    write,
)
from tests.support import START, command, dump, event, events, everywhere, ingest, put


def test_as_if_the_person_had_never_been(raw, lake, truth):
    """After an erasure the tables are those of the raw files without the person, and verify agrees."""
    ingest(raw, lake)
    assert places_of(PERSON, lake)
    receipt = erase(lake, "--source", raw)
    as_without(lake, truth, files())
    clean(lake, raw)
    assert receipt["removed"] == {"events": 6, "quarantine": 5, "user_hourly": 3}
    assert receipt["hours"] == ["2025-11-16T03:00:00Z", "2025-11-18T14:00:00Z", "2025-11-18T15:00:00Z"]
    assert {one["file"]: one["lines"] for one in receipt["raw"]} == +lines_of_person(files())
    assert not any(one["rewritten"] for one in receipt["raw"])


@everywhere
def test_no_byte_of_the_lake_holds_the_person(raw, lake):
    """No file of the lake holds the id, or what the person looked for, in its bytes, values, statistics or dictionaries."""
    slots = files()
    slots[1] = [row for row in slots[1] if row[0] != event(106, session_id=f"s_{PERSON}")]
    slots[5] = [(event(600), False), (mine(601, "search"), True), (event(602), False)]
    write(raw, slots)
    ingest(raw, lake)
    put(raw, 2, [*events(10, first=40), mine(300)])
    ingest(raw, lake)
    put(raw, 2, events(10, first=40))
    ingest(raw, lake)
    receipt = erase(lake)
    assert places_of(PERSON, lake) == []
    assert receipt["snapshots"] >= 10
    assert receipt["files"] >= 10
    assert all(len(table.history) <= 1 for table in Lake(str(lake)).view().tables.values())
    clean(lake)


def test_in_merged_files(raw, lake, truth):
    """Files that maintenance merged are rewritten as well."""
    ingest(raw, lake)
    assert command("maintain", "--lake", lake).code == 0
    assert len(Lake(str(lake)).view()["events"].files) == 3
    erase(lake)
    as_without(lake, truth, files())
    clean(lake)


def test_an_hour_and_a_day_that_held_nobody_else(raw, lake):
    """Hours and days without other events leave the gold tables; rows of the person alone leave an hour."""
    ingest(raw, lake)
    erase(lake)
    tables = dump(lake)
    assert {row["event_date"].isoformat() for row in tables["activity_daily"]} == {"2025-11-18"}
    assert {row["event_hour"].hour for name in ("user_hourly", "product_hourly") for row in tables[name]} == {14}
    assert "p_only" not in {row["product_id"] for row in tables["product_hourly"]}


# ------------------------------------------------------------------------------------------------ other eyes on the lake


def test_verify_finds_people_who_should_be_gone(raw, lake):
    """Verify finds rows of an erased person in events and quarantine, and raw lines that are in the tables."""
    ingest(raw, lake)
    view = Lake(str(lake)).view()
    now = START.replace(tzinfo=None)
    with Commit(Lake(str(lake)), view, now, {}) as commit:
        erasures.add(commit, erasures.read(view["erasures"]), [PERSON], "r", now)
        commit.publish()
    told = command("verify", "--lake", lake, "--source", raw, "--format", "json")
    assert told.code == 1
    found = {check["name"]: check["differences"] for check in told.json["checks"]}
    assert [one["where"] for one in found["erased"] if one["table"] == "events"] == [
        "2025-11-16T03:00:00Z",
        "2025-11-18T14:00:00Z",
        "2025-11-18T15:00:00Z",
    ]
    assert len([one for one in found["erased"] if one["table"] == "quarantine"]) == 5
    assert {one["where"] for one in found["lines"]} == set(+lines_of_person(files()))


def test_other_engines_read_it(raw, lake):
    """PyIceberg reads the tables after an erasure with the same rows, and finds no other snapshot."""
    from pyiceberg.table import StaticTable

    ingest(raw, lake)
    ingest(raw, lake)
    erase(lake)
    for name, rows in dump(lake).items():
        table = StaticTable.from_metadata(str(Lake(str(lake)).view()[name].location))
        assert table.scan().to_arrow().num_rows == len(rows)
        assert len(table.snapshots()) <= 1


def test_status_and_metrics_count_the_fourth_fate(raw, lake, tmp_path):
    """Status and metrics account for erased lines."""
    ingest(raw, lake)
    receipt = erase(lake)
    state = command("status", "--lake", lake, "--format", "json").json
    assert state["ledger"]["erased"] == receipt["removed"]["events"] + receipt["removed"]["quarantine"]
    assert [one["verdict"] for one in state["checks"] if one["check"] == "whole"] == ["ok"]
    text = command("status", "--lake", lake, "--format", "openmetrics").out
    assert f'fate="erased"}} {state["ledger"]["erased"]}' in text
