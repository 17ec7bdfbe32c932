"""``shoplake query``: five answers, or one's own questions, for people and scripts."""

import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
from decimal import Decimal

import pytest

from tests.behaviour.cli.support import tells
from tests.support import QUESTIONS, accepted, answers, dump, events, five_answers, judge_files, put


def test_a_query_loads_no_arrow(shop):
    """DuckDB reads the files and gives the rows: with Arrow and NumPy a cold command would take a quarter longer."""
    code = (
        "import sys; from shoplake.cli.main import main; main();"
        "print(sorted({'numpy', 'pyarrow', 'pandas'} & set(sys.modules)))"
    )
    words = ("query", "all", "--lake", shop / "lake", "--format", "csv")
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert len(done.stdout.splitlines()) > 10


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


def test_csv_keeps_null_and_empty_apart(shop, call):
    """NULL is nothing and an empty text is two quotes, as PostgreSQL and DuckDB write them; what needs quotes has them."""
    sql = "SELECT * FROM (VALUES (NULL, ''), ('a,b', chr(13)), ('\"', 'plain')) AS v(a, b)"
    out = call("query", "--sql", sql, "--lake", shop / "lake", "--format", "csv").out
    assert out == 'a,b\n,""\n"a,b","\r"\n"""",plain\n'


def test_every_statement_runs(shop, call, tmp_path):
    """Statements of one text run in order, each with rows of its own, whether there are headers, and wherever they are."""
    lake = ("--lake", shop / "lake", "--format", "json")
    found = call("query", "--sql", "SELECT 1 AS a; SELECT 2 AS a;", *lake).json
    assert [(answer["name"], answer["rows"]) for answer in found] == [("sql_1", [[1]]), ("sql_2", [[2]])]
    (tmp_path / "mixed.sql").write_text(
        "SELECT 0 AS a;\n-- 1. first: two of them\nSELECT 1 AS a;\nSELECT 2 AS a;\n-- 2. second\nSELECT 3 AS a\n"
    )
    found = call("query", "--file", tmp_path / "mixed.sql", *lake).json
    assert [answer["rows"] for answer in found] == [[[0]], [[1]], [[2]], [[3]]]
    assert [answer["name"] for answer in found] == ["mixed_1", "first_1", "first_2", "second"]
    tells(call("query", "--sql", "SELECT 1; SELEC 2", *lake), 2, "SELEC")
    (tmp_path / "wrong.sql").write_text("SELEC 1;")
    tells(call("query", "--file", tmp_path / "wrong.sql", *lake), 2, "SELEC")


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


ZONES = (
    "SELECT TIMESTAMP '2025-11-18 14:10:00' AS plain, TIMESTAMPTZ '2025-11-18 15:10:00+01' AS zoned,"
    " TIMESTAMP '2025-11-18 14:10:00' AT TIME ZONE 'UTC' AT TIME ZONE 'Europe/Berlin' AS berlin"
)


def test_times_with_a_zone(shop, call):
    """Only what is UTC has a Z: a time with a zone, in UTC; a time without one, unless the statement converts any."""
    lake = ("--lake", shop / "lake")
    (answer,) = call("query", "--sql", ZONES, *lake, "--format", "json").json
    assert answer["rows"] == [["2025-11-18T14:10:00", "2025-11-18T14:10:00Z", "2025-11-18T15:10:00"]]
    out = call("query", "--sql", ZONES, *lake, "--format", "csv").out
    assert out.splitlines()[1] == "2025-11-18T14:10:00,2025-11-18T14:10:00Z,2025-11-18T15:10:00"
    table = call("query", "--sql", ZONES, *lake).out
    assert table.splitlines()[3].split() == ["2025-11-18", "14:10", "2025-11-18", "14:10Z", "2025-11-18", "15:10"]
    (answer,) = call("query", "--sql", "SELECT [TIMESTAMP '2025-01-01'] AS t", *lake, "--format", "json").json
    assert answer["rows"] == [[["2025-01-01T00:00:00Z"]]]


@pytest.mark.parametrize("style", ["table", "json", "csv"])
def test_the_present_time(shop, call, style):
    """What the clock says is a time with a zone."""
    result = call("query", "--sql", "SELECT now() AS n, [now()] AS l", "--lake", shop / "lake", "--format", style)
    assert (result.code, result.err) == (0, "")
    assert re.search(r"20\d\d-\d\d-\d\d[T ][\d:.]+Z", result.out)


MANY = "SELECT range AS n, 'x' || range AS text FROM range(3001)"


def test_a_terminal_gets_the_first_rows(shop, call):
    """A person sees the first 1,000 rows and is told so; of 1,000 rows all are shown without a word."""
    shown = call("query", "--sql", MANY, "--lake", shop / "lake", terminal=True)
    assert len([line for line in shown.out.splitlines() if "   x" in line]) == 1000
    assert "These are the first 1,000 rows." in shown.out
    whole = call("query", "--sql", f"{MANY} LIMIT 1000", "--lake", shop / "lake", terminal=True)
    assert "the first" not in whole.out


@pytest.mark.parametrize("style", ["table", "json", "csv"])
def test_a_pipe_gets_all_rows(shop, call, style):
    """Every row is written, once and in order, however many there are."""
    result = call("query", "--sql", MANY, "--lake", shop / "lake", "--format", style)
    assert [int(number) for number in re.findall(r"\bx(\d+)", result.out)] == list(range(3001))
    if style == "json":
        assert result.out == json.dumps(result.json) + "\n"


