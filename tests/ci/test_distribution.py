"""Which tests are left out, and which share a worker."""

import os
import subprocess
import sys
from pathlib import Path

from tests.conftest import Rounds
from tests.support import proof

ROOT = Path(__file__).parents[2]
PROOFS = "tests/recovery/test_replaying.py"
# On which worker each test runs.
SOME = """
import os
from pathlib import Path

from tests.support import proof
import pytest

@pytest.mark.parametrize("engine", ["duckdb", "spark"])
def test(engine):
    Path(__file__).with_suffix("." + engine).write_text(os.environ["PYTEST_XDIST_WORKER"])
"""


def run(*words, cwd=ROOT, **environment):
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "SHOPLAKE_"))}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *words]
    return subprocess.run(
        command, cwd=cwd, env=clean | environment, stdout=subprocess.PIPE, encoding="utf-8", check=False
    )


def test_proofs_are_left_out_unless_asked_for():
    done = run("--collect-only", "-q", "-m", "proof", PROOFS)
    assert done.returncode == 5
    assert "no tests collected" in done.stdout


def test_proofs_that_no_time_is_left_for_are_named():
    """They are no failure."""
    done = run("-m", "proof", PROOFS, SHOPLAKE_PROOFS="full", SHOPLAKE_PROOFS_UNTIL="0")
    assert done.returncode == 0
    assert f"no time was left for {PROOFS}::test_killed_before_the_swap\n" in done.stdout
    assert " 6 skipped" in done.stdout
    assert "passed" not in done.stdout


def test_every_family_of_proofs_gets_a_turn():
    """Before the next cases of any function, the first of all functions are tried."""
    rounds, cases = Rounds(), [f"test_file.py::{name}[{case}]" for name in ("test_a", "test_b") for case in range(6)]
    assert [rounds(case) for case in cases] == [0, 0, 0, 0, 1, 1] * 2
    assert [rounds(case) for case in cases] == [0, 0, 0, 0, 1, 1] * 2, "it stays what it was"


@proof
def test_spark_stays_on_one_worker(tmp_path):
    """Those of all files do, by their names alone; the other tests of the same files need not."""
    (tmp_path / "conftest.py").write_text("from tests.conftest import pytest_xdist_make_scheduler\n")
    for name in ("a", "b", "c"):
        (tmp_path / f"test_{name}.py").write_text(SOME)
    words = ("-n", "2", "--dist", "loadfile", "--no-loadscope-reorder", "--rootdir", tmp_path, tmp_path)
    done = run(*words, cwd=tmp_path, PYTHONPATH=str(ROOT))
    assert " 6 passed" in done.stdout
    workers = {engine: {path.read_text() for path in tmp_path.glob(f"*.{engine}")} for engine in ("duckdb", "spark")}
    assert len(workers["spark"]) == 1
    assert workers["spark"] != workers["duckdb"]
