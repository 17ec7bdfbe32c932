"""The command line: what people and scripts meet."""

import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
from decimal import Decimal

import pytest

from shoplake.cli.main import cli, main
from tests.support import (
    QUESTIONS,
    START,
    accepted,
    answers,
    dump,
    event,
    events,
    everywhere,
    five_answers,
    judge_files,
    key,
    put,
)

COMMANDS = ("demo", "generate", "ingest", "query", "status", "replay", "verify")


class Result:
    """How a command ended and what it wrote."""

    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    @property
    def json(self):
        return json.loads(self.out)


@pytest.fixture
def call(monkeypatch, capsys, tmp_path):
    """Calls the command line in this process, from an empty working directory and without settings around."""
    for name in [name for name in os.environ if name.startswith("SHOPLAKE_")]:
        monkeypatch.delenv(name)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")

    def calling(*words):
        monkeypatch.setattr(sys, "argv", ["shoplake", *map(str, words)])
        capsys.readouterr()
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
        else:
            code = 0
        written = capsys.readouterr()
        return Result(code, written.out, written.err)

    return calling


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A source and its lake, made by commands in processes of their own; tests here only read them."""
    folder = tmp_path_factory.mktemp("shop")
    put(folder / "raw", 0, events(60))
    put(folder / "raw", 1, [*events(60, first=50), b"broken", event(3, quantity=1)])
    (folder / "raw" / "cut.jsonl.gz").write_bytes((folder / "raw" / key(0)).read_bytes()[:100])
    command = [sys.executable, "-m", "shoplake", "ingest", "--source", "raw", "--lake", "lake", "--format", "json"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    (folder / "report.json").write_text(done.stdout)
    return folder


def tells(result, code, *words):
    """An error: on stderr alone, in words, with something to do, and no traceback."""
    assert (result.code, result.out) == (code, "")
    assert "Traceback" not in result.err
    for word in words:
        assert word in result.err
    assert len(result.err.strip().splitlines()) >= 2, "a message and a remedy"


# ----------------------------------------------------------------------------------------------------------------- help


def test_commands_are_known():
    """These are the commands; each is tested below."""
    assert set(COMMANDS) <= set(cli.commands)


@pytest.mark.parametrize("name", sorted(cli.commands))
def test_help(call, name):
    """Each command's help exits with 0, says what it does and has an example that can be copied."""
    result = call(name, "--help")
    assert (result.code, result.err) == (0, "")
    assert f"shoplake {name}" in result.out.split("Examples:")[1]


@pytest.mark.parametrize("words", [(), ("--help",), ("-h",)])
def test_first_help(call, words):
    """Without a command, help shows where to start."""
    result = call(*words)
    assert "shoplake demo" in result.out + result.err
    assert "Traceback" not in result.err


def test_version(call):
    """The version is one line."""
    assert call("--version").out.startswith("shoplake, version ")


@pytest.mark.parametrize(
    "words",
    [
        ("nothing",),
        ("ingest", "--nothing"),
        ("query", "1", "2", "3"),
        ("query", "--format", "xml"),
        ("generate",),
        ("generate", "--out", "x", "--files", "0"),
        ("ingest", "--watch", "-1"),
    ],
    ids=" ".join,
)
def test_wrong_usage(call, words):
    """A wrong command, option or argument exits with 2 and a usage message."""
    result = call(*words)
    assert (result.code, result.out) == (2, "")
    assert "Usage:" in result.err
    assert "Traceback" not in result.err


# --------------------------------------------------------------------------------------------------------------- ingest


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


def test_breaker_in_the_first_run(tmp_path):
    """A lake whose very first batch was stopped can be filled by the next run."""
    absurd(tmp_path / "raw", 0)
    command = [sys.executable, "-m", "shoplake", "ingest", "--source", "raw", "--lake", "lake"]
    first = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    tells(Result(first.returncode, first.stdout, first.stderr), 1, "break the contract")
    put(tmp_path / "raw", 0, events(5))
    second = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (second.returncode, second.stderr) == (0, "")
    assert len(dump(tmp_path / "lake")["events"]) == 5


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