@pytest.mark.parametrize("style", ["table", "json", "csv"])
def test_rows_are_written_before_the_last_is_computed(shop, style):
    """A result is streamed: a reader that closes the pipe early ends a query that would take for ever."""
    sql = "SELECT a.range AS n FROM range(100000000) a, range(100000000) b"
    words = [sys.executable, "-m", "shoplake", "query", "--sql", sql, "--lake", str(shop / "lake"), "--format", style]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert len(process.stdout.read(100_000)) == 100_000
        process.stdout.close()
        assert process.wait(timeout=60) == 0
        assert process.stderr is not None
        assert process.stderr.read() == b""


def test_a_statement_that_fails_writes_nothing(shop, call):
    """All statements are checked before the first answer is written."""
    for style in ("table", "json", "csv"):
        tells(
            call("query", "--sql", "SELECT 1; SELECT nothing", "--lake", shop / "lake", "--format", style), 2, "nothing"
        )


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


@pytest.mark.parametrize("left", [None, 100])
def test_damaged_data_file(call, tmp_path, left):
    """A data file that is lost or cut is damage (exit code 1), not a wrong question, whichever file of its table it is."""
    for slot in range(2):
        put(tmp_path / "raw", slot, events(3, first=10 * slot))
        assert call("ingest", "--source", tmp_path / "raw", "--lake", tmp_path / "lake").code == 0
    files = list((tmp_path / "lake" / "events").rglob("*.parquet"))
    assert len(files) == 2
    for path in files:
        content = path.read_bytes()
        path.unlink() if left is None else path.write_bytes(content[:left])
        result = call("query", "--sql", "SELECT * FROM events", "--lake", tmp_path / "lake")
        tells(result, 1, *(("is missing",) if left is None else ("the data file", "cannot be read")))
        path.write_bytes(content)


def query(shop, sql, *more, **how):
    """The command in a process of its own."""
    words = [sys.executable, "-m", "shoplake", "query", "--sql", sql, "--lake", str(shop / "lake"), *more]
    return subprocess.run(words, capture_output=True, check=False, **how)


@pytest.mark.usefixtures("interruptible")
def test_interrupted_query(shop):
    """^C ends a query that is being computed with exit code 130 and without a traceback."""
    endless = "SELECT count(*) AS never FROM range(100000000) a, range(100000000) b WHERE a.range * b.range % 7 = 3"
    sql = f"SELECT range AS n FROM range(20000); {endless}"
    words = [sys.executable, "-m", "shoplake", "query", "--sql", sql, "--lake", "lake", "--format", "csv"]
    with subprocess.Popen(words, cwd=shop, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.read(80_000)  # of the first answer, more than a pipe holds back
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=0.5)
        process.send_signal(signal.SIGINT)
        out, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "never" not in out
    assert "Traceback" not in said


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full is Linux's")
@pytest.mark.parametrize("style", ["table", "json", "csv"])
def test_full_disk_behind_stdout(shop, style):
    """Output that cannot be written is an error in words, exit code 1."""
    words = [sys.executable, "-m", "shoplake", "query", "all", "--lake", "lake", "--format", style]
    with open("/dev/full", "w") as full:  # noqa: PTH123 - a device
        done = subprocess.run(words, cwd=shop, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert "the output cannot be written: No space left" in done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


def test_closed_stdout(shop):
    """A command whose stdout is closed does its work and ends well."""
    command = f'"{sys.executable}" -m shoplake query all --lake lake --format csv >&-'
    done = subprocess.run(command, shell=True, cwd=shop, capture_output=True, text=True, check=False)  # noqa: S602
    assert (done.returncode, done.stderr) == (0, "")


def test_narrow_encoding(shop):
    """Characters that stdout's encoding lacks are escaped for a person and in JSON; CSV, which cannot, is an error."""
    narrow = {"env": {**os.environ, "PYTHONIOENCODING": "latin-1", "PYTHONUTF8": "0"}, "cwd": shop}
    sql = "SELECT 'é € 🎉' AS v"
    table = query(shop, sql, **narrow)
    assert (table.returncode, "é \\u20ac \\U0001f389" in table.stdout.decode("latin-1")) == (0, True)
    (answer,) = json.loads(query(shop, sql, "--format", "json", **narrow).stdout.decode("ascii"))
    assert answer["rows"] == [["é € 🎉"]]
    refused = query(shop, sql, "--format", "csv", **narrow)
    assert refused.returncode == 1
    assert b"PYTHONIOENCODING=utf-8" in refused.stderr
    assert b"Traceback" not in refused.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a working directory cannot be removed")
def test_removed_working_directory(shop, tmp_path):
    """A working directory that is gone is said to be."""
    (tmp_path / "gone").mkdir()
    command = f'cd gone && rmdir ../gone && "{sys.executable}" -m shoplake query all --lake "{shop / "lake"}"'
    done = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, text=True, check=False)  # noqa: S602
    assert (done.returncode, done.stdout) == (2, "")
    assert "the working directory no longer exists" in done.stderr
    assert "Traceback" not in done.stderr
