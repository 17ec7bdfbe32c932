"""What only the tests of Spark itself need."""

import runpy
import sys
from pathlib import Path

import pytest

from shoplake.engines import spark_session
from tests.support import skip_without

ROOT = Path(__file__).parents[2]
JOB = ROOT / "jobs" / "glue_build_pipeline.py"


@pytest.fixture
def iceberg(session):
    """A session of its own with Iceberg."""
    if "iceberg" not in session.conf.get("spark.jars.packages", ""):
        skip_without(spark_session.ICEBERG)
    return session.newSession()


@pytest.fixture
def glue(session, monkeypatch, capsys):
    """Runs the job with Glue's own library, as jobs/local.py does, and returns the lines it printed."""
    if sys.version_info >= (3, 12):
        pytest.skip("Glue's own library is for Python 3.11 alone: make test PYTHON=python3.11")
    import awsglue.job

    local = runpy.run_path(str(ROOT / "jobs" / "local.py"))["LocalJob"]
    monkeypatch.setattr(awsglue.job, "Job", local)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", [str(JOB), "--JOB_NAME", "shoplake", *map(str, arguments)])
        runpy.run_path(str(JOB), run_name="__main__")
        return capsys.readouterr().out.splitlines()

    return run
