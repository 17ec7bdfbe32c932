"""``shoplake maintain`` on the command line."""

from tests.behaviour.maintain.support import hours, put_orphan, right, stored
from tests.support import command, snapshots


def test_command(shop):
    """The command says what it merged and removed; a second one, that there is nothing to do; a dry run changes nothing."""
    lake = shop / "lake"
    put_orphan(lake)
    state = snapshots(lake), stored(lake)
    told = command("maintain", "--lake", lake, "--dry-run")
    assert told.code == 0
    assert "events" in told.out
    assert "Would delete 1 file no longer referred to (11 B).\nNothing was changed." in told.out
    assert (snapshots(lake), stored(lake)) == state
    told = command("maintain", "--lake", lake)
    assert told.code == 0, told
    assert "Deleted 1 file no longer referred to (11 B)." in told.out
    assert "quarantine" not in told.out  # its day is not over
    assert hours(lake) == [1, 1, 1]
    assert command("maintain", "--lake", lake).out.startswith("Nothing to do")
    assert right(shop)


def test_command_json(shop):
    """The figures for a program."""
    told = command("maintain", "--lake", shop / "lake", "--dry-run", "--format", "json")
    assert told.json["dry_run"] is True
    assert told.json["merged"]["events"]["partitions"] == [
        "event_time_hour=2025-11-18-14",
        "event_time_hour=2025-11-18-15",
        "event_time_hour=2025-11-19-14",
    ]
    told = command("maintain", "--lake", shop / "lake", "--format", "json")
    merged = told.json["merged"]["events"]
    assert (merged["files_before"], merged["files_after"]) == (14, 3)
    assert merged["bytes_before"] > merged["bytes_after"] > 0
    assert (told.json["dry_run"], told.json["removed"], told.json["spared"]) == (False, [], [])
    assert command("maintain", "--lake", shop / "lake", "--format", "json").json["merged"] == {}


def test_command_without_a_lake(tmp_path):
    """There must be a lake."""
    told = command("maintain", "--lake", tmp_path / "none")
    assert told.code == 2
    assert "there is no lake" in told.err
    told = command("maintain", "--lake", tmp_path, "--older-than", "0")
    assert told.code == 2
