"""A replay of quarantined lines may be killed at any step, or run twice at once: each line moves once, or not yet."""

import pytest

from shoplake.engines.duckdb import DuckDBEngine
from shoplake.lake.catalog import Lake
from shoplake.operations.quarantine.contents import LineFilter
from shoplake.operations.quarantine.replay import QuarantineReplay, replay
from shoplake.settings import Settings
from tests.recovery import replaying
from tests.recovery.processes import KILLED, Process
from tests.support import answers, command, dump, event, events, ingest, key, oracle, proofs, put, snapshots

HOURS = 1_000_000
"""With this max_future_hours the future of a century is in bounds."""


def start(lake, point):
    return Process(replaying.main, lake, point, HOURS)


def ahead(number):
    return event(number, "purchase", timestamp=f"2100-01-01T0{number % 3}:00:00.{number:06}Z")


def first_files(source):
    """Lines of the far future, some of them twice, and broken ones."""
    put(source, 0, [*events(10), *map(ahead, range(6)), ahead(3), b"broken"])
    put(source, 1, [*events(10, first=20), ahead(2), ahead(8), event(3, user_id="")])


def another_file(source):
    """One of those lines, when it is not the future any more."""
    put(source, 2, [*events(10, first=40), ahead(5), ahead(9)])


@pytest.fixture
def shop(tmp_path):
    """A lake with quarantined lines that pass by now, one of them an event of a later file."""
    source, lake = tmp_path / "raw", tmp_path / "lake"
    first_files(source)
    ingest(source, lake)
    another_file(source)
    ingest(source, lake, max_future_hours=HOURS)
    return source, lake


@pytest.fixture(scope="module")
def truth(tmp_path_factory):
    """The tables that one run over the same files with the wider bound gives."""
    folder = tmp_path_factory.mktemp("undisturbed")
    first_files(folder / "raw")
    another_file(folder / "raw")
    ingest(folder / "raw", folder / "lake", max_future_hours=HOURS)
    return dump(folder / "lake")


def recovered(lake, truth):
    """The next replay brings the tables to the truth, the one after it finds nothing to do."""
    run = QuarantineReplay(Lake(lake), lambda: DuckDBEngine(2), Settings(max_future_hours=HOURS))
    replay(run, LineFilter())
    assert dump(lake) == truth
    assert answers(lake) == oracle(lake)
    before = snapshots(lake)
    assert replay(run, LineFilter()).batches == 0
    assert snapshots(lake) == before


POINTS = ("before:swap",)
MORE = ("gold", "after:quarantine", "after:events", "before:ledger", "before:write", "after:write:7")


@pytest.mark.parametrize("point", [*POINTS, *proofs(*MORE)])
def test_killed_before_the_swap(shop, truth, point):
    """Until the catalog is swapped no line has moved; the next replay moves each once."""
    _, lake = shop
    before = dump(lake)
    assert start(lake, point).ended() == (KILLED, "")
    assert dump(lake) == before
    assert answers(lake) == oracle(lake)
    recovered(lake, truth)


def test_killed_after_the_swap(shop, truth):
    """Once the catalog is swapped all lines have moved; an ingest finds nothing to do, and verify nothing wrong."""
    source, lake = shop
    assert start(lake, "after:swap").ended() == (KILLED, "")
    assert dump(lake) == truth
    assert ingest(source, lake).batches == 0
    assert command("verify", "--lake", lake, "--source", source).code == 0
    recovered(lake, truth)


def test_two_at_once(shop, truth):
    """Two replays at once move each line once, and neither fails."""
    _, lake = shop
    processes = [start(lake, "never") for _ in range(2)]
    assert [process.ended() for process in processes] == [(0, "")] * 2
    assert dump(lake) == truth
    assert {row["source_file"] for row in dump(lake)["quarantine"]} == {key(0), key(1)}
