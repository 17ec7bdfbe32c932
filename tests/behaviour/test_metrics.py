"""Run metrics, state metrics and lineage events, read by the clients of those who take them."""

import json
import os
import signal
import sys
import time
from datetime import UTC, datetime

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as prometheus

from shoplake.engines.duckdb import DuckDBEngine
from shoplake.health import metrics, reporting
from shoplake.ingestion.report import RunReport
from tests.support import command, data_files, dump, event, events, ingest, prepare, put, put_bytes


@pytest.fixture
def source(tmp_path):
    """Two files: events, duplicates, broken lines; and one that cannot be read."""
    put(tmp_path / "raw", 0, [*events(20), *events(1, first=3)])
    put(tmp_path / "raw", 1, [*events(10, first=15), b"broken", event(5, user_id=None)])
    put_bytes(tmp_path / "raw", 2, b"not gzip")
    return tmp_path / "raw"


def run(source, *more, lake="lake"):
    return command("ingest", "--source", source, "--lake", source.parent / lake, *more)


def values(text):
    """Every sample of an OpenMetrics text by its name and its labels but the lake's."""
    return {
        (sample.name, *sorted(value for name, value in sample.labels.items() if name != "lake")): sample.value
        for family in openmetrics(text)
        for sample in family.samples
    }


# ------------------------------------------------------------------------------------------------------------ JSON lines


def test_json_lines(source, tmp_path):
    """Every run adds one line with its figures: what it did, when it ended, and that it did not fail."""
    path = tmp_path / "runs.jsonl"
    told = run(source, "--metrics-json", path, "--format", "json")
    assert told.code == 0
    run(source, "--metrics-json", path)
    first, second = map(json.loads, path.read_text().splitlines())
    assert first == {
        "at": first["at"],
        "ok": True,
        "error": None,
        "lake": str(tmp_path / "lake"),
        "source": str(source),
        **told.json,
    }
    assert (first["files"], first["failed_files"], first["accepted"]) == (2, 1, 25)
    assert (second["files"], second["batches"]) == (0, 0)
    assert first["at"] < second["at"] <= datetime.now(UTC).isoformat()


def test_a_failed_run_is_told(source, tmp_path, monkeypatch):
    """A run that failed tells why, and what it had done until then; its own exit code and message stay."""
    put(source, 40, [b"broken"] * 2000)
    monkeypatch.setenv("SHOPLAKE_BATCH_BYTES", "1")
    told = run(source, "--metrics-json", tmp_path / "runs.jsonl", "--metrics", tmp_path / "run.prom")
    assert (told.code, "break the contract" in told.err) == (1, True)
    line = json.loads((tmp_path / "runs.jsonl").read_text())
    assert (line["ok"], line["files"], line["batches"]) == (False, 2, 3)
    assert "break the contract" in line["error"]
    gauges = values((tmp_path / "run.prom").read_text())
    assert gauges["shoplake_last_run_success",] == 0
    assert gauges["shoplake_last_run_batches",] == 3


def test_a_run_on_nothing_tells_too(tmp_path):
    """An empty source is a run without figures."""
    (tmp_path / "raw").mkdir()
    assert run(tmp_path / "raw", "--metrics-json", tmp_path / "runs.jsonl").code == 0
    assert json.loads((tmp_path / "runs.jsonl").read_text())["files"] == 0


# ----------------------------------------------------------------------------------------------------------- OpenMetrics


