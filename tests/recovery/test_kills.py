"""A run may be killed at any step: readers see the last published state, and the next run ends as if nothing had been."""

import pytest

from shoplake.errors import UsageError
from shoplake.settings import Settings
from tests.recovery import driver
from tests.recovery.processes import KILLED, Process
from tests.support import (
    accepted,
    answers,
    dump,
    event,
    events,
    five_answers,
    ingest,
    judge_files,
    key,
    oracle,
    proofs,
    put,
    snapshots,
)


def start(source, lake, point, batch_bytes=Settings.batch_bytes):
    return Process(driver.main, source, lake, point, batch_bytes)


def killed(source, lake, point, **settings):
    """An ingest in a process of its own that dies at a point."""
    assert start(source, lake, point, **settings).ended() == (KILLED, "")


def first_files(source):
    """Two files that share an event; the second has a broken line."""
    put(source, 0, [*events(20), event(100, "purchase", price=1.25)])
    put(source, 1, [*events(20, first=20), event(100, "purchase", price=1.25), b"broken"])


def changes(source):
    """What the killed run is about: a file replaced, whose event stands in another one, and a new file."""
    put(source, 0, [*events(15), event(101, "purchase", timestamp="2025-11-18T09:00:00Z"), b"broken, too"])
    put(source, 2, [*events(10, first=36), event(102, timestamp="2025-11-19T01:00:00Z"), event(103, user_id="")])


def undisturbed(folder):
    """The tables after both steps."""
    first_files(folder / "raw")
    ingest(folder / "raw", folder / "lake")
    changes(folder / "raw")
    ingest(folder / "raw", folder / "lake")
    return dump(folder / "lake")


@pytest.fixture(scope="module")
def truth(tmp_path_factory):
    """The tables after both steps, which are those of one run over all files."""
    folder = tmp_path_factory.mktemp("undisturbed")
    tables = undisturbed(folder)
    ingest(folder / "raw", folder / "fresh")
    assert tables == dump(folder / "fresh")
    return tables


@pytest.fixture
def source(tmp_path):
    first_files(tmp_path / "raw")
    return tmp_path / "raw"


@pytest.fixture
def lake(tmp_path):
    return tmp_path / "lake"


def recovered(source, lake, truth):
    """The next run brings the tables to the truth, the one after it finds nothing."""
    ingest(source, lake)
    assert dump(lake) == truth
    assert answers(lake) == oracle(lake) == five_answers(accepted(judge_files(source)))
    before = snapshots(lake)
    assert ingest(source, lake).batches == 0
    assert snapshots(lake) == before


POINTS = ("gold", "before:write:20", "before:swap")
MORE = (
    *("after:events", "after:ledger"),
    *("before:quarantine", "after:quarantine", "after:product_hourly", "after:session_hourly", "before:ledger"),
    *("before:write:1", "after:write:9"),
)


@pytest.mark.parametrize("point", [*POINTS, *proofs(*MORE)])
def test_killed_before_the_swap(source, lake, truth, point):
    """Until the catalog is swapped readers see the state before, whole; the next run does it all again."""
    ingest(source, lake)
    before, answered = dump(lake), answers(lake)
    changes(source)
    killed(source, lake, point)
    assert dump(lake) == before
    assert answers(lake) == answered == oracle(lake)
    recovered(source, lake, truth)


def test_killed_after_the_swap(source, lake, truth):
    """Once the catalog is swapped the batch is done; what it reopened is left to the next run."""
    ingest(source, lake)
    changes(source)
    killed(source, lake, "after:swap")
    assert answers(lake) == oracle(lake)
    assert [row["source_file"] for row in dump(lake)["ledger"] if row["status"] == "reopened"] == [key(1)]
    recovered(source, lake, truth)


@pytest.mark.parametrize("point", ["before:ledger:2", *proofs("after:events:2")])
def test_killed_in_the_second_batch(source, lake, truth, point):
    """A kill in a later batch leaves readers with the batches before it."""
    ingest(source, lake)
    changes(source)
    killed(source, lake, point)
    assert answers(lake) == oracle(lake)
    assert len([row for row in dump(lake)["ledger"] if row["source_file"] == key(2)]) == 1
    recovered(source, lake, truth)


