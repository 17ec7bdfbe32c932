"""``shoplake query``: how much of an answer, of which events, of which version, and into which file."""

import io
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import shoplake
from shoplake.cli import asking
from tests.behaviour.cli.support import tells
from tests.support import Terminal, accepted, five_answers, judge_files

ROWS = (
    "SELECT session_id, nullif(user_id, 'u_1') AS u, '' AS e, first_event_time AS t, revenue, events"
    " FROM sessions ORDER BY session_id"
)


def written(path):
    if path.suffix == ".parquet":
        return pq.read_table(path).to_pylist()
    if path.suffix == ".arrow":
        with pa.OSFile(str(path)) as file:
            return pa.ipc.open_file(file).read_all().to_pylist()
    read = (
        f"read_csv('{path}', all_varchar = true, allow_quoted_nulls = false)" if path.suffix == ".csv" else f"'{path}'"
    )
    with duckdb.connect() as database:
        database.execute(f"SELECT * FROM {read}")
        names = [column[0] for column in database.description or ()]
        return [dict(zip(names, row, strict=True)) for row in database.fetchall()]


@pytest.mark.parametrize("kind", ["parquet", "arrow", "csv", "json"])
def test_an_answer_in_a_file(shop, call, tmp_path, kind):
    """It has the rows of the answer, and NULL and the empty text stay apart; a file that was there is replaced whole."""
    path = tmp_path / f"rows.{kind}"
    path.write_text("older")
    result = call("query", "--sql", ROWS, "--lake", shop / "lake", "--out", path, "--limit", 20)
    assert (result.code, result.out) == (0, "")
    assert "wrote 20 rows to" in result.err
    with shoplake.open(shop / "lake") as lake:
        expected = lake.sql(f"{ROWS} LIMIT 20").to_arrow_table().to_pylist()
    found = written(path)
    assert [row["u"] for row in found] == [row["u"] for row in expected]
    assert None in [row["u"] for row in found]
    assert {row["e"] for row in found} == {""}
    assert [Decimal(str(row["revenue"])) for row in found] == [row["revenue"] for row in expected]
    if kind in ("parquet", "arrow"):
        assert found == expected
    assert sorted(each.name for each in tmp_path.iterdir()) == sorted({path.name, "work"})


def test_a_csv_file_is_what_stdout_gets(shop, call, tmp_path):
    """Byte for byte."""
    sql = "SELECT * FROM (VALUES (NULL, ''), ('a,b', chr(13)), ('\"', 'é')) AS v(a, b)"
    out = call("query", "--sql", sql, "--lake", shop / "lake", "--format", "csv").out
    call("query", "--sql", sql, "--lake", shop / "lake", "--out", tmp_path / "rows.csv")
    assert (tmp_path / "rows.csv").read_bytes() == out.encode()


NO_FILE = {
    "no format": ("rows.xlsx", "FROM events", ".parquet, .csv, .json or .arrow"),
    "no folder": ("nowhere/rows.csv", "FROM events", "does not exist"),
    "S3": ("s3://bucket/rows.csv", "FROM events", "of this machine"),
    "several answers": ("rows.csv", "SELECT 1; SELECT 2", "2 questions"),
    "a value that does not fit": ("rows.parquet", "SELECT INTERVAL 1 DAY AS i", "cannot hold"),
    "one name twice": ("rows.json", "SELECT 1 AS a, 2 AS a", "two columns 'a'"),
    "an error on the way": ("rows.csv", "SELECT CAST(x AS INTEGER) FROM (VALUES ('1'), ('x')) AS v(x)", "x"),
}


@pytest.mark.parametrize("name", NO_FILE)
def test_no_file_is_left_of_what_fails(shop, call, tmp_path, name):
    """An error says what to do, and neither the file nor a part of it appears."""
    file, sql, words = NO_FILE[name]
    place = file if "://" in file else tmp_path / file
    tells(call("query", "--sql", sql, "--lake", shop / "lake", "--out", place), 2, words)
    assert [each.name for each in tmp_path.iterdir()] == ["work"]


WRITERS = {
    "query": ("query", "--sql", "SELECT 1", "--out"),
    "experiment": ("experiment", "compare", "blue", "--out"),
    "dashboard": ("dashboard", "--export"),
    "person": ("person", "--user", "u_1", "--force", "--out"),
    "quarantine": ("quarantine", "export", "--force", "--out"),
    "metrics": ("ingest", "--source", ".", "--metrics"),
    "metrics as JSON": ("ingest", "--source", ".", "--metrics-json"),
}


