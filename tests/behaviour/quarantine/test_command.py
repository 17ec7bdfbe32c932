"""``shoplake quarantine`` on the command line: exit codes, messages, and what it refuses."""

import csv
import io

import pytest

from shoplake.errors import UsageError
from shoplake.operations.quarantine.contents import LineFilter
from tests.behaviour.quarantine.support import LATE, replay_at, truth
from tests.support import command, events, ingest, put, snapshots


def test_replay_command(shop):
    """--dry-run says what would move and changes nothing; then it moves; then there is nothing more, with exit code 0."""
    source, lake = shop
    before = snapshots(lake)
    told = command("quarantine", "replay", "--lake", lake, "--dry-run", "--format", "json")
    assert (told.code, snapshots(lake)) == (0, before)
    assert {name: told.json[name] for name in ("lines", "accepted", "quarantined", "files", "batches", "dry_run")} == {
        "lines": 14,
        "accepted": 10,
        "quarantined": 4,
        "files": 4,
        "batches": 0,
        "dry_run": True,
    }
    assert (
        "14 lines = 10 now meet the contract + 4 still quarantined"
        in command("quarantine", "replay", "--lake", lake, "--dry-run").out
    )
    told = command("quarantine", "replay", "--lake", lake)
    assert (told.code, told.err) == (0, "")
    assert "14 lines = 7 moved to events + 3 duplicates + 4 still quarantined" in told.out
    truth(source, lake)
    told = command("quarantine", "replay", "--lake", lake, "--reason", "future_timestamp")
    assert (told.code, told.out) == (0, "Nothing to replay: no matching line is quarantined.\n")
    row = next(csv.DictReader(io.StringIO(command("quarantine", "replay", "--lake", lake, "--format", "csv").out)))
    assert (row["lines"], row["accepted"], row["quarantined"]) == ("4", "0", "4")


def test_nothing_quarantined(source, lake, tmp_path):
    """A lake without quarantined lines gives empty answers, no file and exit code 0."""
    put(source, 0, events(5))
    ingest(source, lake)
    for words in (("list",), ("show",), ("replay",), ("export", "--out", tmp_path / "f")):
        for style in ("table", "json", "csv"):
            told = command("quarantine", *words, "--lake", lake, "--format", style)
            assert (told.code, told.err) == (0, ""), words
            assert told.out
    assert not (tmp_path / "f").exists()


@pytest.mark.parametrize("name", ["show", "replay", "export"])
@pytest.mark.parametrize("words", [("--reason", "no_such_reason"), ("--file", "no-such-file.jsonl.gz")], ids=str)
def test_what_nobody_knows(shop, tmp_path, name, words):
    """An unknown reason or file is refused with exit code 2 and what there is."""
    _, lake = shop
    out = ("--out", tmp_path / "f") if name == "export" else ()
    told = command("quarantine", name, "--lake", lake, *out, *words)
    assert (told.code, told.out) == (2, "")
    assert len(told.err.strip().splitlines()) == 2


@pytest.mark.parametrize("name", ["list", "show", "replay", "export"])
def test_no_lake(tmp_path, name):
    """Where there is no lake there is nothing, and none is made."""
    out = ("--out", tmp_path / "f") if name == "export" else ()
    told = command("quarantine", name, "--lake", tmp_path / "lake", *out)
    assert (told.code, "there is no lake" in told.err) == (2, True)
    assert list(tmp_path.iterdir()) == []
    told = command("quarantine", name, "--help")
    assert (told.code, "Examples:\n" in told.out) == (0, True)


def test_a_reason_of_an_older_contract(shop, monkeypatch):
    """A code that the contract has no more can still be asked for, as long as a line has it."""
    _, lake = shop
    monkeypatch.setattr("shoplake.operations.quarantine.contents.REASON_CODES", ())
    assert replay_at(LATE, lake, LineFilter("future_timestamp")).lines == 11
    with pytest.raises(UsageError, match="is not a reason code"):
        replay_at(LATE, lake, LineFilter("future_timestamp"))
