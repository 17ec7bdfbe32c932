"""Spark from S3 to S3, in turn with DuckDB: the tables that DuckDB alone makes in a folder."""

import os
import subprocess
import sys

import pytest

from tests.spark.test_parity import STEPS, tables
from tests.support import answers, dump, events, ingest, oracle, proof, proofs, put

pytestmark = pytest.mark.s3


@pytest.mark.parametrize("turns", ["sd", *proofs("sds")])
def test_turns(session, s3_place, tmp_path, turns):
    """Late, replaced, repeated and unreadable objects over several runs; readers see the same answers."""
    for step, turn in zip(STEPS, turns, strict=False):
        step(tmp_path / "raw")
        step(s3_place / "raw")
        ingest(tmp_path / "raw", tmp_path / "lake", engine="duckdb")
        ingest(s3_place / "raw", s3_place / "lake", engine={"s": "spark", "d": "duckdb"}[turn])
    assert tables(s3_place / "lake") == tables(tmp_path / "lake")
    assert answers(s3_place / "lake") == oracle(s3_place / "lake")
    assert ingest(s3_place / "raw", s3_place / "lake", engine="spark").batches == 0


@proof
def test_command_line(session, s3_place):
    """A Spark that the command starts reaches S3 by the environment alone."""
    source, lake = s3_place / "raw", s3_place / "lake"
    put(source, 0, events(20))
    ingest(source, lake, engine="duckdb")
    put(source, 1, events(20, first=20))  # the stored events of its hour are read by Spark itself
    words = ("ingest", "--source", source, "--lake", lake, "--engine", "spark")
    done = subprocess.run(
        [sys.executable, "-m", "shoplake", *map(str, words)],
        env={**os.environ, "AWS_EC2_METADATA_DISABLED": "true"},
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr
    assert {row["engine"] for row in dump(lake)["ledger"]} == {"duckdb", "spark"}
    assert len(dump(lake)["events"]) == 40
    assert answers(lake) == oracle(lake)
