"""Kills and races, each followed by a full verification.

`make test` does a few at random moments (at named steps: test_kills.py), `make proofs` all others: 200 kills and 20 rounds of
four runs at once.
"""

import json
import random
import time
from contextlib import suppress
from pathlib import Path

import fastavro
import pytest

import shoplake
from shoplake.errors import UsageError
from shoplake.settings import Settings
from tests.judge import accepted, judge_files
from tests.recovery import arrivals, driver
from tests.recovery.processes import KILLED, Process
from tests.support import answers, dump, five_answers, ingest, oracle, proofs, snapshots

TABLES = (
    *("quarantine", "events", "product_hourly", "user_hourly", "session_hourly"),
    *("activity_daily", "ledger"),
)
STEPS = ("gold", "before:swap", "after:swap", *(f"{when}:{table}" for table in TABLES for when in ("before", "after")))
MOMENTS, WRITES, ROUNDS, RUNS = 100, 60, 20, 4
KILLS = [
    *(f"moment {number}" for number in range(MOMENTS)),
    *STEPS,
    *(f"{when}:write:{turn}" for turn in range(1, WRITES) for when in ("before", "after")),
][:200]


def start(source, lake, point, batch_bytes):
    """A process that is ready to run."""
    return Process(driver.main, source, lake, point, batch_bytes, waits=True)


@pytest.fixture(scope="module")
def usual_seconds(tmp_path_factory):
    """How long a run works when nobody kills it."""
    folder = tmp_path_factory.mktemp("usual")
    arrivals.first(folder / "raw", 0)
    process = start(folder / "raw", folder / "lake", "never", 1)
    started = time.perf_counter()
    process.go()
    assert process.ended() == (0, "")
    return time.perf_counter() - started


def whole(source, lake, fresh):
    """The lake is verified, and its tables are those of a run that nothing disturbed."""
    report = shoplake.verify(lake, source)
    assert report.ok, report.as_json()
    ingest(source, fresh)
    assert dump(lake) == dump(fresh)
    assert answers(lake) == oracle(lake) == five_answers(accepted(judge_files(source)))


@pytest.mark.parametrize("kill", [KILLS[0], *proofs(*KILLS[1:])])
def test_a_kill(tmp_path, usual_seconds, kill):
    """Wherever a run is killed, readers see whole batches and the next run brings all tables to where they belong."""
    raw, lake = tmp_path / "raw", tmp_path / "lake"
    rng = random.Random(kill)
    arrivals.first(raw, kill)
    if rng.random() < 0.75:
        ingest(raw, lake)
        arrivals.later(raw, kill)
    batch_bytes = rng.choice((1, Settings.batch_bytes))
    for _ in range(rng.choice((1, 1, 1, 2))):
        process = start(raw, lake, "never" if kill.startswith("moment") else kill, batch_bytes)
        process.go()
        if kill.startswith("moment"):
            process.runs_for(rng.uniform(0, usual_seconds))
            process.kill()
        code, said = process.ended()
        assert (code, said) in ((KILLED, ""), (0, "")), said
        assert code or ":write:" in kill or kill.startswith("moment"), "the step was not reached"
        with suppress(UsageError):  # there may be no lake yet
            assert answers(lake) == oracle(lake)
            assert shoplake.verify(lake).ok
    arrivals.later(raw, kill)
    ingest(raw, lake)
    whole(raw, lake, tmp_path / "fresh")
    before = snapshots(lake)
    assert ingest(raw, lake).batches == 0
    assert snapshots(lake) == before


@pytest.mark.parametrize("number", [0, *proofs(*range(1, ROUNDS))])
def test_runs_at_once(tmp_path, number):
    """Four runs at once over the same arrivals end as one, whether they wait for each other or race."""
    raw, lake = tmp_path / "raw", tmp_path / "lake"
    rng = random.Random(number)
    arrivals.first(raw, number)
    if number % 4:
        ingest(raw, lake)
        arrivals.later(raw, number)
    point = "unlocked" if number % 2 == 0 else "never"
    processes = [start(raw, lake, point, rng.choice((1, Settings.batch_bytes))) for _ in range(RUNS)]
    for process in processes:
        process.go()
    assert [process.ended() for process in processes] == [(0, "")] * RUNS
    whole(raw, lake, tmp_path / "fresh")


def named(lake):
    """Every file that a lake's catalog leads to, found without the code under test."""
    catalog = json.loads((lake / "catalog.json").read_text())
    found = {lake / "catalog.json"}
    for location in catalog["tables"].values():
        metadata = json.loads((lake / location).read_text())
        found |= {
            lake / location,
            (lake / location).with_name("version-hint.text"),
            *(Path(one["metadata-file"]) for one in metadata["metadata-log"]),
        }
        for snapshot in metadata["snapshots"]:
            found.add(Path(snapshot["manifest-list"]))
            for manifest in _avro(snapshot["manifest-list"]):
                found.add(Path(manifest["manifest_path"]))
                entries = _avro(manifest["manifest_path"])
                found |= {Path(entry["data_file"]["file_path"]) for entry in entries if entry["status"] != 2}
    return found | {path for path in lake.rglob("*.keys") if path.with_suffix("") in found}


def _avro(location):
    with Path(location).open("rb") as stream:
        return list(fastavro.reader(stream))


def test_orphans_of_kills_are_counted_and_do_no_harm(tmp_path):
    """What killed runs left is a note of verify with its number and bytes, and no difference."""
    raw, lake = tmp_path / "raw", tmp_path / "lake"
    arrivals.first(raw, 0)
    ingest(raw, lake)
    arrivals.later(raw, 0)
    for _ in range(2):
        process = start(raw, lake, "before:swap", Settings.batch_bytes)
        process.go()
        assert process.ended() == (KILLED, "")
    for _ in range(2):
        report = shoplake.verify(lake, raw)
        assert report.ok
        notes = {note.what: note for note in report.notes}
        left = {path for path in lake.rglob("[!.]*") if path.is_file()} - named(lake)
        assert left
        figures = notes["orphans"].more
        assert (figures["files"], figures["bytes"]) == (len(left), sum(path.stat().st_size for path in left))
        ingest(raw, lake)
