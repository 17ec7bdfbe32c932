"""What Spark does otherwise, as docs/engine-quirks.md says, and why raw lines are not read by its JSON reader."""

import json

import pytest
from py4j.protocol import Py4JJavaError
from pyspark.errors import AnalysisException

from shoplake.engines.spark import SparkEngine
from shoplake.errors import FatalError
from shoplake.lake.catalog import Lake
from shoplake.parsing import parse_line
from shoplake.queries import sql
from shoplake.tables import EVENTS
from tests.spark.test_parity import tables
from tests.support import dump, event, events, ingest, proofs, put

# A line, what Spark's reader makes of its user_id, and what the contract says.
READ_OTHERWISE = {
    "of a repeated key the last wins": (b'{"user_id": "first", "user_id": "second"}', ["second"], "first"),
    "what follows an object is ignored": (b'{"user_id": "a"} trailing', ["a"], None),
    "of two objects the second is ignored": (b'{"user_id": "a"}{"user_id": "b"}', ["a"], None),
    "an array is unfolded": (b'[{"user_id": "a"}]', ["a"], None),
    "single quotes are quotes": (b"{'user_id': 'a'}", ["a"], None),
    "half a surrogate pair is a question mark": (b'{"user_id": "\\ud800"}', ["?"], None),
    "a carriage return ends a line": (b'{"user_id": "a"}\r{"user_id": "b"}', ["a", "b"], None),
    "numbers pass through a double": (b'{"user_id": 12345678901234567890.5}', ["1.2345678901234567E19"], None),
}


WHOLE = json.dumps(event(7)).encode()
# The same in whole events, and the user_id that shoplake on Spark keeps; those without one are malformed.
JUDGED = [
    (WHOLE.replace(b"{", b'{"user_id": "first", ', 1), "first"),
    (WHOLE + b" trailing", None),
    (WHOLE + WHOLE, None),
    (b"[" + WHOLE + b"]", None),
    (WHOLE.replace(b'"', b"'"), None),
    (WHOLE.replace(b'"u_0"', b'"\\ud800"'), None),
    (WHOLE + b"\r" + WHOLE, None),
    (WHOLE.replace(b'"u_0"', b"12345678901234567890.5"), "12345678901234567890.5"),
]


ONE, *OTHERS = READ_OTHERWISE


@pytest.mark.parametrize("name", [ONE, *proofs(*OTHERS)])
def test_json(session, tmp_path, name):
    """Spark's JSON reader forgives what the contract does not."""
    raw, read, meant = READ_OTHERWISE[name]
    (tmp_path / "raw.jsonl").write_bytes(raw)
    rows = session.read.schema("user_id string").json(str(tmp_path / "raw.jsonl")).collect()
    assert [row["user_id"] for row in rows] == read
    parsed = parse_line(raw)
    assert parsed.fields["user_id"] != read[0]
    assert meant is None or parsed.fields["user_id"] == meant


def test_lines_are_judged_by_the_contract(session, tmp_path):
    """What Spark's reader would make of them plays no part where shoplake computes on Spark."""
    put(tmp_path / "raw", 0, [line for line, _ in JUDGED])
    ingest(tmp_path / "raw", tmp_path / "lake", engine="spark")
    found = dump(tmp_path / "lake")
    assert {row["user_id"] for row in found["events"]} == {user for _, user in JUDGED if user}
    malformed = {line.decode() for line, user in JUDGED if user is None}
    assert {row["raw"] for row in found["quarantine"]} == malformed
    assert all(row["reasons"] == ["malformed_json"] for row in found["quarantine"])


def test_date_trunc(session):
    """date_trunc of a time without a zone has one: it is cast back, in UTC."""
    rows = session.sql("SELECT date_trunc('hour', TIMESTAMP_NTZ '2025-11-18 14:23:45') AS hour")
    assert rows.dtypes == [("hour", "timestamp")]


def test_overflow(session, tmp_path):
    """A sum that overflows is NULL in Spark by default, and an error in the engine's own session."""
    too_much = "SELECT sum(CAST('9e35' AS DECIMAL(38,2))) AS revenue FROM range(12)"
    assert session.sql(too_much).collect()[0]["revenue"] is None
    with pytest.raises(Py4JJavaError, match="ARITHMETIC_OVERFLOW"):
        SparkEngine(session, Lake(tmp_path))._spark.sql(too_much).collect()


