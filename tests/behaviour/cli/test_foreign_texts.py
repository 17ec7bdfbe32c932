"""What strangers wrote, in events and in names of files, controls neither a terminal nor the lines of the output."""

import csv
import io
import json
import re

import pytest

from tests.support import command, event, events, put, put_bytes

TITLE = "\x1b]0;OWNED\x07"
HOSTILE = f"p{TITLE}\n\x9b31m\u202e:smile: [bold][/x]"
NAME = f"evil{TITLE}\n.jsonl.gz"


def controls(text):
    """The characters of a text, but for line breaks, that a terminal could act upon."""
    return {char for char in text if not char.isprintable()} - {"\n"}


def make(folder):
    """A source and its lake, with hostile names of files, ids and keys."""
    raw, lake = folder / "raw", folder / "lake"
    put(
        raw,
        NAME,
        [event(1, product_id=HOSTILE, category=HOSTILE), event(2, user_id=HOSTILE), b"broken" + TITLE.encode()],
    )
    put(raw, f"more{NAME}", [event(3) | {HOSTILE: 1}])
    put_bytes(raw, f"cut{NAME}", b"not gzip")
    assert command("ingest", "--source", raw, "--lake", lake).code == 0
    put(raw, f"new{NAME}", [event(9), b"broken" + TITLE.encode()])
    return "--source", raw, "--lake", lake


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    return make(tmp_path_factory.mktemp("hostile"))


def check(result, style):
    assert "Traceback" not in result.err
    ours = r"\x1b\[(?:[01]|3[123])m"  # bold headings, verdicts in colour
    assert controls(re.sub(ours, "", result.out + result.err)) == set()
    if style == "json" and result.code == 0:
        json.loads(result.out)
    elif style == "table":
        assert not any(line.startswith((".jsonl.gz", "\x9b")) for line in (result.out + result.err).splitlines())


READING = {
    "query": ("query", "all"),
    "query of one's own": ("query", "--sql", f'SELECT product_id AS "{HOSTILE}" FROM events'),
    "query that fails": ("query", "--sql", f'SELECT "{HOSTILE}" FROM events'),
    "status": ("status",),
    "verify": ("verify",),
    "quarantine list": ("quarantine", "list"),
    "quarantine show": ("quarantine", "show"),
    "replay --dry-run": ("replay", "--files", NAME, "--dry-run"),
    "replay of a file that is not there": ("replay", "--files", HOSTILE),
    "ingest --dry-run": ("ingest", "--dry-run"),
    "doctor": ("doctor",),
    "a wrong word": ("status", HOSTILE),
}


@pytest.mark.parametrize("style", ["table", "json", "csv"])
@pytest.mark.parametrize("name", READING)
def test_no_control_character_reaches_a_terminal(places, name, style):
    """Whatever is shown, and on stderr too, unprintable characters are escaped, and a name is on one line."""
    words = READING[name]
    place = places[2:] if words[0] in {"query", "quarantine"} else places
    check(command(*words, *place, "--format", style, terminal=True), style)


@pytest.mark.parametrize("style", ["table", "json"])
def test_nor_from_what_changes_a_lake(tmp_path, style):
    """The same for runs, replays and erasures."""
    places = make(tmp_path)
    for words in (
        ("replay", "--files", NAME),
        ("ingest",),
        ("erase", "--user", HOSTILE, "--dry-run"),
        ("erase", "--user", HOSTILE, "--yes"),
    ):
        check(command(*words, *places, "--format", style, terminal=True), style)
    check(command("maintain", *places[2:], "--format", style, terminal=True), style)


def test_markup_is_text(places):
    """Neither emoji codes nor markup mean anything, in a value, a title or the name of a column."""
    sql = "SELECT product_id AS \":smile:[/x]\" FROM events WHERE product_id LIKE '%smile%'"
    result = command("query", "--sql", sql, *places[2:])
    assert result.code == 0
    assert ":smile:[/x]" in result.out
    assert "p\\x1b]0;OWNED\\x07\\x0a\\x9b31m\\u{202e}:smile: [bold][/x]" in result.out


def test_programs_get_texts_as_they_are(places):
    """JSON says the same with its own escapes, and CSV in a pipe is exact."""
    sql = "SELECT product_id FROM events WHERE product_id LIKE '%smile%'"
    (answer,) = command("query", "--sql", sql, *places[2:], "--format", "json").json
    assert answer["rows"] == [[HOSTILE]]
    out = command("query", "--sql", sql, *places[2:], "--format", "csv").out
    assert list(csv.reader(io.StringIO(out, newline=""))) == [["product_id"], [HOSTILE]]


def test_a_file_that_is_set_aside(tmp_path):
    """A file that is set aside is named on one line of stderr."""
    put(tmp_path / "raw", 0, events(3))
    put_bytes(tmp_path / "raw", NAME, b"not gzip")
    result = command("ingest", "--source", tmp_path / "raw", "--lake", tmp_path / "lake")
    assert "set aside: evil\\x1b]0;OWNED\\x07\\x0a.jsonl.gz: cut: the gzip stream ends too early" in result.err


NOT_UTF8 = {
    "a statement": ("query", "--sql", "SELECT '\udcff'"),
    "an experiment": ("experiment", "blue\udcff"),
    "a person": ("person", "--user", "u_\udcff"),
    "a query": ("query", "all\udcff"),
    "a lake": ("query", "1", "--lake", "lake\udcff"),
    "a new lake": ("ingest", "--source", ".", "--lake", "lake\udcff"),
}


@pytest.mark.parametrize("name", NOT_UTF8)
def test_a_word_of_the_call_that_is_not_utf8(places, name):
    """It is a wrong call, which says what is wrong with it, and no fault of the output."""
    words = NOT_UTF8[name]
    result = command(*words, *(() if "--lake" in words else places[2:]))
    assert (result.code, result.out) == (2, "")
    assert "Traceback" not in result.err
    assert "not UTF-8" in result.err or "\\udcff" in result.err
