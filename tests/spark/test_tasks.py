"""Tasks that die, are repeated or fail: what was written for nothing is never counted."""

from datetime import datetime
from itertools import product

import pytest

from shoplake.engines.base import CheckRequest
from shoplake.engines.spark_tasks import Writer, check, unpacked
from shoplake.errors import ContractError, FatalError
from shoplake.lake.catalog import Lake
from shoplake.lake.commits import Commit
from shoplake.lake.erasures import Erased
from shoplake.sources.local import LocalSource
from shoplake.storage.local import LocalStorage
from shoplake.tables import GOLD_HOURLY
from tests.spark.dying import DyingOnce, Full, run
from tests.spark.test_parity import tables
from tests.support import as_line, data_files, dump, event, events, ingest, key, proof, proofs, put, snapshots


def fill(source):
    """Two files that share an event, with a late one."""
    put(source, 0, [*events(20), *events(2), b"broken"])
    put(source, 1, [*events(20, first=19), event(900, timestamp="2025-11-18T03:00:00Z")])


def on_disk(lake, table):
    """How many data files of a table there are, whether a table names them or not."""
    return len(list((lake / table / "data").rglob("*.parquet")))


@pytest.mark.parametrize("table", ["events", *proofs("user_hourly")])
def test_repeated_task(session, tmp_path, table):
    """An executor's process dies after it wrote a file: Spark does the task again, and each row is there once."""
    fill(tmp_path / "raw")
    ingest(tmp_path / "raw", tmp_path / "duckdb", engine="duckdb")
    run(session, tmp_path / "raw", tmp_path / "spark", DyingOnce(tmp_path / "spark", table))
    assert tables(tmp_path / "spark") == tables(tmp_path / "duckdb")
    assert (tmp_path / "spark" / f"{table}-died").exists()
    assert on_disk(tmp_path / "spark", table) == len(data_files(tmp_path / "spark", table)) + 1


@pytest.mark.parametrize("table", ["user_hourly", *proofs("events")])
def test_task_that_fails(session, tmp_path, table):
    """A task that fails again and again ends the run with its cause; the lake is as it was.

    What other tasks have written is removed: there were data files of two tables of gold and of the events.
    """
    fill(tmp_path / "raw")
    ingest(tmp_path / "raw", tmp_path / "lake", engine="duckdb")
    written = ("events", *(name.name for name in GOLD_HOURLY))
    before, files = snapshots(tmp_path / "lake"), [on_disk(tmp_path / "lake", name) for name in written]
    put(tmp_path / "raw", 2, events(5, first=200))
    with pytest.raises(FatalError, match="No space left on device") as failed:
        run(session, tmp_path / "raw", tmp_path / "lake", Full(tmp_path / "lake", table))
    assert failed.value.remedy
    assert snapshots(tmp_path / "lake") == before
    assert [on_disk(tmp_path / "lake", name) for name in written] == files
    assert ingest(tmp_path / "raw", tmp_path / "lake", engine="spark").accepted == 5


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ([*events(5), *[b"broken"] * 1000], "1,000 of 1,005 lines"),
        (
            [event(number, "purchase" if number < 1000 else "page_view", price=None) for number in range(3000)],
            "that need price",
        ),
    ],
)
def test_breaker(session, tmp_path, lines, told):
    """A batch that the breaker stops leaves no data file behind."""
    put(tmp_path / "raw", 0, lines)
    with pytest.raises(ContractError, match=told):
        ingest(tmp_path / "raw", tmp_path / "lake", engine="spark")
    assert on_disk(tmp_path / "lake", "events") == 0


def test_breaker_sees_what_is_right(session, tmp_path):
    """As many purchases with a price as without one are no reason to stop."""
    put(
        tmp_path / "raw",
        0,
        [event(number, "purchase", **({"price": None} if number % 2 else {})) for number in range(2000)],
    )
    put(tmp_path / "raw", 1, [event(number) for number in range(3000, 5000)])
    assert ingest(tmp_path / "raw", tmp_path / "lake", engine="spark").quarantined == 1000


def test_quarantined_lines_travel_packed(tmp_path):
    """Spark bounds what comes back to the driver, and lines that break the same rule are alike."""
    lines = [as_line({**event(number), "event_type": "view"}) for number in range(2000)]
    put(tmp_path / "raw", 0, lines)
    source, storage = LocalSource(tmp_path / "raw"), LocalStorage(str(tmp_path / "lake"))
    (file,) = source.list()
    octets = check(file, CheckRequest(source, (), datetime(2030, 1, 1), Erased("")), Writer(storage))  # noqa: DTZ001
    assert len(octets) < sum(map(len, lines)) / 5
    assert [line.raw for line in unpacked(octets).quarantined] == lines