def test_openmetrics_of_a_run(source, tmp_path):
    """The file holds the figures of the last run, valid for OpenMetrics and for the older format of the node exporter."""
    path = tmp_path / "run.prom"
    began = time.time()
    done = run(source, "--metrics", path, "--format", "json").json
    text = path.read_text()
    found = values(text)
    for name, figure in (
        ("success", 1),
        ("files", 2),
        ("unreadable_files", 1),
        ("replaced_files", 0),
        ("batches", 1),
        ("hours", 1),
        ("read_bytes", done["bytes"]),
    ):
        assert found[f"shoplake_last_run_{name}",] == figure, name
    assert began <= found["shoplake_last_run_timestamp_seconds",] <= time.time()
    assert found["shoplake_last_run_duration_seconds",] == pytest.approx(done["seconds"], abs=0.001)
    assert {key[1]: value for key, value in found.items() if key[0] == "shoplake_last_run_lines"} == {
        "accepted": done["accepted"],
        "duplicate": done["duplicates"],
        "quarantined": done["quarantined"],
        "erased": 0,
    }
    assert {key[1]: value for key, value in found.items() if "reasons" in key[0]} == done["reasons"]
    well_formed(text)
    run(source, "--metrics", path)
    assert values(path.read_text())["shoplake_last_run_files",] == 0
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["lake", "raw", "run.prom"], "nothing half written"


def well_formed(text):
    """Every family is a gauge with help, named after its unit; both parsers read the same samples."""
    families = list(openmetrics(text))
    assert text.endswith("\n# EOF\n")
    for family in families:
        assert family.type == "gauge"
        assert family.documentation.endswith(".")
        assert family.unit in ("", "seconds", "bytes")
        ends = next((unit for unit in ("seconds", "bytes") if family.name.endswith(f"_{unit}")), "")
        assert family.unit == ends, family.name
        assert all("lake" in sample.labels for sample in family.samples)
    older = {(s.name, tuple(sorted(s.labels.items()))): s.value for f in prometheus(text) for s in f.samples}
    assert older == {(s.name, tuple(sorted(s.labels.items()))): s.value for f in families for s in f.samples}
    assert older


def test_openmetrics_of_the_state(source, tmp_path):
    """Status tells the same figures as in its JSON, and each check."""
    run(source)
    put(source, 5, events(5, first=90))
    words = ("status", "--lake", tmp_path / "lake", "--source", source, "--format")
    told, state = command(*words, "openmetrics"), command(*words, "json").json
    assert (told.code, told.err) == (0, "")
    found = values(told.out)
    well_formed(told.out)
    assert found["shoplake_source_files",] == 3
    assert found["shoplake_unreadable_files",] == 1
    assert (found["shoplake_waiting_files",], found["shoplake_gap_slots",]) == (1, 2)
    assert found["shoplake_waiting_bytes",] == state["waiting"]["bytes"]
    arrival = datetime.fromisoformat(state["newest_arrival"])
    assert found["shoplake_newest_arrival_timestamp_seconds",] == pytest.approx(arrival.timestamp(), abs=1e-3)
    for table, rows in dump(tmp_path / "lake").items():
        assert found["shoplake_table_rows", table] == len(rows)
    failed = {check["check"]: float(check["verdict"] == "failed") for check in state["checks"]}
    assert {key[1]: value for key, value in found.items() if key[0] == "shoplake_check_failed"} == failed
    assert failed["readable"] == 1
    assert command(*words, "openmetrics", "--check").code == 1
    alone = values(command("status", "--lake", tmp_path / "lake", "--format", "openmetrics").out)
    assert ("shoplake_waiting_files",) not in alone
    assert ("shoplake_check_ok", "waiting") not in alone


@pytest.mark.parametrize("lake", ['a "quoted" lake', "back\\slash", "new\nline", "ünïcode"])
def test_labels_are_escaped(lake):
    """Any name of a lake comes back as it is."""
    record = metrics.RunRecord(datetime.now(UTC), lake, "raw", RunReport())
    families = list(openmetrics(metrics.text(metrics.of_run(record))))
    assert {sample.labels["lake"] for family in families for sample in family.samples} == {lake}


def test_unwritable_metrics(source, tmp_path):
    """Metrics that cannot be written are an error with what to do; the lake has the run all the same."""
    for option in ("--metrics", "--metrics-json"):
        told = run(source, option, tmp_path / "no" / "such" / "file", lake=option)
        assert told.code == 1
        assert "the metrics file" in told.err
        assert len(dump(tmp_path / option)["ledger"]) == 3


