"""``shoplake status``: the state of a lake, for people and scripts."""

import csv
import io
import shutil

from shoplake.cli import process
from tests.support import dump, events, put


def test_nothing_is_asked_of_pandas(shop, call, monkeypatch):
    """Neither the state of a lake nor its maintenance needs it: to import it takes a quarter of a second and 40 MB."""
    asked = []
    monkeypatch.setattr(process, "pass_over_pandas", lambda: asked.append("not"))
    assert call("status", "--lake", shop / "lake").code == 0
    assert call("maintain", "--lake", shop / "lake", "--dry-run").code == 0
    assert asked == ["not", "not"]


def test_status_json(shop, call):
    """The state as JSON: tables with rows, files, bytes and snapshots, the ledger's totals, freshness, what is waiting."""
    result = call("status", "--lake", shop / "lake", "--format", "json")
    assert (result.code, result.err) == (0, "")
    state = result.json
    assert set(state["tables"]) == set(dump(shop / "lake"))
    for name, figures in state["tables"].items():
        assert set(figures) == {"rows", "files", "bytes", "snapshots"}
        assert figures["rows"] == len(dump(shop / "lake")[name])
    assert state["ledger"] == {
        "files": 3,
        "unreadable": 1,
        "lines": 122,
        "accepted": 110,
        "duplicates": 10,
        "quarantined": 2,
        "erased": 0,
    }
    newest = max(row["event_time"] for row in dump(shop / "lake")["events"])
    assert state["newest_event"] == newest.isoformat() + "Z"
    assert 0 <= state["freshness_seconds"] < 3600
    assert state["waiting"] is None


def test_status_with_a_source(shop, call, tmp_path):
    """With a source the state tells what is waiting there."""
    source = shutil.copytree(shop / "raw", tmp_path / "raw")
    words = ("status", "--lake", shop / "lake", "--source", source)
    assert call(*words, "--format", "json").json["waiting"]["files"] == 0
    put(source, 2, events(5, first=400))
    put(source, 1, events(5))
    assert call(*words, "--format", "json").json["waiting"]["files"] == 2
    assert "Waiting: 2 files" in call(*words).out


def test_status_csv(shop, call):
    """As CSV the state is a row for each table."""
    rows = list(csv.DictReader(io.StringIO(call("status", "--lake", shop / "lake", "--format", "csv").out)))
    assert {row["table"]: row["rows"] for row in rows}["events"] == "110"
