"""Maintenance beside ingests, replays, erasures, readers and itself."""

from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from threading import Thread

import pytest

import shoplake
from shoplake.errors import TransientError
from shoplake.lake.catalog import Lake
from shoplake.lake.commits import Commit
from shoplake.operations.maintain import vacuum
from shoplake.operations.maintain.run import MaintenanceRequest, maintain
from tests.behaviour.maintain.support import LATER, NEXT_DAY, at, between, hours, right, some, stored, tidy
from tests.support import ingest, put


@pytest.mark.parametrize("locks", [True, False])
def test_ingest_in_between(shop, monkeypatch, locks):
    """A batch that comes while files are merged is kept, and the merged files are not written again."""
    if not locks:
        monkeypatch.setattr(Lake, "lock", lambda *_: nullcontext())

    def other():
        put(shop / "raw", 2 * NEXT_DAY, some(2 * NEXT_DAY))
        assert ingest(shop / "raw", shop / "lake").batches == 1

    between(monkeypatch, other)
    notes: list[str] = []
    tidy(shop / "lake", note=notes.append)
    assert notes == []
    assert hours(shop / "lake") == [1, 1, 1, 1]
    assert right(shop)


def test_replaced_in_between(shop, monkeypatch):
    """Of what another run replaced meanwhile, nothing that was merged is published; it is planned and merged anew."""

    def other():
        put(shop / "raw", 4, [at(4, 500, "purchase")])
        assert ingest(shop / "raw", shop / "lake").replaced == 1

    between(monkeypatch, other)
    notes: list[str] = []
    tidy(shop / "lake", note=notes.append)
    assert [note for note in notes if "planning again" in note]
    assert hours(shop / "lake") == [1, 1, 1]
    assert right(shop)
    assert not leftovers(shop / "lake")


def leftovers(lake):
    """Data files that no kept snapshot names."""
    return [path for path in vacuum.find(Lake(lake), LATER, timedelta(0)).all if path.location.endswith(".parquet")]


@pytest.mark.usefixtures("own_data_files")
@pytest.mark.usefixtures("unlocked")
def test_overtaken_at_the_swap(shop, monkeypatch):
    """Without a lock, a swap that another run wins is tried again from the newer state."""
    real, turns = Lake.swap, iter([2 * NEXT_DAY, 2 * NEXT_DAY + 1])

    def overtaken(*args):
        for slot in turns:
            put(shop / "raw", slot, some(slot))
            ingest(shop / "raw", shop / "lake")
            break
        return real(*args)

    monkeypatch.setattr(Lake, "swap", overtaken)
    tidy(shop / "lake")
    assert hours(shop / "lake") == [1, 1, 1, 2]
    assert right(shop)


def test_always_overtaken(shop, monkeypatch):
    """When others change the lake all the time, maintenance gives up, says so, and leaves no files."""
    monkeypatch.setattr(Lake, "swap", lambda *_: None)
    monkeypatch.setattr("shoplake.lake.transact.ATTEMPTS", 2)
    before = stored(shop / "lake")
    with pytest.raises(TransientError, match="could not publish merged files"):
        tidy(shop / "lake")
    assert stored(shop / "lake") == before


def test_slow_merge(shop, monkeypatch):
    """Merged files that are so old that another maintenance may have removed them are not published."""
    monkeypatch.setattr("shoplake.operations.maintain.run.MAX_PASSES", 2)
    times = iter(LATER + number * timedelta(minutes=31) for number in range(1000))
    before = stored(shop / "lake")
    with pytest.raises(TransientError, match="still something to merge"):
        maintain(MaintenanceRequest(Lake(shop / "lake"), now=lambda: next(times)))
    assert stored(shop / "lake") == before


def test_erasure_in_between(shop, monkeypatch):
    """Once another run forgot the history and removed all the rest at once, files merged before are not published."""

    def other():
        lake = Lake(shop / "lake")
        with Commit(lake, lake.view(), datetime.now(UTC).replace(tzinfo=None), {}) as commit:
            commit.expire_snapshots()
            commit.publish()
        vacuum.remove(lake, vacuum.find(lake, LATER, timedelta(0)))

    between(monkeypatch, other)
    tidy(shop / "lake")
    assert hours(shop / "lake") == [1, 1, 1]
    assert right(shop)


def test_two_at_once_beside_ingests(shop):
    """Maintenance again and again, twice at a time, while files come and are replaced: the tables are right in the end."""
    failed: list[BaseException] = []

    def again_and_again():
        try:
            while not done:
                tidy(shop / "lake")
        except TransientError:
            pass  # fair beside runs that do nothing but change the lake
        except BaseException as error:
            failed.append(error)
            raise

    done: list[bool] = []
    threads = [Thread(target=again_and_again) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for slot in range(100, 106):
            put(shop / "raw", slot, some(slot))
            put(shop / "raw", 2 * (slot - 100), [*some(slot - 90), at(slot, 77)])
            ingest(shop / "raw", shop / "lake")
    finally:
        done.append(True)
        for thread in threads:
            thread.join()
    assert failed == []
    tidy(shop / "lake")
    assert right(shop)


def test_open_readers_read_on(shop):
    """Who opened the lake before sees the same rows after it."""
    with shoplake.open(shop / "lake", threads=2) as reader:
        before = [reader.query(number).fetchall() for number in range(1, 6)]
        tidy(shop / "lake")
        tidy(shop / "lake")
        assert [reader.query(number).fetchall() for number in range(1, 6)] == before
        assert reader.sql("SELECT count(*) FROM events").fetchall() == [(143,)]
