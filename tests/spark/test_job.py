"""The Glue job and the command line with Spark: arguments in, the same lake out, harmless to repeat."""

import importlib.util
import itertools
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import shoplake
from shoplake.lake.catalog import Lake
from tests.recovery.test_proofs import STEPS
from tests.s3 import spark
from tests.spark.test_parity import tables
from tests.support import answers, command, dump, event, events, ingest, oracle, proof, proofs, put, snapshots

ROOT = Path(__file__).parents[2]
JOB = ROOT / "jobs" / "glue_build_pipeline.py"
KILLS = itertools.product(STEPS, ("duckdb", "spark"))


def test_job(glue, tmp_path):
    """It ingests what is new and commits; a retry by the service finds nothing new and changes nothing."""
    source, lake = tmp_path / "raw", tmp_path / "lake"
    put(source, 0, [*events(20), b"broken"])
    put(source, 1, events(20, first=15))
    said = glue("--source", source, "--lake", lake)
    assert said[0].startswith("job shoplake begins")
    assert said[-1] == "job committed"
    assert json.loads(said[-2])["accepted"] == 35
    assert answers(lake) == oracle(lake)
    before = snapshots(lake)
    said = glue("--source", source, "--lake", lake, "--job-bookmark-option", "job-bookmark-disable")
    assert (json.loads(said[-2])["batches"], said[-1]) == (0, "job committed")
    assert snapshots(lake) == before


@proof
def test_documented_command(glue, tmp_path):
    """The command of docs/spark.md, in a process of its own."""
    page = (ROOT / "docs" / "spark.md").read_text("utf-8")
    python, *words = next(line for line in page.splitlines() if line.startswith("python jobs/local.py")).split()
    put(tmp_path / "raw", 0, events(20))
    (tmp_path / "jobs").symlink_to(ROOT / "jobs")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
    done = subprocess.run([sys.executable, *words], cwd=tmp_path, env=environment, check=True, stdout=subprocess.PIPE)
    assert python == "python"
    assert done.stdout.endswith(b"job committed\n")
    assert len(dump(tmp_path / "lake")["events"]) == 20


def test_job_goes_on_in_batches(glue, tmp_path):
    """A bound on the batch is an argument; what is done is said after each."""
    put(tmp_path / "raw", 0, events(3))
    put(tmp_path / "raw", 1, [event(4)])
    said = glue("--source", tmp_path / "raw", "--lake", tmp_path / "lake", "--batch_bytes", 1)
    assert json.loads(said[-2])["batches"] == 2
    assert "1 files, 3 events so far" in said


def test_job_publishes(glue, tmp_path, monkeypatch):
    """With a database, the Data Catalog is told the tables' locations after each batch and once at the end."""
    told = []
    module = SimpleNamespace(publish=lambda view, database: told.append((database, view.version)))
    package = SimpleNamespace(glue_catalog=module, figures=SimpleNamespace(send=lambda *_: None))
    monkeypatch.setitem(sys.modules, "shoplake.aws", package)
    monkeypatch.setitem(sys.modules, "shoplake.aws.glue_catalog", module)
    put(tmp_path / "raw", 0, events(3))
    glue("--source", tmp_path / "raw", "--lake", tmp_path / "lake", "--database", "shop")
    version = Lake(tmp_path / "lake").view().version
    assert told == [("shop", version), ("shop", version)]


@proof
def test_graders_path(glue, session):
    """On an emulator of AWS, with the template's buckets, Data Catalog and arguments: all that `make grade` checks."""
    from infra import grade

    def run(stack):
        spark.reaches(session, os.environ)
        return grade.job_report(glue(*grade.job_arguments(stack)))

    assert grade.grade(200, run)


def test_job_before_its_package_is_there(glue, tmp_path, monkeypatch):
    """Right after create-stack, by hand: it says what to do next, and the run does not fail."""
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "shoplake" else real(name))
    (said,) = glue("--source", tmp_path / "raw", "--lake", tmp_path / "lake")
    assert (
        said
        == "Nothing to do yet: shoplake is not installed here. The stack's output NextStep says how: shoplake deploy"
    )
    assert not (tmp_path / "lake").exists()


def test_job_that_fails(glue, tmp_path):
    """A job that cannot go on ends with the error, uncommitted, so that the service repeats it."""
    put(tmp_path / "raw", 0, [*events(3), *[b"broken"] * 1000])
    with pytest.raises(Exception, match="break the contract"):
        glue("--source", tmp_path / "raw", "--lake", tmp_path / "lake")
    said = glue("--source", tmp_path / "raw", "--lake", tmp_path / "lake", "--max_quarantine_rate", 1)
    assert said[-1] == "job committed"


def test_command_line(session, tmp_path):
    """--engine spark gives the same report and the same tables as the default."""
    put(tmp_path / "raw", 0, [*events(20), b"broken"])
    words = ("ingest", "--source", tmp_path / "raw", "--format", "json")
    told = command(*words, "--lake", tmp_path / "spark", "--engine", "spark")
    duckdb = command(*words, "--lake", tmp_path / "duckdb")
    assert (told.code, told.err) == (0, "")
    timing = {"seconds", "events_per_second"}
    assert {name: value for name, value in told.json.items() if name not in timing} == {
        name: value for name, value in duckdb.json.items() if name not in timing
    }
    assert [row["engine"] for row in dump(tmp_path / "spark")["ledger"]] == ["spark"]
    replay = command("replay", "--source", tmp_path / "raw", "--lake", tmp_path / "duckdb", "--engine", "spark")
    assert replay.code == 2


def test_settings(tmp_path, monkeypatch):
    """The engine can be set in the environment; an unknown one is refused."""
    put(tmp_path / "raw", 0, events(3))
    monkeypatch.setenv("SHOPLAKE_ENGINE", "hadoop")
    told = command("ingest", "--source", tmp_path / "raw", "--lake", tmp_path / "lake")
    assert told.code == 2
    assert "engine must be duckdb or spark, not 'hadoop'" in told.err


@pytest.mark.parametrize(("step", "repaired_by"), proofs(*KILLS))
def test_killed_process(session, tmp_path, step, repaired_by):
    """A whole process with Spark in it is killed at a step; the next run, of either engine, ends what it began."""
    source, lake = tmp_path / "raw", tmp_path / "lake"
    put(source, 0, [*events(20), b"broken"])
    ingest(source, lake, engine="duckdb")
    put(source, 0, events(15))
    put(source, 1, [*events(10, first=12), event(900, timestamp="2025-11-18T03:00:00Z")])
    driver = ROOT / "tests" / "recovery" / "driver.py"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
    died = subprocess.run(
        [sys.executable, driver, source, lake, step, "1000000", "spark"],
        env=environment,
        check=False,
        timeout=300,
    )
    assert died.returncode == -signal.SIGKILL
    assert answers(lake) == oracle(lake)
    assert len(dump(lake)["events"]) == (23 if step == "after:swap" else 20)
    ingest(source, lake, engine=repaired_by)
    ingest(source, tmp_path / "fresh", engine="duckdb")
    assert tables(lake) == tables(tmp_path / "fresh")
    assert shoplake.verify(lake, source).ok
