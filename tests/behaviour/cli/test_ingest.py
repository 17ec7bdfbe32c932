"""``shoplake ingest``: what people and scripts meet."""

import csv
import io
import json
import re
import signal
import subprocess
import sys
from datetime import UTC, datetime
from functools import partial
from importlib import import_module

import pytest

from shoplake.cli.log import LOG
from shoplake.cli.watch import Watch
from shoplake.engines.native import library
from tests.behaviour.cli.support import tells
from tests.support import accepted, dump, event, events, everywhere, five_answers, judge_files, key, put


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


@pytest.mark.parametrize("new", [False, True], ids=["nothing new", "a file"])
def test_a_run_loads_little(shop, tmp_path, new):
    """It is asked for every few minutes: DuckDB for lines that are not plain, and pandas never, though it is installed here."""
    heavy = {"pandas", "pyspark", "pyarrow.dataset"} | (set() if new else {"pyarrow.compute"})
    heavy |= {"duckdb"} if library.load() is not None else set()
    code = f"import sys; from shoplake.cli.main import main; main(); print(sorted({heavy} & set(sys.modules)))"
    place = tmp_path if new else shop
    put(tmp_path / "raw", 0, events(20))
    words = ("ingest", "--source", place / "raw", "--lake", place / "lake", "--format", "json")
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True)
    assert bool(json.loads(done.stdout.rpartition("\n[")[0])["files"]) is new
    assert done.stdout.splitlines()[-1] == "[]"


def test_ingest_for_a_person(call, tmp_path):
    """The summary has the sum of the lines, the reasons and what was set aside; the second run says nothing is new."""
    put(tmp_path / "raw", 0, [*events(20), b"broken", *events(1, first=1)])
    (tmp_path / "raw" / "bad.jsonl.gz").write_bytes(b"not gzip")
    words = ("ingest", "--source", tmp_path / "raw", "--lake", tmp_path / "lake")
    first = call(*words)
    assert first.code == 0
    assert " Ingested 1 file: 22 lines in " in f" {first.out}"
    assert "22 lines = 20 accepted + 1 duplicate + 1 quarantined" in first.out
    assert "malformed_json 1" in first.out
    assert "bad.jsonl.gz" in first.err
    assert "Nothing new" in call(*words).out


def test_one_of_each(call, tmp_path):
    """One line is one line, in the report, in status and in what verify says."""
    put(tmp_path / "raw", 0, events(1))
    words = ("--source", tmp_path / "raw", "--lake", tmp_path / "lake")
    said = call("ingest", *words).out + call("status", *words).out + call("verify", *words).out
    put(tmp_path / "raw", 1, events(1, first=5))
    said += call("verify", *words).out
    assert "1 line = 1 accepted" in said
    assert not re.search(r"\b1 (lines|files|rows|raw objects|hours)\b", said)


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


def priced(count, first, **renamed):
    """Of ten lines one purchase, the others views; ``renamed`` renames keys in all of them."""
    lines = [event(first + number, "purchase" if number % 10 == 0 else "page_view") for number in range(10 * count)]
    return [line | {new: line.pop(old) for old, new in renamed.items()} for line in lines]


def test_breaker_of_a_field(call, tmp_path):
    """A renamed price spoils one line in ten, yet every purchase: the run stops, says which key is new, and changes nothing."""
    put(tmp_path / "raw", 0, priced(20, 0))
    words = ("ingest", "--source", tmp_path / "raw", "--lake", tmp_path / "lake")
    assert call(*words).code == 0
    before = dump(tmp_path / "lake")
    put(tmp_path / "raw", 1, priced(1000, 1000, price="unit_price"))
    tells(
        call(*words),
        1,
        "1,000 of 1,000 lines that need price (100%)",
        "missing_price 1,000",
        "Unknown keys: unit_price 10,000",
    )
    assert dump(tmp_path / "lake") == before
    assert call(*words, "--max-quarantine-rate", "1").code == 0


@pytest.mark.parametrize("native", ["1", "0"])
@pytest.mark.parametrize(("good", "bad", "code"), [(0, 999, 0), (1000, 1000, 0), (1000, 1001, 1)])
def test_breaker_of_a_field_at_its_edges(call, tmp_path, monkeypatch, native, good, bad, code):
    """It needs a thousand lines that need the field, and more than half of them, whoever reads them."""
    monkeypatch.setenv("SHOPLAKE_NATIVE", native)
    put(tmp_path / "raw", 0, [*priced(good, 0), *priced(bad, 10 * good, price="unit_price")])
    assert call("ingest", "--source", tmp_path / "raw", "--lake", tmp_path / "lake").code == code


def test_breaker_of_a_field_counts_what_is_kept(call, tmp_path):
    """Good lines of erased people hide nothing, and lines that are broken otherwise may have needed the field as well."""
    source, lake = tmp_path / "raw", tmp_path / "lake"
    put(source, 0, [event(number) for number in range(10)])
    words = ("ingest", "--source", source, "--lake", lake)
    assert call(*words).code == 0
    assert call("erase", "--user", "u_5", "--lake", lake, "--yes").code == 0
    erased = [line | {"user_id": "u_5"} for line in priced(1200, 100)]
    spoilt = [line | {"user_id": "u_6"} for line in priced(1200, 20_000, price="unit_price")]
    put(source, 1, [*erased, *spoilt])
    tells(call(*words), 1, "1,200 of 1,200 lines that need price")
    elsewhere = [line | {"session_id": ""} for line in priced(1000, 40_000) if line["price"]]
    put(source, 1, [*spoilt, *elsewhere, *priced(800, 60_000)])
    assert call(*words).code == 0


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


