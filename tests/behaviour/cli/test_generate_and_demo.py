"""``shoplake generate`` and ``shoplake demo``."""

import pytest

from tests.behaviour.cli.support import tells
from tests.support import START, key


def test_generate_and_ingest(call, tmp_path):
    """What generate writes, with the fixed options, is in the Hive layout and ingests whole; the same seed, the same bytes."""
    words = (
        "--files",
        2,
        "--events-per-file",
        "300-400",
        "--start",
        START.isoformat(),
        "--seed",
        7,
        "--profile",
        "uniform",
    )
    result = call("generate", "--out", tmp_path / "raw", *words, "--format", "json")
    assert (result.code, result.err, result.json["files"]) == (0, "", 2)
    assert sorted(path.relative_to(tmp_path / "raw").as_posix() for path in (tmp_path / "raw").rglob("*.gz")) == [
        key(0),
        key(1),
    ]
    call("generate", "--out", tmp_path / "again", *words)
    assert (tmp_path / "raw" / key(1)).read_bytes() == (tmp_path / "again" / key(1)).read_bytes()
    done = call("ingest", "--source", tmp_path / "raw", "--lake", tmp_path / "lake", "--format", "json").json
    assert done["accepted"] + done["duplicates"] == done["lines"] == result.json["events"]
    assert done["quarantined"] == 0


@pytest.mark.parametrize(
    "words",
    [
        *(("--events-per-file", value) for value in ("0", "many", "9-3", "1-2-3", "-5", "")),
        *(("--start", value) for value in ("today", "2025-13-01", "")),
    ],
    ids=" ".join,
)
def test_generate_with_wrong_values(call, words):
    """A number or time that is none is a usage error with an example of a right one."""
    tells(call("generate", "--out", "raw", *words), 2)


@pytest.mark.parametrize("start", ["0001-01-01T00:00:00Z", "9999-12-31T23:58:00Z", "1969-01-01T00:00:00Z"])
def test_generate_at_the_edges_of_time(call, start):
    """A start outside the times that the contract knows is told as such or works; it is no traceback."""
    result = call(
        "generate", "--out", "raw", "--files", 2, "--events-per-file", 5, "--start", start, "--faults", "demo"
    )
    assert result.code in (0, 2)


def test_demo(call, tmp_path):
    """The demo plays through in small: two runs, five answers, sums that agree."""
    result = call("demo", "--dir", tmp_path / "demo", "--files", 3, "--events-per-file", 2000)
    assert (result.code, result.err) == (0, "")
    assert "Ingested 2 files: 4,000 lines" in result.out
    assert "Ingested 1 file: 2,000 lines" in result.out
    assert "Nothing new" in result.out
    assert result.out.count(" yes") == 9
    state = call("status", "--lake", tmp_path / "demo" / "lake", "--format", "json").json
    assert state["demo"] is True
    again = call("demo", "--dir", tmp_path / "demo", "--files", 2, "--events-per-file", 10)
    assert again.code == 0, "its own folder is made anew"


def test_demo_spares_other_folders(call, tmp_path):
    """The demo does not touch a folder that is not its own."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "precious").touch()
    tells(call("demo", "--dir", tmp_path / "mine"), 2, "was not made by shoplake demo")
    assert (tmp_path / "mine" / "precious").exists()
