"""``shoplake ingest``: what people and scripts meet."""

import csv
import io
import json
import signal
import subprocess
import sys

import pytest

from tests.behaviour.cli.support import tells
from tests.support import accepted, dump, events, everywhere, five_answers, judge_files, key, put


def test_ingest_json(shop):
    """The report of a run has the promised figures, and they add up."""
    report = json.loads((shop / "report.json").read_text())
    fixed = {"files", "replaced", "failed_files", "lines", "accepted", "duplicates", "quarantined", "seconds"}
    assert fixed | {"events_per_second"} <= set(report)
    found = {name: report[name] for name in sorted(fixed - {"seconds"})}
    assert found == {
        "accepted": 110,
        "duplicates": 10,
        "failed_files": 1,
        "files": 2,
        "lines": 122,
        "quarantined": 2,
        "replaced": 0,
    }
    assert report["seconds"] > 0
    assert report["events_per_second"] > 0


def test_ingest_again_json(shop, call):
    """A run that finds nothing reports zeros and exits with 0."""
    result = call("ingest", "--source", shop / "raw", "--lake", shop / "lake", "--format", "json")
    assert (result.code, result.err) == (0, "")
    assert {result.json[name] for name in ("files", "replaced", "failed_files", "lines", "accepted")} == {0}


def test_a_run_that_finds_nothing_loads_little(shop):
    """It is asked for every few minutes: no engine, nothing of Arrow but its files, and pandas even less."""
    code = (
        "import sys; from shoplake.cli.main import main; main();"
        "print(sorted({'duckdb', 'pyarrow.compute', 'pyarrow.dataset', 'pandas', 'pyspark'} & set(sys.modules)))"
    )
    words = ("ingest", "--source", shop / "raw", "--lake", shop / "lake", "--format", "json")
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.partition("\n[")[0])["files"] == 0
    assert done.stdout.splitlines()[-1] == "[]"


def test_ingest_for_a_person(call, tmp_path):
    """The summary has the sum of the lines, the reasons and what was set aside; the second run says nothing is new."""
    put(tmp_path / "raw", 0, [*events(20), b"broken", *events(1, first=1)])
    (tmp_path / "raw" / "bad.jsonl.gz").write_bytes(b"not gzip")
    words = ("ingest", "--source", tmp_path / "raw", "--lake", tmp_path / "lake")
    first = call(*words)
    assert first.code == 0
    assert "22 lines = 20 accepted + 1 duplicate + 1 quarantined" in first.out
    assert "malformed_json 1" in first.out
    assert "bad.jsonl.gz" in first.err
    assert "Nothing new" in call(*words).out


def test_ingest_csv(call, tmp_path):
    """As CSV the report is a header and a row."""
    put(tmp_path / "raw", 0, events(5))
    result = call("ingest", "--source", tmp_path / "raw", "--lake", tmp_path / "lake", "--format", "csv")
    (row,) = csv.DictReader(io.StringIO(result.out))
    assert (row["files"], row["lines"], row["accepted"]) == ("1", "5", "5")


@pytest.mark.parametrize("style", ["table", "json", "csv"])
def test_dry_run(call, tmp_path, style):
    """A dry run shows the files and makes nothing."""
    put(tmp_path / "raw", 0, events(5))
    words = ("ingest", "--source", tmp_path / "raw", "--lake", tmp_path / "lake", "--dry-run", "--format", style)
    result = call(*words)
    assert result.code == 0
    assert key(0) in result.out.replace("\n", "")
    assert not (tmp_path / "lake").exists()
    if style == "json":
        assert (result.json["files"], result.json["replaced"]) == (1, 0)


def absurd(source, slot, lines=1000):
    put(
        source, slot, [*(b'{"new": "schema", "number": %d}' % number for number in range(lines)), *events(5, first=900)]
    )