# --------------------------------------------------------------------------------------------------------------- lineage


@pytest.fixture
def lineage(tmp_path, monkeypatch):
    """The client writes its events to a file; gives them back."""
    for name in [name for name in os.environ if name.startswith("OPENLINEAGE")]:
        monkeypatch.delenv(name)
    path = tmp_path / "lineage.jsonl"
    monkeypatch.setenv("OPENLINEAGE__TRANSPORT__TYPE", "file")
    monkeypatch.setenv("OPENLINEAGE__TRANSPORT__LOG_FILE_PATH", str(path))
    monkeypatch.setenv("OPENLINEAGE__TRANSPORT__APPEND", "true")
    return lambda: [json.loads(line) for line in path.read_text().splitlines()]


def test_lineage_of_a_run(source, tmp_path, lineage):
    """START and COMPLETE of one run name the source, every table with its columns, and the rows that were written."""
    assert run(source, "--lineage").code == 0
    start, complete = lineage()
    assert (start["eventType"], complete["eventType"]) == ("START", "COMPLETE")
    assert start["run"]["runId"] == complete["run"]["runId"]
    assert start["eventTime"] <= complete["eventTime"]
    assert complete["job"]["name"] == "shoplake.ingest"
    (read,) = complete["inputs"]
    assert (read["namespace"], read["name"]) == ("file", str(source))
    assert [field["name"] for field in read["facets"]["schema"]["fields"]][:2] == ["timestamp", "user_id"]
    size = sum(path.stat().st_size for path in source.rglob("*.jsonl.gz"))
    told = read["inputFacets"]["inputStatistics"]
    assert (told["rowCount"], told["size"], told["fileCount"]) == (33, size, 3)
    tables = dump(tmp_path / "lake")
    del tables["erasures"]
    assert {one["name"] for one in complete["outputs"]} == {f"{tmp_path / 'lake'}/{name}" for name in tables}
    for written in complete["outputs"]:
        name = written["name"].rpartition("/")[2]
        told = written["outputFacets"]["outputStatistics"]
        assert (told["rowCount"], told["fileCount"]) == (len(tables[name]), len(data_files(tmp_path / "lake", name)))
        columns = [field["name"] for field in written["facets"]["schema"]["fields"]]
        assert set(columns) >= set(tables[name][0]), name
    assert "outputStatistics" not in start["outputs"][0]["outputFacets"]


def test_lineage_counts_every_batch(source, tmp_path, lineage, monkeypatch):
    """The rows of a run in several batches are summed, and a run with nothing new wrote none."""
    monkeypatch.setenv("SHOPLAKE_BATCH_BYTES", "1")
    run(source, "--lineage")
    run(source, "--lineage")
    events_, ledger = (
        [
            out["outputFacets"]["outputStatistics"]["rowCount"]
            for told in lineage()
            if told["eventType"] == "COMPLETE"
            for out in told["outputs"]
            if out["name"].endswith(f"/{table}")
        ]
        for table in ("events", "ledger")
    )
    assert (events_, ledger) == ([25, 0], [3, 0])


def test_lineage_of_a_failure(source, lineage):
    """A run that fails says so, with its message."""
    put(source, 40, [b"broken"] * 2000)
    assert run(source, "--lineage").code == 1
    start, fail = lineage()
    assert (start["eventType"], fail["eventType"]) == ("START", "FAIL")
    assert "break the contract" in fail["run"]["facets"]["errorMessage"]["message"]


def test_lineage_to_nowhere(source, monkeypatch, lineage, tmp_path):
    """A backend that does not take the events is told on stderr, and the run goes on."""
    monkeypatch.setenv("OPENLINEAGE__TRANSPORT__LOG_FILE_PATH", str(tmp_path / "no" / "such" / "folder"))
    told = run(source, "--lineage")
    assert told.code == 0
    assert "lineage event COMPLETE could not be sent" in told.err
    assert len(dump(tmp_path / "lake")["ledger"]) == 3


