"""Speculative execution: Spark does a slow task a second time beside itself, and counts the result of one attempt."""

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from shoplake.lake.catalog import Lake
from shoplake.operations.maintain.run import MaintenanceRequest, maintain
from tests.spark.test_parity import tables
from tests.support import answers, data_files, events, ingest, oracle, proof, put

ROOT = Path(__file__).parents[2]
HUNG = ("events", "user_hourly")


@proof
@pytest.mark.skipif(sys.platform != "linux", reason="takes two hosts: Linux alone has 127.0.0.2 beside 127.0.0.1")
def test_second_attempts(session, tmp_path):
    """Each row is there once; what the attempts that lost have written is named by nothing, and maintenance removes it."""
    source, lake = tmp_path / "raw", tmp_path / "spark"
    put(source, 0, [*events(20), *events(2), b"broken"])
    put(source, 1, events(20, first=20))
    ingest(source, tmp_path / "duckdb", engine="duckdb")
    subprocess.run(
        [sys.executable, Path(__file__).with_name("two_hosts.py"), source, lake, *HUNG],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])},
        check=True,
        timeout=500,
    )
    assert tables(lake) == tables(tmp_path / "duckdb")
    lost = {(lake / f"{table}-hung").read_text() for table in HUNG}
    named = {path for table in Lake(lake).view().tables for path in data_files(lake, table)}
    named |= {f"{path}.keys" for path in named}
    orphans = {str(path) for ending in ("parquet", "parquet.keys") for path in lake.rglob(f"*.{ending}")} - named
    assert len(lost) == len(HUNG)
    assert lost <= orphans

    for path in orphans:
        old = (datetime.now(UTC) - timedelta(days=2)).timestamp()
        os.utime(path, (old, old))
    report = maintain(MaintenanceRequest(Lake(lake), closed_after=timedelta(days=10000)))
    assert {file.location for file in report.removed} == orphans
    assert tables(lake) == tables(tmp_path / "duckdb")
    assert answers(lake) == oracle(lake)
