"""``shoplake person`` shows all that a lake holds of one person, nothing of others, and changes nothing."""

import csv
import io
import json

import pytest

import shoplake
from tests.behaviour.erase.support import PERSON, files, lines_of_person, write
from tests.support import command, dump, event, ingest, put


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    folder = tmp_path_factory.mktemp("person")
    write(folder / "raw", files())
    ingest(folder / "raw", folder / "lake")
    put(folder / "raw", 4, [event(900, user_id=PERSON), event(901, "search", search_query=f"about {PERSON}")])
    ingest(folder / "raw", folder / "lake")  # a part of the hour
    return folder / "lake"


def held(tables):
    return {
        name: [row for row in tables[name] if row["user_id"] == PERSON]
        for name in ("events", "user_hourly", "session_hourly")
    }


def test_all_that_is_held(lake):
    """The rows are those of the tables, parts added up; others' rows are counted; the lake stays as it is."""
    before = {path: path.read_bytes() for path in lake.rglob("*") if path.is_file()}
    report = shoplake.person(PERSON, lake)
    with shoplake.open(lake) as opened:
        tables = {name: opened.sql(f"SELECT * FROM {name}").to_arrow_table().to_pylist() for name in held(dump(lake))}
    due = held(tables)
    assert {name: sorted(report.tables[name], key=repr) for name in due} == {
        name: sorted(rows, key=repr) for name, rows in due.items()
    }
    assert [len(report.tables[name]) for name in ("events", "user_hourly", "quarantine", "erasures")] == [7, 3, 5, 0]
    assert all(
        PERSON.encode() in line["raw"].encode() or line["encoding"] == "base64" for line in report.tables["quarantine"]
    )
    assert report.mentions == {"events": 2, "quarantine": 0}
    assert set(report.source_files) >= {path for path, lines in lines_of_person(files()).items() if lines > 1}
    assert {path: path.read_bytes() for path in lake.rglob("*") if path.is_file()} == before


def test_formats(lake, tmp_path):
    """As json, as csv with a line for each value, as tables; into a file only its owner can read, never over another."""
    told = command("person", "--user", PERSON, "--lake", lake, "--format", "json")
    assert (told.json["found"], len(told.json["events"]), told.json["user"]) == (True, 7, PERSON)
    rows = list(csv.DictReader(io.StringIO(command("person", "--user", PERSON, "--lake", lake, "--format", "csv").out)))
    assert {row["value"] for row in rows if (row["table"], row["column"]) == ("events", "user_id")} == {PERSON}
    assert ("quarantine", '["bad_price"]') in {(row["table"], row["value"]) for row in rows}
    words = ("person", "--user", PERSON, "--lake", lake, "--format", "json", "--out", tmp_path / "it.json")
    assert (command(*words).code, command(*words).code, command(*words, "--force").code) == (0, 2, 0)
    assert json.loads((tmp_path / "it.json").read_text("utf-8"))["events"] == told.json["events"]
    assert (tmp_path / "it.json").stat().st_mode & 0o777 == 0o600
    text = command("person", "--user", PERSON, "--lake", lake).out
    assert "events: 7 rows" in text
    assert "2 rows of events" in text


def test_hostile_texts_are_escaped(tmp_path):
    """What a producer wrote cannot control the terminal."""
    put(tmp_path / "raw", 0, [event(1, "search", user_id="u\u001b[2J", search_query="\u001b]0;x\u0007")])
    ingest(tmp_path / "raw", tmp_path / "lake")
    told = command("person", "--user", "u\u001b[2J", "--lake", tmp_path / "lake")
    assert "events: 1 row" in told.out
    assert "\u001b" not in told.out + told.err


def test_nobody_and_an_erased_person(tmp_path):
    """Of an unknown person nothing is held, of an erased one the row of the list alone."""
    put(tmp_path / "raw", 0, [event(1), event(2)])
    ingest(tmp_path / "raw", tmp_path / "lake")
    told = command("person", "--user", "nobody", "--lake", tmp_path / "lake")
    assert (told.code, "Nothing is held of this person." in told.out) == (0, True)
    receipt = shoplake.erase("u_1", tmp_path / "lake")
    report = shoplake.person("u_1", tmp_path / "lake")
    assert [row["request"] for row in report.tables["erasures"]] == [receipt.request]
    assert not any(rows for name, rows in report.tables.items() if name != "erasures")
    assert command("person", "--user", "", "--lake", tmp_path / "lake").code == 2
    assert command("person", "--user", "u", "--lake", tmp_path / "none").code == 2