def test_folders_become_columns(session, tmp_path):
    """Spark makes columns of folders named key=value, and patterns of brackets: the engine reads data files without either.

    Each is one path to Spark: told not to look for patterns, it would take all of them anew for each that looks like one.
    """
    lake = tmp_path / "a [b] of {c, d}, *?\\ 100%"
    put(tmp_path / "raw", 0, events(20))
    put(tmp_path / "raw", 1, [event(900, timestamp="2025-11-19T01:00:00Z")])
    ingest(tmp_path / "raw", tmp_path / "duckdb", engine="duckdb")
    ingest(tmp_path / "raw", lake, engine="spark")
    assert "event_time_hour" in session.read.parquet(str(tmp_path / "duckdb" / "events" / "data")).columns
    with pytest.raises(AnalysisException, match="PATH_NOT_FOUND"):
        session.read.parquet(str(lake / "events" / "data"))
    files = Lake(lake).view()["events"].files
    read = SparkEngine(session, Lake(lake))._read(EVENTS, [file.path for file in files])
    assert read.columns == [column.name for column in EVENTS.columns]
    relation = read._jdf.queryExecution().analyzed().relation().location()
    assert relation.rootPaths().size() == len(files) == 2
    put(tmp_path / "raw", 2, events(20, first=10))
    ingest(tmp_path / "raw", lake, engine="spark")
    ingest(tmp_path / "raw", tmp_path / "duckdb", engine="duckdb")
    assert tables(lake) == tables(tmp_path / "duckdb")


def test_file_that_cannot_be_read(session, tmp_path):
    """A cluster may be set to go on without the rest of such a file: the engine does not."""
    put(tmp_path / "raw", 0, events(20))
    ingest(tmp_path / "raw", tmp_path / "lake", engine="spark")
    (file,) = (tmp_path / "lake" / "events" / "data").rglob("*.parquet")
    content = file.read_bytes()
    file.write_bytes(content[:200] + b"?" * 300 + content[500:])
    put(tmp_path / "raw", 1, events(20, first=10))  # the stored events of these times are looked at
    conf = session.sparkContext._jsc.sc().conf()
    conf.set("spark.sql.files.ignoreCorruptFiles", "true")
    try:
        assert session.newSession().conf.get("spark.sql.files.ignoreCorruptFiles") == "true"
        with pytest.raises(FatalError, match="Spark could not"):
            ingest(tmp_path / "raw", tmp_path / "lake", engine="spark")
    finally:
        conf.remove("spark.sql.files.ignoreCorruptFiles")


def test_suspects(session):
    """Only rows with an equal time, user and session are compared; few of a batch are."""
    rows = [f"({second}, 'u', 's', {second % 2})" for second in (0, 1, 2, 2, 3)]
    session.sql(
        "SELECT timestamp_seconds(column1) AS event_time, column2 AS user_id, column3 AS session_id, column4 AS other"
        f" FROM VALUES {', '.join(rows)} AS t(column1, column2, column3, column4)"
    ).createOrReplaceTempView("candidates")
    found = session.sql(sql("suspects.spark")).collect()
    assert [row["event_time"].second for row in found] == [2, 2]


def test_time_zone(session, tmp_path):
    """The zone of the machine matters to nobody, not even where its clocks skip the hour of an event."""
    zones = session.sparkContext._jvm.java.util.TimeZone
    before = zones.getDefault()
    put(tmp_path / "raw", 0, [event(0, timestamp="2025-03-09T02:30:00Z"), event(1, timestamp="2025-03-09T07:30:00Z")])
    zones.setDefault(zones.getTimeZone("America/New_York"))
    try:
        ingest(tmp_path / "raw", tmp_path / "spark", engine="spark")
    finally:
        zones.setDefault(before)
    ingest(tmp_path / "raw", tmp_path / "duckdb", engine="duckdb")
    spark, duckdb = dump(tmp_path / "spark"), dump(tmp_path / "duckdb")
    for name in ("events", "product_hourly", "session_hourly", "activity_daily"):
        assert spark[name] == duckdb[name]
    assert {row["event_hour"].hour for row in spark["user_hourly"]} == {2, 7}
