"""``shoplake erase`` on the command line: the dry run, the receipt, the question, and what is refused."""

import io

import pytest

from shoplake.sources.local import LocalSource
from tests.behaviour.erase.support import PERSON, clean, erase, rewritten
from tests.support import command, dump, ingest


def tree(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("words", [(), ("--raw",)])
def test_dry_run(raw, lake, words):
    """A dry run changes nothing and shows what an erasure then does."""
    ingest(raw, lake)
    before = tree(lake.parent)
    shown = erase(lake, "--source", raw, "--dry-run", *words)
    assert tree(lake.parent) == before
    done = erase(lake, "--source", raw, *words)
    same = ("removed", "hours", "snapshots", "found", "repeated")
    assert {name: shown[name] for name in same} == {name: done[name] for name in same}
    assert [(one["file"], one["lines"]) for one in shown["raw"]] == [(one["file"], one["lines"]) for one in done["raw"]]


def test_receipt_as_text(raw, lake):
    """The receipt says what was removed, and names the person by the keyed hash alone."""
    ingest(raw, lake)
    told = command("erase", "--user", PERSON, "--lake", lake, "--source", raw, "--raw", "--dry-run")
    assert "Person" not in told.out, "without a list there are no hashes yet"
    told = command("erase", "--user", PERSON, "--lake", lake, "--source", raw, "--raw", "--yes")
    assert (told.code, told.err) == (0, "")
    assert PERSON not in told.out
    listed = dump(lake)["erasures"]
    assert [row["user_hash"] for row in listed if row["user_hash"] in told.out] == [row["user_hash"] for row in listed]
    for text in ("6 of events", "5 of quarantine", "3 hours", "rewritten without them", listed[0]["request"]):
        assert text in told.out


def test_it_asks(raw, lake, monkeypatch):
    """On a terminal a person is asked first; without one there is no answer but --yes, whatever is piped in."""
    ingest(raw, lake)
    monkeypatch.setattr("sys.stdin", Terminal("n\n"))
    told = command("erase", "--user", PERSON, "--lake", lake)
    assert told.code == 130
    assert "cannot be undone" in told.err
    assert dump(lake)["erasures"] == []
    for answer in ("n\n", "y\n", ""):
        monkeypatch.setattr("sys.stdin", io.StringIO(answer))
        told = command("erase", "--user", PERSON, "--lake", lake)
        assert (told.code, told.out, "Give --yes" in told.err) == (2, "", True)
    assert dump(lake)["erasures"] == []
    assert command("erase", "--user", PERSON, "--lake", lake, "--dry-run").code == 0
    assert command("erase", "--user", PERSON, "--lake", lake, "--yes").code == 0
    monkeypatch.setattr("sys.stdin", Terminal(""))
    assert command("erase", "--user", PERSON, "--lake", lake, "--yes").code == 0


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_no_lake_and_no_source(tmp_path, raw, lake):
    """A missing lake, or no source for --raw, is a wrong call."""
    assert command("erase", "--user", "u", "--lake", tmp_path / "none", "--yes").code == 2
    ingest(raw, lake)
    told = command("erase", "--user", "u", "--lake", lake, "--raw", "--yes")
    assert told.code == 2
    assert "--source" in told.err


def test_a_read_only_source(raw, lake, monkeypatch):
    """Where raw files cannot be written, that is said; the same command later on finishes."""
    ingest(raw, lake)

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(LocalSource, "replace", refuse)
        told = command("erase", "--user", PERSON, "--lake", lake, "--source", raw, "--raw", "--yes")
    assert told.code == 1
    assert "Permission denied" in told.err
    rewritten(raw, lake)
    clean(lake, raw)
