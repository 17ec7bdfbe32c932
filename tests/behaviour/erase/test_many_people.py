"""Many people in one erasure: one commit, a receipt for each, and a file that keeps their ids off the command line."""

import io
import json
from typing import Any

import pytest

import shoplake
from shoplake.cli import users
from shoplake.errors import UsageError
from shoplake.lake.catalog import Lake
from tests.behaviour.erase.support import PERSON, as_without, clean, files, places_of, plain, write
from tests.support import command, dump, event, events, ingest, put

OTHERS = ("u_2", "u_11", "u_19")


def of_others(line):
    text = line if isinstance(line, bytes) else json.dumps(line).encode()
    return any(f'"{user}"'.encode() in text for user in OTHERS)


def slots():
    """The raw files with one person, and with those whose lines count as several others'."""
    return {slot: [(line, about or of_others(line)) for line, about in lines] for slot, lines in files().items()}


def erase_listed(lake, listed, *words, **streams):
    told = command("erase", "--users-file", listed, "--lake", lake, "--yes", "--format", "json", *words, **streams)
    assert (told.code, told.err) == (0, "")
    return told.json


def test_one_commit_erases_all(raw, lake, tmp_path):
    """The tables and raw files are those without all of the people; history is rewritten once, each has its figures."""
    write(tmp_path / "due", slots(), without=True)
    ingest(tmp_path / "due", tmp_path / "truth")
    ingest(raw, lake)
    version = Lake(str(lake)).view().version
    listed = tmp_path / "people.txt"
    listed.write_bytes("\ufeff{}\r\n\r\nnobody\r\n{}\r\n{}\r\n".format(PERSON, "\r\n".join(OTHERS), PERSON).encode())
    due = [row["user_id"] for row in dump(lake)["events"]]
    shown = erase_listed(lake, listed, "--source", raw, "--dry-run")
    receipt = erase_listed(lake, listed, "--source", raw)
    assert Lake(str(lake)).view().version == version + 1
    as_without(lake, dump(tmp_path / "truth"), slots())
    clean(lake, raw)
    assert [person["events"] for person in receipt["people"]] == [
        due.count(user) for user in (PERSON, "nobody", *OTHERS)
    ]
    assert [person["quarantine"] for person in receipt["people"]] == [5, 0, 1, 0, 0]
    assert {person["user_hash"] for person in receipt["people"]} == {row["user_hash"] for row in dump(lake)["erasures"]}
    assert (receipt["user_hash"], receipt["removed"]["quarantine"]) == (None, 6)
    assert shown["removed"] == receipt["removed"]
    again = erase_listed(lake, listed, "--source", raw, "--raw")
    assert (again["repeated"], {person["repeated"] for person in again["people"]}) == (True, {True})
    assert places_of(PERSON, raw) == places_of('"u_19"', raw) == []
    assert plain(dump(lake)) == plain(dump(tmp_path / "truth"))


def test_one_line_about_two_people(tmp_path):
    """A broken line that names two of them is one line, of each; the other people's mentions of them stay, and are counted."""
    raw, lake = tmp_path / "raw", tmp_path / "lake"
    broken = b'{"user_id": ["u_a", "u_b"], "session_id": "s"}'
    stay: list[dict[str, Any] | bytes] = [
        event(1, "search", search_query="gift for u_a"),
        event(2, session_id="s_u_b-2"),
        event(3) | {"referrer": "/u/u_a"},
        event(4, user_id="xu_a", session_id="u_abc"),  # other words
        b'{"user_id": "u_9", "note": "see u_b", "price": "free"}',
    ]
    put(raw, 0, [*stay, broken, event(5, user_id="u_a", session_id="u_a u_b"), event(6, user_id="u_b")])
    ingest(raw, lake)
    receipt = shoplake.api.erase(["u_a", "u_b", "u_a"], lake, raw)
    assert receipt.removed == {"events": 2, "quarantine": 1, "user_hourly": 2}
    assert [(person.events, person.quarantine) for person in receipt.people] == [(1, 1), (1, 1)]
    assert receipt.mentions == {"events": 3, "quarantine": 1}
    assert [file.lines for file in receipt.raw] == [3]
    assert len(dump(lake)["events"]) == 4
    told = command("erase", "--user", "u_a", "--lake", lake, "--dry-run")
    assert "2 rows of events" in told.out
    clean(lake, raw)


def test_from_standard_input(tmp_path, monkeypatch):
    """The ids can be piped in; without --yes there is nobody to ask."""
    put(tmp_path / "raw", 0, events(5))
    ingest(tmp_path / "raw", tmp_path / "lake")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"u_1\nu_2")))
    told = command("erase", "--users-file", "-", "--lake", tmp_path / "lake")
    assert (told.code, "Erase 2 people" in told.err) == (2, True)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"u_1\nu_2")))
    told = command("erase", "--users-file", "-", "--lake", tmp_path / "lake", "--yes")
    assert (told.code, "2 people, of whom 0 have no rows" in told.out) == (0, True)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"u_1\nu_2 \n", "line 2 of ids"),
        (b"u_1\n\x00\n", "line 2 of ids"),
        (b"\xff\xfeu\x001\x00", "line 1 of ids"),
        (b"x" * (16 << 20) + b"y", "larger than 16 MB"),
    ],
)
def test_files_that_are_refused(content, said):
    """A file that may not mean what it says is refused, by line."""
    with pytest.raises(UsageError, match=said):
        users.parse(content, "ids")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xef\xbb\xbf\n  \r\n", "contains no ids"),
        (b"\n".join(b"u_%d" % number for number in range(10_001)), "10,001 ids are too many"),
    ],
)
def test_too_few_and_too_many(tmp_path, content, said):
    """A file without ids and one with more than one erasure takes are wrong calls."""
    (tmp_path / "people").write_bytes(content)
    told = command("erase", "--users-file", tmp_path / "people", "--lake", tmp_path / "lake", "--yes")
    assert (told.code, said in told.err) == (2, True), told.err


@pytest.mark.parametrize("words", [(), ("--user", "u_1", "--users-file", "x"), ("--users-file", "missing")])
def test_whom(tmp_path, words):
    """One of the two options says whom; a file that is not there is a wrong call."""
    assert command("erase", *words, "--lake", tmp_path, "--yes").code == 2


def test_many_ids_at_once(tmp_path):
    """However many ids there are, of whatever length, exactly their lines are found."""
    raw, lake = tmp_path / "raw", tmp_path / "lake"
    ids = [f"user-{number * 7919}" for number in range(2_000)] + ["\u00fc" * 1_500, 'q"\\', "u.1"]
    mine = [event(number, user_id=user) for number, user in enumerate(ids[::100] + ids[-3:], 100)]
    others = [event(number, user_id=f"{user}x") for number, user in enumerate(ids[1:2_000:100], 400)]
    put(raw, 0, [*mine, *others, event(1, user_id="ux1")])
    ingest(raw, lake)
    receipt = shoplake.api.erase(ids, lake, raw)
    assert (receipt.removed["events"], [file.lines for file in receipt.raw]) == (len(mine), [len(mine)])
    assert {row["user_id"] for row in dump(lake)["events"]} == {*(line["user_id"] for line in others), "ux1"}
