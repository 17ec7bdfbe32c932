"""What arrives after an erasure, again or anew, does not bring the person back."""

import pytest

from shoplake.lake import erasures
from tests.behaviour.erase.support import (
    PERSON,
    as_without,
    clean,
    erase,
    files,
    lines_of_person,
    mine,
    places_of,
    plain,
    write,
)
from tests.support import command, dump, event, events, ingest, key, put


def test_doing_files_again_does_not_bring_the_person_back(raw, lake, truth):
    """A replay of all files gives the tables without the person; now every line of the person counts as erased."""
    ingest(raw, lake)
    erase(lake)
    told = command("replay", "--lake", lake, "--source", raw, "--files", *map(key, files()), "--format", "json")
    assert (told.code, told.json["erased"]) == (0, lines_of_person(files()).total())
    as_without(lake, truth, files())
    assert {row["source_file"]: row["erased"] for row in dump(lake)["ledger"]} == dict(lines_of_person(files()))
    assert places_of(f"secret of {PERSON}", lake) == []
    clean(lake, raw)


def test_erased_before_the_first_line_arrives(raw, lake, tmp_path, truth):
    """An unknown person is put on the list; files that arrive later, new or replaced, are taken in without them."""
    put(raw, 2, events(3))
    for slot in (0, 1, 3, 15):
        (raw / key(slot)).unlink()
    ingest(raw, lake)
    receipt = erase(lake, "--source", raw)
    assert not receipt["found"]
    assert not receipt["repeated"]
    write(raw, files())
    told = command("ingest", "--lake", lake, "--source", raw)
    assert f" + {lines_of_person(files()).total()} erased" in told.out
    as_without(lake, truth, files())
    assert {row["source_file"]: row["erased"] for row in dump(lake)["ledger"]} == dict(lines_of_person(files()))
    assert next(row for row in dump(lake)["ledger"] if row["source_file"] == key(1))["unknown_keys"] == '{"device": 1}'
    clean(lake, raw)


def test_a_careful_reading_drops_the_person_too(raw, lake):
    """A line that is too long for the quick reader has its file read by the careful one, which drops the person as well."""
    write(raw, {6: [(event(400, "search", search_query="x" * 2_000_000), False), (mine(401) | {"beta": 1}, True)]})
    ingest(raw, lake)
    erase(lake)
    before = plain(dump(lake))
    assert command("replay", "--lake", lake, "--source", raw, "--files", key(6)).code == 0
    assert plain(dump(lake)) == before
    assert [row["unknown_keys"] for row in before["ledger"] if row["source_file"] == key(6)] == [None]


def test_an_empty_list_costs_nothing(raw, lake, monkeypatch):
    """As long as nobody was erased, ingest does not look for anybody."""
    monkeypatch.setattr(erasures.Erased, "among", lambda *_: pytest.fail("looked for somebody"))
    monkeypatch.setattr(erasures.Erased, "named_in", lambda *_: pytest.fail("looked for somebody"))
    ingest(raw, lake)


def test_two_people(raw, lake):
    """A second erasure adds to the list; both stay away."""
    ingest(raw, lake)
    erase(lake)
    erase(lake, user="u_2")
    rows = dump(lake)["erasures"]
    assert len({row["user_hash"] for row in rows}) == 2
    assert len({row["salt"] for row in rows}) == 1
    command("replay", "--lake", lake, "--source", raw, "--files", *map(key, files()))
    assert not {row["user_id"] for row in dump(lake)["events"]} & {PERSON, "u_2"}
    clean(lake, raw)


def test_twice(raw, lake):
    """A second erasure of the same person finds nothing, and says that it was done before."""
    ingest(raw, lake)
    erase(lake)
    before = dump(lake)
    again = erase(lake)
    assert (again["found"], again["repeated"], again["snapshots"]) == (False, True, 0)
    assert dump(lake) == before