def test_lineage_configured_wrongly(source, monkeypatch, lineage):
    """A transport that the client does not know is a mistake to mend before the run."""
    monkeypatch.setenv("OPENLINEAGE__TRANSPORT__TYPE", "pigeon")
    told = run(source, "--lineage")
    assert told.code == 2
    assert "OpenLineage client cannot be set up" in told.err


def test_lineage_without_the_client(source, monkeypatch, tmp_path):
    """Without the client the option is a mistake that says what to install; nothing is done."""
    monkeypatch.setitem(sys.modules, "openlineage.client", None)
    told = run(source, "--lineage")
    assert (told.code, "'.[lineage]'" in told.err) == (2, True)
    assert not (tmp_path / "lake").exists()


def test_interrupted(source, lineage, monkeypatch):
    """A run that is interrupted is an aborted one."""

    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(DuckDBEngine, "gold", stopped)
    assert run(source, "--lineage").code == 130
    assert [told["eventType"] for told in lineage()] == ["START", "ABORT"]


@pytest.fixture
def not_ignored():
    """Signals that end a command do, even where the tests themselves run under nohup."""
    before = {number: signal.signal(number, signal.SIG_DFL) for number in (signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("not_ignored")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_ended_by_a_signal(source, lineage, monkeypatch, tmp_path, number):
    """SIGTERM and SIGHUP end a run like Ctrl-C: it is reported as ended, and nothing is published; a second one is ignored."""

    def ended(*_):
        try:
            signal.raise_signal(number)
        finally:
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(DuckDBEngine, "gold", ended)
    told = run(source, "--lineage", "--metrics", tmp_path / "run.prom", "--metrics-json", tmp_path / "runs.jsonl")
    assert (told.code, "stopped" in told.err) == (128 + number, True)
    assert values((tmp_path / "run.prom").read_text())["shoplake_last_run_success",] == 0
    line = json.loads((tmp_path / "runs.jsonl").read_text())
    assert (line["ok"], line["error"]) == (False, number.name)
    assert [told["eventType"] for told in lineage()] == ["START", "ABORT"]
    assert dump(tmp_path / "lake")["events"] == []
    assert signal.getsignal(number) is signal.SIG_DFL


def test_a_signal_that_is_ignored_stays_ignored(source, monkeypatch, tmp_path):
    """As SIGHUP is below nohup."""
    real = DuckDBEngine.gold

    def gold(*words):
        signal.raise_signal(signal.SIGHUP)
        return real(*words)

    monkeypatch.setattr(DuckDBEngine, "gold", gold)
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert run(source).code == 0
    finally:
        signal.signal(signal.SIGHUP, before)
    assert len(dump(tmp_path / "lake")["ledger"]) == 3


def test_watching(source, lineage, tmp_path):
    """Of many runs, those that find nothing new only refresh the gauges."""
    targets = reporting.Targets(str(tmp_path / "run.prom"), str(tmp_path / "runs.jsonl"), lineage=True)
    ready = prepare(source, tmp_path / "lake")
    for _ in range(3):
        reporting.ingest(ready, targets, watching=True)
    assert len((tmp_path / "runs.jsonl").read_text().splitlines()) == 1
    assert [told["eventType"] for told in lineage()] == ["START", "COMPLETE"]
    assert values((tmp_path / "run.prom").read_text())["shoplake_last_run_files",] == 0


def test_no_lineage_unless_asked(source, lineage, tmp_path):
    """Without the option nothing is sent, whatever the environment says."""
    run(source)
    assert not (tmp_path / "lineage.jsonl").exists()
    ingest(source, tmp_path / "other")
    assert not (tmp_path / "lineage.jsonl").exists()