def test_the_file_that_trips_the_breaker_can_be_set_aside(call, tmp_path):
    """The breaker names it; set aside it holds nothing back, and is read when it is replaced. Asking twice changes nothing."""
    raw, lake = tmp_path / "raw", tmp_path / "lake"
    for slot in (0, 2):
        put(raw, slot, events(20, first=30 * slot))
    absurd(raw, 1)
    words = ("ingest", "--source", raw, "--lake", lake)
    tells(call(*words), 1, f"Files: {key(1)} (1,000 of 1,005 lines)", "--set-aside FILE")
    done = call(*words, "--set-aside", key(1), "--format", "json").json
    assert (done["files"], done["accepted"], done["failures"]) == (
        2,
        40,
        [{"file": key(1), "error": "set aside by hand"}],
    )
    assert call(*words, "--set-aside", raw / key(1)).code == 0
    assert call(*words, "--format", "json").json["files"] == 0
    put(raw, 1, events(7, first=30))
    assert call(*words, "--format", "json").json["accepted"] == 7


def test_set_aside_what_is_not_there(call, tmp_path):
    """A file that would not be ingested is named, and nothing is done."""
    put(tmp_path / "raw", 0, events(5))
    words = ("ingest", "--source", tmp_path / "raw", "--lake", tmp_path / "lake")
    tells(call(*words, "--set-aside", "elsewhere.jsonl.gz"), 2, "elsewhere.jsonl.gz cannot be set aside")
    assert not (tmp_path / "lake").exists()
    assert call(*words).code == 0
    tells(call(*words, "--set-aside", key(0)), 2, "cannot be set aside")


def test_the_breaker_names_files_up_to_a_number(call, tmp_path):
    for slot in range(7):
        absurd(tmp_path / "raw", slot, lines=300 + slot)
    result = call("ingest", "--source", tmp_path / "raw", "--lake", tmp_path / "lake")
    tells(result, 1, f"Files: {key(6)} (306 of 311 lines), {key(5)}", f"{key(2)} (302 of 307 lines) and 2 more")


def watching(call, monkeypatch, words, *steps):
    """Watch, and do one of the steps in each pause; then interrupt."""
    turns = iter(steps)

    def pause(_):
        step = next(turns, None)
        if step is None:
            raise KeyboardInterrupt
        step()

    monkeypatch.setattr(import_module("shoplake.cli.ingest"), "Watch", partial(Watch, sleep=pause))
    return call("ingest", *words, "--watch", "5")


def test_watch_outlives_errors(call, tmp_path, monkeypatch):
    """A source that is away for a while and a batch that the breaker stops are reported; what comes then is ingested."""
    raw, lake = tmp_path / "raw", tmp_path / "lake"
    put(raw, 0, events(5))

    def broken():
        (tmp_path / "away").rename(raw)
        absurd(raw, 1)

    result = watching(
        call,
        monkeypatch,
        ("--source", raw, "--lake", lake),
        lambda: raw.rename(tmp_path / "away"),
        broken,
        lambda: put(raw, 1, events(7, first=5)),
    )
    assert (result.code, "Traceback" in result.err) == (130, False)
    assert result.out.count("Ingested 1 file") == 2
    away, stopped = [line for line in result.err.splitlines() if "trying again in" in line]
    assert str(raw) in away
    assert "break the contract" in stopped
    assert "--max-quarantine-rate 1" in result.err
    assert len(dump(lake)["events"]) == 12


def test_watch_ends_where_the_call_cannot_work(call, tmp_path, monkeypatch):
    """A wrong call is not repeated for ever."""
    result = watching(call, monkeypatch, ("--source", tmp_path / "nowhere", "--lake", tmp_path / "lake"))
    tells(result, 2, "is not a folder")


def test_lines_of_a_log_have_their_time(call, tmp_path, monkeypatch):
    """On stderr as text or as JSON; and the summary, where it does not go to a terminal."""
    put(tmp_path / "raw", 0, events(20))
    (tmp_path / "raw" / "bad.jsonl.gz").write_bytes(b"not gzip")
    absurd(tmp_path / "raw", 1)
    monkeypatch.setattr(LOG, "now", lambda: datetime(2025, 11, 18, 14, 5, 9, 999, tzinfo=UTC))
    monkeypatch.setenv("SHOPLAKE_BATCH_BYTES", "1")
    words = ("ingest", "--source", tmp_path / "raw", "--lake", tmp_path / "lake")
    stopped = call(*words)
    assert stopped.err.startswith("2025-11-18T14:05:09Z shoplake: 1,000 of 1,005 lines")
    assert stopped.err.splitlines()[1].startswith("  A producer is broken")
    record = json.loads(call(*words, "--log-format", "json").err)
    assert {"at": record["at"], "level": record["level"]} == {"at": "2025-11-18T14:05:09Z", "level": "error"}
    assert "1,000 of 1,005 lines" in record["message"]
    assert "--set-aside" in record["remedy"]
    done = call(*words, "--max-quarantine-rate", "1", "--log-format", "json")
    assert done.err == "" or all(json.loads(line)["level"] for line in done.err.splitlines())
    assert done.out.startswith("2025-11-18T14:05:09Z Ingested")
    assert call("query", "nonsense", "--lake", tmp_path / "lake").err.startswith("shoplake: ")


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
