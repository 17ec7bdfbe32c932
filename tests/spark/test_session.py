"""Starting Spark: what is missing or wrong is one message, with what to do."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from shoplake.engines import spark_session
from shoplake.errors import ShoplakeError
from shoplake.lake.catalog import Lake
from tests.spark.interrupted import interrupted
from tests.support import events, proof, proofs, put

UNKNOWN = ("local[x]", r"Spark did not start: .*Could not parse Master URL: 'local\[x\]'")
NONSENSE = ("nonsense", "Spark did not start: .*JAVA_GATEWAY_EXITED")
NOBODY = ("spark://127.0.0.1:1", "Spark (did not|could not) start: ")  # after a minute, at one of several places


def test_message_of_a_missing_package(monkeypatch):
    """Without PySpark the message says what to install."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ShoplakeError, match="needs PySpark") as failed:
        spark_session.start(None, 1)
    assert "'.[spark]'" in failed.value.remedy


@pytest.mark.parametrize(("master", "message"), [UNKNOWN, *proofs(NONSENSE, NOBODY)])
def test_wrong_master(session, tmp_path, master, message):
    """A master that Spark does not know, or does not find, is an error of the call."""
    source, lake = tmp_path / "raw", tmp_path / "lake"
    put(source, 0, events(2))
    words = ("ingest", "--source", source, "--lake", lake, "--engine", "spark", "--master", master)
    done = subprocess.run(
        [sys.executable, "-m", "shoplake", *map(str, words)], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode in ({1, 2} if master == NOBODY[0] else {2})
    assert not done.stdout
    assert re.search(f"^[0-9-]+T[0-9:]+Z shoplake: {message}", done.stderr, re.MULTILINE)
    assert "Traceback" not in done.stderr


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("table", ["user_hourly", *proofs("events")])
def test_interrupted(session, tmp_path, table):
    """Ctrl-C while Spark works stops what the run has begun, and nothing else: the caller's own job ends, and Spark answers."""
    put(tmp_path / "raw", 0, events(2))
    assert interrupted(session, tmp_path / "raw", tmp_path / "lake", table) == ([7], 7)


@proof
@pytest.mark.usefixtures("interruptible", "session")
@pytest.mark.parametrize("table", ["events", "user_hourly"])
def test_interrupted_process(tmp_path, table):
    """In a process of its own: and neither Spark nor what carries the calls complains."""
    put(tmp_path / "raw", 0, events(2))
    words = [sys.executable, Path(__file__).with_name("interrupted.py"), tmp_path / "raw", tmp_path / "lake", table]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=100)
    assert (done.returncode, done.stdout) == (0, "[7] 7\n"), done.stderr
    assert "Traceback" not in done.stderr


def test_more_than_the_driver_may_collect(session, tmp_path):
    """The message of a bound that is too narrow says which, and what else helps."""
    from pyspark.errors import PySparkException

    from shoplake.engines.spark import SparkEngine

    told = (
        "Job aborted: Total size of serialized results of 3 tasks (1.1 GiB) is bigger than spark.driver.maxResultSize"
    )
    with (
        pytest.raises(ShoplakeError, match="maxResultSize") as failed,
        SparkEngine(session, Lake(tmp_path))._telling("go"),
    ):
        raise PySparkException(told)
    assert "SHOPLAKE_BATCH_BYTES" in failed.value.remedy