@pytest.mark.parametrize("name", WRITERS)
def test_no_command_writes_its_output_over_a_file_of_a_lake(shop, call, tmp_path, name):
    """Not through a link either, nor beside the lake's files; the catalog stays as it was."""
    lake = shop / "lake"
    before = sorted(lake.rglob("*")), (lake / "catalog.json").read_bytes()
    (tmp_path / "linked").symlink_to(lake)
    for place in (lake / "catalog.json", tmp_path / "linked" / "events" / "new.csv", lake):
        tells(call(*WRITERS[name], place, "--lake", lake), 2, "is inside the lake", str(lake))
    tells(call(*WRITERS[name], "s3://bucket/new.csv", "--lake", lake), 2, "of this machine")
    assert (sorted(lake.rglob("*")), (lake / "catalog.json").read_bytes()) == before


def test_a_lake_that_lost_its_catalog_is_not_written_into(call, tmp_path):
    """What generates files refuses it, too."""
    (tmp_path / "lake" / "ledger" / "metadata").mkdir(parents=True)
    tells(call("generate", "--out", tmp_path / "lake" / "raw"), 2, "is inside the lake")
    tells(call("demo", "--dir", tmp_path / "lake"), 2, "is inside the lake")
    assert [each.name for each in (tmp_path / "lake").iterdir()] == ["ledger"]


def test_limit(shop, call):
    """Each answer has at most that many rows, and a terminal gets all of them."""
    lake = ("--lake", shop / "lake")
    found = call("query", "all", *lake, "--limit", 2, "--format", "json").json
    assert [len(answer["rows"]) for answer in found] == [2, 1, 2, 2, 1]
    shown = call("query", "--sql", "FROM range(3000)", *lake, "--limit", 1200, terminal=True).out
    assert shown.splitlines()[-2].strip() == "1,199"
    tells(call("query", "1", *lake, "--limit", "-1"), 2, "--limit")


def test_a_range_and_a_version(shop, call):
    """``--from``, ``--to`` and ``--at`` choose what every table has; a wrong one is a usage error."""
    lake = ("--lake", shop / "lake", "--format", "json")
    whole = five_answers(accepted(judge_files(shop / "raw")))["user_activity"]
    for more in (("--from", "2025-11-18"), ("--to", "2025-11-18T15:00Z"), ("--at", "2100-01-01")):
        (answer,) = call("query", 5, *lake, *more).json
        assert [row[1:] for row in answer["rows"]] == [list(row[1:]) for row in whole]
    (answer,) = call("query", 5, *lake, "--from", "2025-11-18T16:00+01:00").json
    assert answer["rows"] == []
    for more in (("--from", "2025-11-18T14:30"), ("--from", "today"), ("--at", "2020-01-01"), ("--at", "12345")):
        tells(call("query", 5, *lake, *more), 2)
    tells(call("query", 5, "--engine", "athena", "--workgroup", "w", "--at", "2025-11-18"), 2, "embedded engine")


def test_statements_from_stdin(shop, call, monkeypatch):
    """``--file -`` reads them there, under headers too."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"SELECT 1 AS a;\n-- 1. named\nSELECT 'x' AS b")))
    found = call("query", "--file", "-", "--lake", shop / "lake", "--format", "json").json
    assert [(answer["name"], answer["rows"]) for answer in found] == [("stdin_1", [[1]]), ("named", [["x"]])]
    tells(call("query", "--file", "-", "--lake", shop / "lake", "--format", "csv"), 2, "stdin contains no statement")


def test_statements_that_are_not_utf8(shop, call, monkeypatch, tmp_path):
    """The file and the line are named; a byte order mark, which editors of Windows write, is no part of the first one."""
    script = tmp_path / "script.sql"
    script.write_bytes(b"-- 1. first\r\nSELECT 1;\r\nSELECT '\xff'")
    tells(call("query", "--file", script, "--lake", shop / "lake"), 2, f"line 3 of {script} is not UTF-8")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\xff")))
    tells(call("query", "--file", "-", "--lake", shop / "lake"), 2, "line 1 of stdin is not UTF-8")
    script.write_bytes(b"\xef\xbb\xbf-- 1. first\r\nSELECT 1 AS a;\r\n")
    (answer,) = call("query", "--file", script, "--lake", shop / "lake", "--format", "json").json
    assert (answer["name"], answer["rows"]) == ("first", [[1]])


def test_a_long_statement_shows_how_far_it_is(monkeypatch):
    """On a terminal, once a person has waited; never in a pipe."""
    monkeypatch.setattr(asking, "_PATIENCE", 0.0)
    asked = threading.Event()

    def share():
        asked.set()
        return 0.5

    with ThreadPoolExecutor(1) as thread:
        monkeypatch.setattr(sys, "stderr", io.StringIO())
        asking._show_progress(thread.submit(time.sleep, 0.01), share)
        assert not asked.is_set()
        monkeypatch.setattr(sys, "stderr", Terminal())
        asking._show_progress(thread.submit(asked.wait, 60), share)
        assert asked.is_set()