def test_breaker(call, tmp_path):
    """A batch in which most lines are broken stops with exit code 1 and its reasons, and changes nothing."""
    put(tmp_path / "raw", 0, events(20))
    words = ("ingest", "--source", tmp_path / "raw", "--lake", tmp_path / "lake")
    assert call(*words).code == 0
    before = dump(tmp_path / "lake")
    absurd(tmp_path / "raw", 1)
    result = call(*words)
    tells(result, 1, "1,000 of 1,005 lines", "missing_timestamp 1,000", "--max-quarantine-rate 1")
    assert dump(tmp_path / "lake") == before
    put(tmp_path / "raw", 1, events(5, first=900))
    assert call(*words).code == 0
    assert len(dump(tmp_path / "lake")["events"]) == 25


def test_breaker_can_be_told_to_go_on(call, tmp_path, monkeypatch):
    """The remedy that the breaker names works."""
    absurd(tmp_path / "raw", 1)
    monkeypatch.setenv("SHOPLAKE_MAX_QUARANTINE_RATE", "1")
    result = call("ingest", "--source", tmp_path / "raw", "--lake", tmp_path / "lake", "--format", "json")
    assert (result.code, result.json["quarantined"]) == (0, 1000)


def test_breaker_in_the_first_run(call, tmp_path):
    """A lake whose very first batch was stopped can be filled by the next run."""
    absurd(tmp_path / "raw", 0)
    words = ("ingest", "--source", tmp_path / "raw", "--lake", tmp_path / "lake")
    tells(call(*words), 1, "break the contract")
    put(tmp_path / "raw", 0, events(5))
    second = call(*words)
    assert (second.code, second.err) == (0, "")
    assert len(dump(tmp_path / "lake")["events"]) == 5


@pytest.mark.usefixtures("interruptible")
def test_watch(tmp_path):
    """Watching takes in what arrives while it runs, and ends on an interrupt with exit code 130 and no traceback."""
    put(tmp_path / "raw", 0, events(5))
    command = ["ingest", "--source", "raw", "--lake", "lake", "--watch", "0.1", "--format", "json"]
    with subprocess.Popen(
        [sys.executable, "-m", "shoplake", *command],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["lines"] == 5
        late = put(tmp_path, "waiting.jsonl.gz", events(7, first=5))
        (tmp_path / late).rename(tmp_path / "raw" / "late.jsonl.gz")
        while not (report := json.loads(process.stdout.readline()))["files"]:
            pass
        assert report["lines"] == 7
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in said


@everywhere
def test_from_first_to_last(call, place):
    """Every command that reads or changes a lake takes a folder and a prefix on S3 alike."""
    raw, lake = place / "raw", place / "lake"
    put(raw, 0, [*events(30), b"broken"])
    put(raw, 1, events(30, first=20))
    source, at, as_json = ("--source", raw), ("--lake", lake), ("--format", "json")
    assert call("ingest", *source, *at, "--dry-run", *as_json).json["files"] == 2
    assert call("ingest", *source, *at, *as_json).json["accepted"] == 50
    expected = five_answers(accepted(judge_files(raw)))
    (answer,) = call("query", "top_products", *at, *as_json).json
    assert [tuple(row) for row in answer["rows"]] == expected["top_products"]
    assert call("query", "--sql", "SELECT count(*) AS n FROM quarantine", *at, "--format", "csv").out.split()[-1] == "1"
    put(raw, 2, events(5, first=100))
    state = call("status", *source, *at, *as_json).json
    assert (state["lake"], state["waiting"]["files"]) == (str(lake), 1)
    assert "shoplake_" in call("status", *source, *at, "--format", "openmetrics").out
    assert call("ingest", *source, *at, *as_json).json["files"] == 1
    assert call("replay", *source, *at, "--files", str(raw / key(2)), *as_json).json["files"] == 1
    report = call("verify", *source, *at, *as_json)
    assert (report.code, report.json["ok"], report.json["source"]) == (0, True, str(raw))
    assert call("verify", *at, "--repair").code == 0
    assert {one["what"]: one["verdict"] for one in call("doctor", *source, *at, *as_json).json}["source"] == "ok"