def test_killed_twice(source, lake, truth):
    """A run that takes up a killed one may be killed as well."""
    ingest(source, lake)
    changes(source)
    killed(source, lake, "after:activity_daily")
    killed(source, lake, "after:product_hourly")
    recovered(source, lake, truth)


@pytest.mark.parametrize(
    "point",
    ["before:write", "before:swap:2", *proofs("after:swap", "after:write:5", "before:swap", "before:quarantine")],
)
def test_first_run_killed(source, lake, tmp_path, point):
    """A kill in a lake's very first run leaves no lake or an empty one, and the next run fills it."""
    killed(source, lake, point)
    try:
        assert not any(answers(lake).values())
    except UsageError as error:
        assert "there is no lake" in str(error)  # noqa: PT017 - both ends are right
    ingest(source, tmp_path / "fresh")
    recovered(source, lake, dump(tmp_path / "fresh"))


def test_source_changes_after_a_kill(source, lake, tmp_path):
    """If a file was replaced between the kill and the next run, only its newest version counts."""
    ingest(source, lake)
    changes(source)
    killed(source, lake, "before:ledger")
    put(source, 0, events(7))
    put(source, 2, events(7, first=300))
    ingest(source, tmp_path / "fresh")
    recovered(source, lake, dump(tmp_path / "fresh"))


def test_file_deleted_after_a_kill(source, lake, tmp_path):
    """If a file was deleted between the kill and the next run, nothing of the killed run's work on it is seen."""
    ingest(source, lake)
    new = source / put(source, 2, [*events(10, first=60), event(102, timestamp="2025-11-19T01:00:00Z"), b"broken"])
    killed(source, lake, "before:ledger")
    new.unlink()
    put(source, 3, events(5, first=200))
    ingest(source, tmp_path / "fresh")
    recovered(source, lake, dump(tmp_path / "fresh"))


def test_grouping_changes_after_a_kill(source, lake, tmp_path):
    """The next run may take the files in other batches than the killed one; each of its batches is consistent."""
    ingest(source, lake)
    put(source, 5, [event(102, "purchase", timestamp="2025-11-19T01:00:00Z"), *events(3, first=90)])
    killed(source, lake, "after:events")
    put(source, 4, [*events(2, first=90), event(200)])
    put(source, 3, [event(201)])
    ingest(source, tmp_path / "fresh")
    truth = dump(tmp_path / "fresh")
    ingest(source, lake, batch_bytes=1)
    assert dump(lake) == truth


def test_batches_after_a_kill_agree_with_themselves(source, lake):
    """After each batch the published tables agree with each other, also when the killed run had done another batch first."""
    ingest(source, lake)
    put(source, 5, [event(102, "purchase", timestamp="2025-11-19T01:00:00Z"), *events(3, first=90)])
    killed(source, lake, "after:events")
    put(source, 3, [event(201)])
    killed(source, lake, "after:swap", batch_bytes=1)
    tables = dump(lake)
    assert key(5) not in {row["source_file"] for row in tables["ledger"]}, "that is the next batch"
    assert answers(lake) == oracle(lake)
    assert sum(row["accepted"] for row in tables["ledger"]) == len(tables["events"])


def test_two_runs_at_once(source, lake, truth):
    """Two runs over the same arrivals give the tables of one, and neither fails."""
    ingest(source, lake)
    changes(source)
    processes = [start(source, lake, "never") for _ in range(2)]
    assert [process.ended() for process in processes] == [(0, "")] * 2
    assert dump(lake) == truth


def test_two_first_runs_at_once(source, lake, tmp_path):
    """Two runs may make a lake at once."""
    processes = [start(source, lake, "never") for _ in range(2)]
    assert [process.ended() for process in processes] == [(0, "")] * 2
    ingest(source, tmp_path / "fresh")
    assert dump(lake) == dump(tmp_path / "fresh")