# ---------------------------------------------------------------------------------------------------------------- query


def test_query_json(shop, call):
    """All five answers as JSON: names, columns, rows; times in ISO 8601, money as text without loss."""
    result = call("query", "all", "--lake", shop / "lake", "--format", "json")
    assert (result.code, result.err) == (0, "")
    assert [set(answer) for answer in result.json] == [{"name", "columns", "rows"}] * 5
    assert [answer["name"] for answer in result.json] == list(QUESTIONS)
    expected = five_answers(accepted(judge_files(shop / "raw")))
    for answer in result.json:
        rows = expected[answer["name"]]
        assert len(answer["rows"]) == len(rows)
        for found, row in zip(answer["rows"], rows, strict=True):
            assert len(found) == len(answer["columns"]) == len(row)
            for left, right in zip(found, row, strict=True):
                if isinstance(right, Decimal):
                    assert left == str(right)
                elif hasattr(right, "hour"):
                    assert left == right.isoformat() + "Z"
                elif hasattr(right, "isoformat"):
                    assert left == right.isoformat()
                else:
                    assert left == right


@pytest.mark.parametrize("number", range(1, 6))
def test_query_by_number_and_name(shop, call, number):
    """A question is asked by number or name; without one, all five are."""
    name = QUESTIONS[number - 1]
    by_number = call("query", number, "--lake", shop / "lake", "--format", "json").json
    assert by_number == call("query", name, "--lake", shop / "lake", "--format", "json").json
    assert [answer["name"] for answer in by_number] == [name]
    assert by_number[0] == call("query", "--lake", shop / "lake", "--format", "json").json[number - 1]


def test_query_csv(shop, call):
    """As CSV an answer is a header and its rows, and NULL is nothing."""
    result = call("query", "conversion_funnel", "--lake", shop / "lake", "--format", "csv")
    rows = list(csv.reader(io.StringIO(result.out)))
    assert rows[0][:3] == ["product_id", "category", "views"]
    assert len(rows) == 1 + len(answers(shop / "lake")["conversion_funnel"])
    empty = call("query", "--sql", "SELECT NULL AS a, 'x,\"y\"' AS b", "--lake", shop / "lake", "--format", "csv")
    assert empty.out == 'a,b\n,"x,""y"""\n'


def test_query_table(shop, call):
    """For a person the answers come with their questions."""
    result = call("query", "--lake", shop / "lake")
    assert (result.code, result.err) == (0, "")
    for name in QUESTIONS:
        assert name in result.out
    assert "(none)" in result.out


def test_query_sql(shop, call):
    """A statement of one's own runs over the tables."""
    sql = "SELECT event_type, count(*) AS many FROM events GROUP BY 1 ORDER BY 1;"
    (answer,) = call("query", "--sql", sql, "--lake", shop / "lake", "--format", "json").json
    assert answer["columns"] == ["event_type", "many"]
    assert answer["rows"][0] == ["add_to_cart", 22]


def test_query_values_as_json(shop, call):
    """Lists, times, dates, decimals and structures become JSON."""
    sql = "SELECT [1, 2] AS l, TIMESTAMP '2025-01-01 00:00:00.5' AS t, DATE '2025-01-01' AS d, 1.10::DECIMAL(9,2) AS m"
    (answer,) = call("query", "--sql", sql, "--lake", shop / "lake", "--format", "json").json
    assert answer["rows"] == [[[1, 2], "2025-01-01T00:00:00.500000Z", "2025-01-01", "1.10"]]