@pytest.mark.parametrize("engine", ["spark", *proofs("duckdb")])
def test_many_quarantined_lines_stay_on_executors(session, tmp_path, engine):
    """They are written where they were read, and the next run of either engine replaces them with their file."""
    source, lake = tmp_path / "raw", tmp_path / "lake"
    many = [b"broken %06d " % number + b"x" * 200 for number in range(6_000)]
    put(source, 0, [*events(5), *many])
    put(source, 1, [*events(5, first=10), b"broken"])
    done = ingest(source, lake, engine="spark", max_quarantine_rate=1)
    assert (done.accepted, done.quarantined) == (10, 6_001)
    assert len(data_files(lake, "quarantine")) == 2
    ingest(source, tmp_path / "duckdb", engine="duckdb", max_quarantine_rate=1)
    assert tables(lake) == tables(tmp_path / "duckdb")
    put(source, 0, events(5))
    assert ingest(source, lake, engine=engine).quarantined == 0
    assert [row["source_file"] for row in tables(lake)["quarantine"]] == [key(1)]


def test_many_quarantined_lines_of_a_stopped_batch(session, tmp_path):
    """The breaker speaks of them, and their files go."""
    put(tmp_path / "raw", 0, [*events(5), *[b"broken" + b"x" * 200] * 6_000])
    with pytest.raises(ContractError, match="6,000 of 6,005"):
        ingest(tmp_path / "raw", tmp_path / "lake", engine="spark")
    assert on_disk(tmp_path / "lake", "events") == on_disk(tmp_path / "lake", "quarantine") == 0


@proof
def test_lost_race(session, tmp_path, monkeypatch):
    """A run that comes second in a race plans again; what it wrote before is removed."""
    fill(tmp_path / "raw")
    real = Lake.swap
    lost: list[object] = []

    def swap(self, base, metadata):
        if base.version and not lost:
            lost.append(metadata)
            return None
        return real(self, base, metadata)

    monkeypatch.setattr(Lake, "swap", swap)
    assert ingest(tmp_path / "raw", tmp_path / "lake", engine="spark").accepted == 40
    assert lost
    assert on_disk(tmp_path / "lake", "events") == len(data_files(tmp_path / "lake", "events"))
    assert on_disk(tmp_path / "lake", "user_hourly") == len(data_files(tmp_path / "lake", "user_hourly"))


class Killed(BaseException):
    """The end of the driver: nothing is caught, removed or released."""


POINTS = ("check", "dedupe", "gold", "_hourly", "quarantine", "events", "activity_daily", "ledger", "swap")
FEW = [("_hourly", "spark")]
NEXT = [*FEW, *proofs(*sorted({*product(POINTS, ("duckdb", "spark"))} - {*FEW}))]


@pytest.mark.parametrize(("point", "repaired_by"), NEXT)
def test_killed_driver(session, tmp_path, monkeypatch, point, repaired_by):
    """A driver may be killed at any step: readers see the state before, and the next run of either engine ends it well."""
    source, lake = tmp_path / "raw", tmp_path / "lake"
    fill(source)
    ingest(source, lake, engine="duckdb")
    before = dump(lake)
    put(source, 0, [*events(15), event(901, "purchase", timestamp="2025-11-18T09:00:00Z"), b"broken, too"])
    put(source, 2, [*events(10, first=36), event(902, timestamp="2025-11-19T01:00:00Z")])
    with monkeypatch.context() as patch:
        die_after(patch, point)
        with pytest.raises(Killed):
            ingest(source, lake, engine="spark")
    assert dump(lake) == before
    ingest(source, lake, engine=repaired_by)
    ingest(source, tmp_path / "fresh", engine="duckdb")
    assert tables(lake) == tables(tmp_path / "fresh")
    assert ingest(source, lake, engine=repaired_by).batches == 0


def die_after(patch, point):
    """Let the driver end after a step of the engine, after a table's part of the commit, or instead of the swap."""
    from shoplake.engines.spark import SparkEngine

    def dying(real, due):
        def wrapper(*args, **more):
            result = real(*args, **more)
            if due(args):
                raise Killed
            return result

        return wrapper

    patch.setattr(Commit, "__exit__", lambda *_: None)
    patch.setattr(SparkEngine, "discard", lambda *_: None)
    if point in {"check", "dedupe", "gold", "_hourly"}:
        patch.setattr(SparkEngine, point, dying(getattr(SparkEngine, point), lambda _: True))
    elif point == "swap":
        patch.setattr(Lake, "swap", lambda *_: (_ for _ in ()).throw(Killed))
    else:
        patch.setattr(Commit, "replace", dying(Commit.replace, lambda args: args[1].name == point))
