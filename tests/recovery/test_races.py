"""Runs that change one lake at the same time without waiting for each other: one wins, the other plans again."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

import shoplake
from shoplake.engines.duckdb import DuckDBEngine
from shoplake.errors import MissingFileError, TransientError
from shoplake.ingestion import pipeline
from shoplake.lake.catalog import Lake
from shoplake.lake.commits import Commit, LostRaceError
from tests.support import (
    accepted,
    answers,
    dump,
    event,
    events,
    everywhere,
    everywhere_but,
    five_answers,
    ingest,
    judge_files,
    key,
    once_before,
    oracle,
    prepare,
    put,
)


def cut(source, slot):
    """Take the end off a source file."""
    path = source / key(slot)
    path.write_bytes(path.read_bytes()[:-20])


def noted(source, lake):
    """An ingest, and what it said on the way."""
    notes: list[str] = []
    run = prepare(source, lake)
    watchers = pipeline.Watchers(note=notes.append)
    report = pipeline.ingest(pipeline.Run(run.lake, run.source, run.engine, run.settings, watchers))
    return report, notes


POINTS = (
    (DuckDBEngine, "check"),
    (DuckDBEngine, "dedupe"),
    (DuckDBEngine, "gold"),
    (Commit, "replace"),
    (Commit, "publish"),
)


@everywhere_but("cls, method", *POINTS, on_s3=(Commit, "publish"))
@pytest.mark.usefixtures("unlocked")
def test_the_older_view_never_wins(place, monkeypatch, cls, method):
    """A run overtaken at any step by one over the same and further files ends with the tables of one undisturbed run."""
    raw, lake = place / "raw", place / "lake"
    put(raw, 0, events(20))
    ingest(raw, lake)
    put(raw, 1, [*events(20, first=15), b"broken"])

    def other():
        put(raw, 2, [*events(9, first=30), event(500, "purchase", price=3.5)])
        put(raw, 0, events(19))
        assert ingest(raw, lake).batches >= 1
        put(raw, 3, events(5, first=60))  # only the overtaken run, planning again, can take this one

    once_before(monkeypatch, cls, method, other)
    _, notes = noted(raw, lake)
    monkeypatch.undo()
    assert len([note for note in notes if "planning again" in note]) == 1
    ingest(raw, place / "fresh")
    assert dump(lake) == dump(place / "fresh")
    assert answers(lake) == oracle(lake) == five_answers(accepted(judge_files(raw)))


@everywhere
@pytest.mark.usefixtures("unlocked")
def test_the_run_with_the_older_view_publishes_last(place, monkeypatch):
    """Its swap fails, so that gold is of the newer view's events at every moment, and still the oracle's in the end."""
    raw, lake = place / "raw", place / "lake"
    put(raw, 0, events(20))
    ingest(raw, lake)
    put(raw, 1, [event(300, "purchase", price=1.5)])
    swaps: list[str] = []
    seen = []
    real = Lake.swap

    def swap(self, base, metadata):
        if not swaps:
            swaps.append("begun")
            put(raw, 2, [event(301, "purchase", price=2.5), event(302)])  # of the same hour
            ingest(raw, lake)
        catalog = real(self, base, metadata)
        swaps.append("won" if catalog else "lost")
        seen.append(answers(lake))
        assert seen[-1] == oracle(lake)
        return catalog

    monkeypatch.setattr(Lake, "swap", swap)
    ingest(raw, lake)
    monkeypatch.undo()
    assert swaps == ["begun", "won", "lost"], "the newer view's, then the older one's"
    assert seen[0] == seen[1] == answers(lake) == oracle(lake) == five_answers(accepted(judge_files(raw)))
    assert shoplake.verify(str(lake), str(raw)).ok


@everywhere
@pytest.mark.usefixtures("unlocked")
def test_a_loser_leaves_nothing(place, monkeypatch):
    """What the loser of a race had written is gone."""
    raw, lake = place / "raw", place / "lake"
    put(raw, 0, events(20))
    once_before(monkeypatch, Commit, "publish", lambda: ingest(raw, lake))
    report, _ = noted(raw, lake)
    assert report.batches == 0
    stored = {str(path) for path in lake.rglob("*.parquet")}
    assert stored == {file.path for table in Lake(str(lake)).view().tables.values() for file in table.files}


@everywhere
@pytest.mark.usefixtures("unlocked")
def test_two_first_runs(place, monkeypatch):
    """Two runs that make the lake at the same moment make one lake."""
    raw, lake = place / "raw", place / "lake"
    put(raw, 0, events(20))
    once_before(monkeypatch, Lake, "swap", lambda: ingest(raw, lake))
    ingest(raw, lake)
    monkeypatch.undo()
    ingest(raw, place / "fresh")
    assert dump(lake) == dump(place / "fresh")


@everywhere
@pytest.mark.usefixtures("unlocked")
def test_always_overtaken(place, monkeypatch):
    """A run that loses every race gives up with a message, and has changed nothing."""
    raw, lake = place / "raw", place / "lake"
    put(raw, 0, events(20))
    ingest(raw, lake)
    put(raw, 1, events(5, first=100))
    before = dump(lake)
    monkeypatch.setattr(Lake, "swap", lambda *_: None)
    monkeypatch.setattr("shoplake.lake.transact.ATTEMPTS", 3)
    with pytest.raises(TransientError, match="during each of 3 attempts") as given_up:
        ingest(raw, lake)
    assert isinstance(given_up.value.__cause__, LostRaceError)
    assert dump(lake) == before


@pytest.mark.usefixtures("unlocked")
def test_the_report_after_lost_races(tmp_path, monkeypatch):
    """Only what was published counts: a run that lost two races reports what an undisturbed one does, failures once."""
    raw, lake = tmp_path / "raw", tmp_path / "lake"
    for slot in range(3):
        put(raw, slot, events(10, first=10 * slot))
    ingest(raw, lake)
    cut(raw, 1)
    put(raw, 3, [*events(5, first=100), b"broken"])
    put(raw, 4, events(5, first=200))
    cut(raw, 4)
    shutil.copytree(lake, tmp_path / "copy")
    run = prepare(raw, lake)
    due = {file.path for file in run.source.list()} - {key(0)}
    moved = json.loads((lake / "catalog.json").read_text())
    losses = iter(range(2))
    real = Lake.swap

    def swap(self, base, metadata):
        if next(losses, None) is not None:
            return None
        return real(self, base, metadata)

    undisturbed = pipeline.ingest(prepare(raw, lake), due)
    shutil.rmtree(lake)
    (tmp_path / "copy").rename(lake)
    assert json.loads((lake / "catalog.json").read_text())["version"] == moved["version"]
    monkeypatch.setattr(Lake, "swap", swap)
    report = pipeline.ingest(prepare(raw, lake), due)
    assert next(losses, None) is None, "both races were lost"
    assert {failure["file"] for failure in report.failures} == {key(1), key(4)}
    report.seconds = undisturbed.seconds
    assert report == undisturbed


@pytest.mark.usefixtures("unlocked")
def test_a_programming_error_surfaces_as_itself(tmp_path, monkeypatch):
    """Also when another run commits at that moment: it is no lost race, so nothing is tried again."""
    raw, lake = tmp_path / "raw", tmp_path / "lake"
    put(raw, 0, events(20))
    ingest(raw, lake)
    put(raw, 1, events(5, first=100))
    calls = []

    def broken(*_):
        calls.append(1)
        monkeypatch.undo()
        ingest(raw, lake)
        raise TypeError("a fault of ours")

    monkeypatch.setattr(DuckDBEngine, "gold", broken)
    with pytest.raises(TypeError, match="a fault of ours"):
        ingest(raw, lake)
    assert calls == [1]


def test_a_missing_file_is_no_race(tmp_path):
    """A data file that is gone although nobody changed the lake is damage, said at once."""
    raw, lake = tmp_path / "raw", tmp_path / "lake"
    put(raw, 0, events(20))
    ingest(raw, lake)
    for file in Lake(lake).view()["events"].files:
        Path(file.path).unlink()
    put(raw, 1, events(5, first=10))
    run = prepare(raw, lake)
    notes: list[str] = []
    with pytest.raises(MissingFileError, match="is missing"):
        pipeline.ingest(replace(run, watchers=pipeline.Watchers(note=notes.append)))
    assert notes == []