@pytest.mark.parametrize(
    "value", ["'nan'::DOUBLE", "'inf'::DOUBLE", "INTERVAL 1 DAY", "'a'::BLOB", "uuid()", "{'a': 1}"]
)
def test_query_odd_values_as_json(shop, call, value):
    """Whatever a statement yields, the output is JSON that any reader reads."""
    result = call("query", "--sql", f"SELECT {value} AS v", "--lake", shop / "lake", "--format", "json")
    assert result.code == 0
    json.loads(result.out, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


def test_query_file(shop, call, tmp_path):
    """A file of statements gives an answer each, with the names it gives them."""
    (tmp_path / "named.sql").write_text(
        "-- about this file\n\n-- 1. first: how many\nSELECT count(*) FROM events;\n\n-- 2. second\nSELECT 2 AS two\n"
    )
    found = call("query", "--file", tmp_path / "named.sql", "--lake", shop / "lake", "--format", "json").json
    assert [(answer["name"], answer["rows"]) for answer in found] == [("first", [[110]]), ("second", [[2]])]
    (tmp_path / "plain.sql").write_text("SELECT 1 AS a; SELECT ';' AS b; -- end\n")
    found = call("query", "--file", tmp_path / "plain.sql", "--lake", shop / "lake", "--format", "json").json
    assert [answer["rows"] for answer in found] == [[[1]], [[";"]]]


BAD_QUESTIONS = {
    "unknown name": ("revenue",),
    "number out of range": ("6",),
    "two questions": ("1", "--sql", "SELECT 1"),
    "syntax": ("--sql", "SELEC 1"),
    "unknown table": ("--sql", "SELECT * FROM orders"),
    "division of texts": ("--sql", "SELECT CAST('x' AS INTEGER)"),
    "empty": ("--sql", ""),
    "only a comment": ("--sql", "-- nothing"),
    "missing file": ("--file", "nothing.sql"),
    "folder": ("--file", "."),
}


@pytest.mark.parametrize("name", BAD_QUESTIONS)
@pytest.mark.parametrize("style", ["json", "table"])
def test_bad_questions(shop, call, name, style):
    """A question that cannot be answered exits with 2, says why on stderr and what to do."""
    tells(call("query", *BAD_QUESTIONS[name], "--lake", shop / "lake", "--format", style), 2)


def test_empty_file_of_questions(shop, call, tmp_path):
    """A file without a statement is a usage error."""
    (tmp_path / "empty.sql").write_text("-- nothing here\n")
    tells(call("query", "--file", tmp_path / "empty.sql", "--lake", shop / "lake"), 2)


def test_queries_change_nothing(shop, call):
    """A statement cannot write to the lake's tables."""
    before = dump(shop / "lake")
    for sql in ("DELETE FROM events", "DROP VIEW events", "INSERT INTO events SELECT * FROM events"):
        result = call("query", "--sql", sql, "--lake", shop / "lake")
        assert "Traceback" not in result.err
    assert dump(shop / "lake") == before


def test_broken_pipe(shop):
    """A reader that has seen enough is no error."""
    command = f'"{sys.executable}" -m shoplake query --sql "SELECT * FROM range(100000)" --lake lake --format csv'
    done = subprocess.run(f"{command} | head -1", shell=True, cwd=shop, capture_output=True, text=True, check=True)  # noqa: S602
    assert (done.stdout, done.stderr) == ("range\n", "")


# --------------------------------------------------------------------------------------------------------------- status


def test_status_json(shop, call):
    """The state as JSON: tables with rows, files, bytes and snapshots, the ledger's totals, freshness, what is waiting."""
    result = call("status", "--lake", shop / "lake", "--format", "json")
    assert (result.code, result.err) == (0, "")
    state = result.json
    assert set(state["tables"]) == set(dump(shop / "lake"))
    for name, figures in state["tables"].items():
        assert set(figures) == {"rows", "files", "bytes", "snapshots"}
        assert figures["rows"] == len(dump(shop / "lake")[name])
    assert state["ledger"] == {
        "files": 3,
        "unreadable": 1,
        "lines": 122,
        "accepted": 110,
        "duplicates": 10,
        "quarantined": 2,
        "erased": 0,
    }
    newest = max(row["event_time"] for row in dump(shop / "lake")["events"])
    assert state["newest_event"] == newest.isoformat() + "Z"
    assert 0 <= state["freshness_seconds"] < 3600
    assert state["waiting"] is None


def test_status_with_a_source(shop, call, tmp_path):
    """With a source the state tells what is waiting there."""
    source = shutil.copytree(shop / "raw", tmp_path / "raw")
    words = ("status", "--lake", shop / "lake", "--source", source)
    assert call(*words, "--format", "json").json["waiting"]["files"] == 0
    put(source, 2, events(5, first=400))
    put(source, 1, events(5))
    assert call(*words, "--format", "json").json["waiting"]["files"] == 2
    assert "Waiting: 2 files" in call(*words).out


def test_status_csv(shop, call):
    """As CSV the state is a row for each table."""
    rows = list(csv.DictReader(io.StringIO(call("status", "--lake", shop / "lake", "--format", "csv").out)))
    assert {row["table"]: row["rows"] for row in rows}["events"] == "110"


# ------------------------------------------------------------------------------------------------------------- settings


def test_no_lake_named(call):
    """Without a lake's name, the error says the three ways to name one."""
    tells(call("query"), 2, "--lake", "SHOPLAKE_LAKE", "shoplake.toml")


def test_missing_places(call, tmp_path):
    """A lake or a source that is not there is told with what to do; nothing is made."""
    tells(call("query", "--lake", tmp_path / "no"), 2, "there is no lake at", "shoplake ingest")
    tells(call("status", "--lake", tmp_path / "no"), 2, "there is no lake at")
    tells(call("ingest", "--lake", tmp_path / "no", "--source", tmp_path / "nowhere"), 2, "shoplake generate")
    tells(
        call("ingest", "--lake", tmp_path / "no", "--source", "gs://bucket/raw"), 2, "neither a local folder nor on S3"
    )
    assert not (tmp_path / "no").exists()


def test_settings_file(shop, call):
    """shoplake.toml in the working directory names the places; the environment goes before it, an option before both."""
    with open("shoplake.toml", "w") as file:  # noqa: PTH123 - the working directory is the point
        file.write(f'lake = "{shop / "lake"}"\nsource = "{shop / "raw"}"\nthreads = 1\n')
    assert call("status", "--format", "json").json["waiting"]["files"] == 0
    tells(call("query", "--lake", "elsewhere"), 2, "elsewhere")


def test_environment(shop, call, monkeypatch):
    """The environment names the places where no option does, and goes before the file."""
    with open("shoplake.toml", "w") as file:  # noqa: PTH123 - the working directory is the point
        file.write('lake = "from-the-file"\n')
    tells(call("query"), 2, "from-the-file")
    monkeypatch.setenv("SHOPLAKE_LAKE", str(shop / "lake"))
    assert call("query", "1", "--format", "json").code == 0


@pytest.mark.parametrize(
    "text", ['lake = "x"\nlaek = "y"\n', "lake = \n", 'lake = "x"\nthreads = "many"\n', "\xff"], ids=range(4)
)
def test_wrong_settings_file(call, text):
    """A settings file with a mistake is a usage error that names the file."""
    with open("shoplake.toml", "wb") as file:  # noqa: PTH123 - the working directory is the point
        file.write(text.encode("latin-1"))
    tells(call("query"), 2, "shoplake.toml")


def test_wrong_environment(call, monkeypatch):
    """A variable with a wrong value is a usage error that names it."""
    monkeypatch.setenv("SHOPLAKE_BATCH_BYTES", "lots")
    tells(call("query", "--lake", "x"), 2, "SHOPLAKE_BATCH_BYTES", "lots")


# ----------------------------------------------------------------------------------------------------- generate and demo


def test_generate_and_ingest(call, tmp_path):
    """What generate writes, with the fixed options, is in the Hive layout and ingests whole; the same seed, the same bytes."""
    words = (
        "--files",
        2,
        "--events-per-file",
        "300-400",
        "--start",
        START.isoformat(),
        "--seed",
        7,
        "--profile",
        "uniform",
    )
    result = call("generate", "--out", tmp_path / "raw", *words, "--format", "json")
    assert (result.code, result.err, result.json["files"]) == (0, "", 2)
    assert sorted(path.relative_to(tmp_path / "raw").as_posix() for path in (tmp_path / "raw").rglob("*.gz")) == [
        key(0),
        key(1),
    ]
    call("generate", "--out", tmp_path / "again", *words)
    assert (tmp_path / "raw" / key(1)).read_bytes() == (tmp_path / "again" / key(1)).read_bytes()
    done = call("ingest", "--source", tmp_path / "raw", "--lake", tmp_path / "lake", "--format", "json").json
    assert done["accepted"] + done["duplicates"] == done["lines"] == result.json["events"]
    assert done["quarantined"] == 0


@pytest.mark.parametrize(
    "words",
    [
        *(("--events-per-file", value) for value in ("0", "many", "9-3", "1-2-3", "-5", "")),
        *(("--start", value) for value in ("today", "2025-13-01", "")),
    ],
    ids=" ".join,
)
def test_generate_with_wrong_values(call, words):
    """A number or time that is none is a usage error with an example of a right one."""
    tells(call("generate", "--out", "raw", *words), 2)


@pytest.mark.parametrize("start", ["0001-01-01T00:00:00Z", "9999-12-31T23:58:00Z", "1969-01-01T00:00:00Z"])
def test_generate_at_the_edges_of_time(call, start):
    """A start outside the times that the contract knows is told as such or works; it is no traceback."""
    result = call(
        "generate", "--out", "raw", "--files", 2, "--events-per-file", 5, "--start", start, "--faults", "demo"
    )
    assert result.code in (0, 2)


def test_demo(call, tmp_path):
    """The demo plays through in small: two runs, five answers, sums that agree."""
    result = call("demo", "--dir", tmp_path / "demo", "--files", 3, "--events-per-file", 2000)
    assert (result.code, result.err) == (0, "")
    assert "Ingested 2 files: 4,000 lines" in result.out
    assert "Ingested 1 file: 2,000 lines" in result.out
    assert "Nothing new" in result.out
    assert result.out.count(" yes") == 9
    again = call("demo", "--dir", tmp_path / "demo", "--files", 2, "--events-per-file", 10)
    assert again.code == 0, "its own folder is made anew"


def test_demo_spares_other_folders(call, tmp_path):
    """The demo does not touch a folder that is not its own."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "precious").touch()
    tells(call("demo", "--dir", tmp_path / "mine"), 2, "is no demo's")
    assert (tmp_path / "mine" / "precious").exists()


def test_unwritable_lake(call, tmp_path):
    """A lake that cannot be made is an error with exit code 1 or 2 and what to do."""
    put(tmp_path / "raw", 0, events(3))
    (tmp_path / "file").touch()
    result = call("ingest", "--source", tmp_path / "raw", "--lake", tmp_path / "file" / "lake")
    assert result.code in (1, 2)
    tells(result, result.code)


def test_damaged_lake(call, tmp_path):
    """A lake whose catalog or files are damaged is an error with exit code 1, not a traceback."""
    put(tmp_path / "raw", 0, events(3))
    words = ("--lake", tmp_path / "lake")
    assert call("ingest", "--source", tmp_path / "raw", *words).code == 0
    catalog = (tmp_path / "lake" / "catalog.json").read_bytes()
    for damage in (b"no catalog at all", b"", b"[]", b"{}", catalog[: len(catalog) // 2]):
        (tmp_path / "lake" / "catalog.json").write_bytes(damage)
        tells(call("query", *words), 1)
        tells(call("status", *words), 1)
    (tmp_path / "lake" / "catalog.json").write_bytes(catalog)
    shutil.rmtree(tmp_path / "lake" / "user_hourly")
    tells(call("query", *words), 1)


def test_missing_data_file(call, tmp_path):
    """A data file that somebody deleted is an error with a message, not a traceback."""
    put(tmp_path / "raw", 0, events(3))
    words = ("--lake", tmp_path / "lake")
    assert call("ingest", "--source", tmp_path / "raw", *words).code == 0
    for path in (tmp_path / "lake" / "events").rglob("*.parquet"):
        path.unlink()
    tells(call("query", "--sql", "SELECT * FROM events", *words), 1)
