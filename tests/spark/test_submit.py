"""``spark-submit``, as docs/spark.md shows it: on this machine, and in full on a YARN."""

import json
import os
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import boto3
import pytest
from moto import mock_aws

import shoplake
from tests.spark.test_parity import tables
from tests.spark.yarn import PACKAGES
from tests.support import dump, events, ingest, proof, put, skip_without

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "spark.md").read_text("utf-8")
PACK, SUBMIT = (block.split("```")[0] for block in PAGE.split("```sh\n")[1:] if "env.tar.gz" in block)
STEP = next(block.split("```")[0] for block in PAGE.split("```python\n")[1:] if "emr" in block)
JOB = "jobs/spark_submit.py"


def here(block, source, lake):
    """A block of the page with the locations of a test."""
    text = block.replace("s3://BUCKET/events", str(source)).replace("s3://BUCKET/lake", str(lake))
    return text.replace("'.[s3]'", f"'{ROOT}[s3]'").replace("python3.11", sys.executable)


def environment(**more):
    import pyspark

    home = str(Path(pyspark.__file__).parent)
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYSPARK_", "SHOPLAKE_"))}
    return {**clean, "SPARK_HOME": home, "PATH": f"{home}/bin{os.pathsep}{os.environ['PATH']}", **more}


def test_words_of_the_page(session, tmp_path, monkeypatch, capsys):
    """The file and the words of the documented command, in a Spark that runs already: the report, the tables, the exit code."""
    source, lake = tmp_path / "raw", tmp_path / "lake"
    put(source, 0, [*events(20), b"broken"])
    words = shlex.split(here(SUBMIT, source, lake).replace("\\\n", " "))
    words = words[words.index(JOB) :]
    monkeypatch.setattr(sys, "argv", words)
    runpy.run_path(str(ROOT / JOB), run_name="__main__")
    assert "21 lines = 20 accepted + 0 duplicates + 1 quarantined" in capsys.readouterr().out
    assert [row["engine"] for row in dump(lake)["ledger"]] == ["spark"]
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "missing") if word == str(source) else word for word in words])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(ROOT / JOB), run_name="__main__")
    assert ended.value.code == 2


@proof
def test_this_machine(session, tmp_path):
    """The file and the words of the documented command: the Spark that was submitted computes, its exit code is ours."""
    source, lake, log = tmp_path / "raw", tmp_path / "lake", tmp_path / "log"
    put(source, 0, [*events(20), b"broken"])
    words = shlex.split(here(SUBMIT, source, lake).replace("\\\n", " "))
    words = words[words.index(JOB) :]
    log.mkdir()
    options = ["--master", "local[1]", "--conf", "spark.eventLog.enabled=true", "--conf", f"spark.eventLog.dir={log}"]
    python = environment(PYSPARK_PYTHON=sys.executable, PYTHONPATH=str(ROOT / "src"))
    submit = ["spark-submit", *options]
    done = subprocess.run([*submit, *words], cwd=ROOT, env=python, check=True, capture_output=True, text=True)
    assert "21 lines = 20 accepted + 0 duplicates + 1 quarantined" in done.stdout
    ingest(source, tmp_path / "duckdb", engine="duckdb")
    assert tables(lake) == tables(tmp_path / "duckdb")
    told = [json.loads(line) for line in next(log.iterdir()).read_text("utf-8").splitlines()]
    masters = [one["Spark Properties"]["spark.master"] for one in told if "Spark Properties" in one]
    assert masters == ["local[1]"]
    assert sum(one["Event"] == "SparkListenerJobStart" for one in told) > 1

    missing = [str(tmp_path / "missing") if word == str(source) else word for word in words]
    failed = subprocess.run([*submit, *missing], cwd=ROOT, env=python, check=False, capture_output=True, text=True)
    assert failed.returncode == 2
    assert "missing is not a folder" in failed.stdout  # PythonRunner joins the two streams


@pytest.mark.usefixtures("no_aws")
def test_step_of_emr(monkeypatch):
    """The API takes it, and it submits what the command does, but for the driver, which runs in the cluster."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-west-2")
    with mock_aws():
        emr = boto3.client("emr")
        cluster = emr.run_job_flow(
            Name="one", Instances={"KeepJobFlowAliveWhenNoSteps": True}, ReleaseLabel="emr-7.12.0"
        )
        exec(STEP.replace("j-CLUSTER", cluster["JobFlowId"]))  # noqa: S102 - a block of our own page
        (step,) = emr.list_steps(ClusterId=cluster["JobFlowId"])["Steps"]
    words = SUBMIT.replace("--master yarn ", "").replace("mode client", "mode cluster").replace(JOB, Path(JOB).name)
    assert [word.removeprefix("s3://BUCKET/code/") for word in step["Config"]["Args"]] == shlex.split(
        words.replace("\\\n", " ")
    )


@pytest.fixture(scope="module")
def yarn(session, tmp_path_factory):
    """The configuration of a YARN of two nodes, and a folder with the environment packed as the page says."""
    folder = tmp_path_factory.mktemp("yarn")
    words = [sys.executable, Path(__file__).with_name("yarn.py"), folder]
    with (
        (folder / "log").open("w") as log,
        subprocess.Popen(
            words, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, env=environment()
        ) as cluster,
    ):
        assert cluster.stdin
        assert cluster.stdout
        said: list[str] = []
        while not said or said[-1] not in {"up\n", ""}:
            said.append(cluster.stdout.readline())  # Ivy's words come first
        if not said[-1]:
            told = "".join(said) + (folder / "log").read_text("utf-8")
            assert "unresolved dependency" in told, told
            skip_without(*PACKAGES)
        subprocess.run(["bash", "-euc", here(PACK, "", "")], cwd=folder, check=True)
        (folder / "jobs").symlink_to(ROOT / "jobs")
        yield folder
        cluster.stdin.close()


@proof
@pytest.mark.parametrize("mode", ["client", "cluster"])
def test_yarn(yarn, tmp_path, mode):
    """The documented commands whole, driver here and driver in the cluster; nothing but the archive brings shoplake."""
    source, lake = tmp_path / "raw", tmp_path / "lake"
    put(source, 0, [*events(20), *events(2), b"broken"])
    put(source, 1, events(20, first=15))
    small = "--executor-memory 512m --driver-memory 1g"
    text = here(SUBMIT, source, lake).replace("memoryOverhead=4g", f"memoryOverhead=1g {small}")
    text = text.replace("--deploy-mode client", f"--deploy-mode {mode}")
    subprocess.run(["bash", "-euc", text], cwd=yarn, env=environment(HADOOP_CONF_DIR=str(yarn)), check=True)
    ingest(source, tmp_path / "duckdb", engine="duckdb")
    assert tables(lake) == tables(tmp_path / "duckdb")
    assert shoplake.verify(lake, source).ok
