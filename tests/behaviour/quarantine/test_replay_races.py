"""A replay of quarantined lines that is overtaken, or finds damage, does nothing by halves."""

import pytest

from shoplake.engines.duckdb import DuckDBEngine
from shoplake.errors import FatalError
from shoplake.lake.catalog import Lake
from shoplake.lake.commits import Commit
from tests.behaviour.quarantine.support import LATE, ahead, ingest_at, replay_at, truth, verified
from tests.support import answers, command, dump, events, key, ledger, once_before, oracle, put

POINTS = (
    (DuckDBEngine, "judge", "replay"),
    (DuckDBEngine, "judge", "ingest"),
    (DuckDBEngine, "dedupe", "ingest"),
    (DuckDBEngine, "gold", "replay"),
    (Commit, "publish", "replay"),
    (Commit, "publish", "ingest"),
)


@pytest.mark.usefixtures("unlocked")
@pytest.mark.parametrize(("cls", "method", "other"), POINTS)
def test_overtaken(shop, monkeypatch, cls, method, other):
    """Overtaken at any step by another replay or an ingest, it plans again, and each line moves once."""
    source, lake = shop

    def overtake():
        if other == "replay":
            assert replay_at(LATE, lake).accepted == 7
        else:
            put(source, 1, [*events(5, first=20), ahead(9), ahead(30)])
            put(source, 4, [ahead(1, "purchase"), ahead(2, "purchase")])
            assert ingest_at(LATE, source, lake).files == 2

    once_before(monkeypatch, cls, method, overtake)
    done = replay_at(LATE, lake)
    monkeypatch.undo()
    assert done.lines == (4 if other == "replay" else 12)
    truth(source, lake)


@pytest.mark.usefixtures("unlocked")
@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_erased_people_stay_away(shop, monkeypatch, when):
    """A replay after an erasure, or overtaken by one, keeps its count and brings nothing of the person back."""
    source, lake = shop

    def erase():
        assert command("erase", "--lake", lake, "--user", "u_2", "--yes").code == 0

    if when == "before":
        erase()
    else:
        once_before(monkeypatch, DuckDBEngine, "dedupe", erase)
    done = replay_at(LATE, lake)
    monkeypatch.undo()
    assert done.accepted == 5, "seven without the events 2 and 9 of u_2"
    assert "u_2" not in {row["user_id"] for row in dump(lake)["events"]}
    assert all(row["erased"] for path, row in ledger(lake).items() if path == key(0))
    verified(source, lake)
    assert answers(lake) == oracle(lake)


def test_always_overtaken(shop, monkeypatch):
    """A replay that loses every race gives up with a message and has changed nothing."""
    _, lake = shop
    before = dump(lake)
    monkeypatch.setattr(Lake, "swap", lambda *_: None)
    monkeypatch.setattr("shoplake.lake.transact.ATTEMPTS", 3)
    told = command("quarantine", "replay", "--lake", lake)
    assert (told.code, "could not publish replayed lines" in told.err) == (1, True)
    assert dump(lake) == before


def test_damage_is_not_papered_over(shop):
    """Where the lake does not hold what its ledger counts, a replay refuses, and verify still finds it."""
    _, lake = shop
    view = Lake(lake).view()
    with Commit(Lake(lake), view, LATE, {}) as commit:
        commit.replace(view["events"].table, [key(0)], [])
        commit.publish()
    with pytest.raises(FatalError, match=r"has 0 events and 7 quarantined lines of .*, but its ledger counts 10 and 7"):
        replay_at(LATE, lake)
    assert command("verify", "--lake", lake).code == 1


def test_full_disk(shop, monkeypatch):
    """Without room it fails with a clear message, leaves no file behind, and the same command does it later."""
    source, lake = shop
    before, files = dump(lake), sorted(lake.rglob("*.parquet"))

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Lake(lake).storage.__class__, "write", full)
        told = command("quarantine", "replay", "--lake", lake)
    assert (told.code, "No space left" in told.err) == (1, True)
    assert (dump(lake), sorted(lake.rglob("*.parquet"))) == (before, files)
    replay_at(LATE, lake)
    truth(source, lake)
