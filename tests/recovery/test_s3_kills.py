"""Runs on a lake on S3 may be killed at any moment: the next run ends as if nothing had been.

A few in every test run; 34 at seeded random moments and 10 at named steps with those of

    make proofs ARGS=tests/recovery/test_s3_kills.py
"""

import contextlib
import random
import time

import pytest

from shoplake import verify
from shoplake.errors import UsageError
from shoplake.lake.catalog import Lake
from tests.recovery import driver
from tests.recovery.processes import KILLED, Process
from tests.recovery.test_kills import changes, first_files, undisturbed
from tests.support import answers, dump, ingest, oracle, proofs

POINTS = ("after:swap",)
MORE = (
    "before:swap",
    *("after:write:9", "after:events", "before:write:1", "gold", "before:write:20"),
    *("before:quarantine", "after:quarantine", "after:ledger"),
)
MANY_BATCHES = "1"

pytestmark = pytest.mark.s3


def start(place, point, batch_bytes=str(10**9)):
    return Process(driver.main, place / "raw", place / "lake", point, batch_bytes)


@pytest.fixture(scope="module")
def truth(tmp_path_factory):
    """The tables after both steps, undisturbed, on local files."""
    return undisturbed(tmp_path_factory.mktemp("undisturbed"))


@pytest.fixture(scope="module")
def seconds(tmp_path_factory):
    """About how long a run takes that nobody kills, here and now."""
    folder = tmp_path_factory.mktemp("timed")
    first_files(folder / "raw")
    started = time.monotonic()
    assert start(folder, "never").ended() == (0, "")
    return time.monotonic() - started


def recovered(place, truth):
    """The next run brings the tables to the truth, the one after it finds nothing."""
    ingest(place / "raw", place / "lake")
    assert dump(place / "lake") == truth
    assert verify(str(place / "lake"), str(place / "raw"), threads=2).ok
    assert ingest(place / "raw", place / "lake").batches == 0


@pytest.mark.parametrize("seed", [1, *proofs(0, *range(2, 34))])
def test_killed_at_a_random_moment(s3_place, truth, seconds, seed, record_property):
    """SIGKILL at any moment of a lake's first run or a later one: readers see whole batches, the next run ends well."""
    rng = random.Random(seed)
    first_files(s3_place / "raw")
    if seed % 4:
        ingest(s3_place / "raw", s3_place / "lake")
    changes(s3_place / "raw")
    process = start(s3_place, "never", rng.choice((MANY_BATCHES, str(10**9))))
    if process.runs_for(rng.uniform(0.3, 1.1) * seconds):
        process.kill()
    end = process.ended()
    assert end in ((KILLED, ""), (0, ""))
    record_property("killed", end[0] != 0)
    record_property("version", Lake(str(s3_place / "lake")).view().version)
    with contextlib.suppress(UsageError):  # there may be no lake yet
        assert answers(s3_place / "lake") == oracle(s3_place / "lake")
    recovered(s3_place, truth)


@pytest.mark.parametrize("point", [*POINTS, *proofs(*MORE)])
def test_killed_at_a_step(s3_place, truth, point):
    """A kill at a named step of a run leaves the state before it or after it, and nothing between."""
    first_files(s3_place / "raw")
    ingest(s3_place / "raw", s3_place / "lake")
    before = dump(s3_place / "lake")
    changes(s3_place / "raw")
    assert start(s3_place, point).ended() == (KILLED, "")
    assert point == "after:swap" or dump(s3_place / "lake") == before
    assert answers(s3_place / "lake") == oracle(s3_place / "lake")
    recovered(s3_place, truth)


def test_runs_at_once(s3_place, truth):
    """Three processes over the same arrivals, with no lock between them, give the tables of one, and none fails."""
    first_files(s3_place / "raw")
    ingest(s3_place / "raw", s3_place / "lake")
    changes(s3_place / "raw")
    processes = [start(s3_place, "never", size) for size in (str(10**9), MANY_BATCHES, str(10**9))]
    assert [process.ended() for process in processes] == [(0, "")] * 3
    recovered(s3_place, truth)


def test_first_runs_at_once(s3_place, tmp_path):
    """Two processes may make a lake at once."""
    first_files(s3_place / "raw")
    first_files(tmp_path / "raw")
    processes = [start(s3_place, "never") for _ in range(2)]
    assert [process.ended() for process in processes] == [(0, "")] * 2
    ingest(tmp_path / "raw", tmp_path / "lake")
    recovered(s3_place, dump(tmp_path / "lake"))
