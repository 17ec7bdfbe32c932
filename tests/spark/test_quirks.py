"""What Spark does otherwise, as docs/engine-quirks.md says, and why raw lines are not read by its JSON reader."""

import pytest

from shoplake.contract import parse_line
from shoplake.engines.stored import sql
from shoplake.lake import Lake
from tests.support import dump, event, ingest, put

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


@pytest.mark.parametrize("name", READ_OTHERWISE)
def test_json(session, tmp_path, name):
    """Spark's JSON reader forgives what the contract does not; shoplake on Spark judges as everywhere."""
    raw, read, meant = READ_OTHERWISE[name]
    (tmp_path / "raw.jsonl").write_bytes(raw)
    rows = session.read.schema("user_id string").json(str(tmp_path / "raw.jsonl")).collect()
    assert [row["user_id"] for row in rows] == read
    parsed = parse_line(raw)
    assert parsed.fields["user_id"] != read[0]
    assert meant is None or parsed.fields["user_id"] == meant


def test_date_trunc(session):
    """date_trunc of a time without a zone has one: the gold rows are cast to the declared types, in UTC."""
    rows = session.sql("SELECT date_trunc('hour', TIMESTAMP_NTZ '2025-11-18 14:23:45') AS hour")
    assert rows.dtypes == [("hour", "timestamp")]


def test_overflow(session, tmp_path):
    """A sum that overflows is NULL in Spark by default, and an error in the engine's own session."""
    from py4j.protocol import Py4JJavaError

    from shoplake.engines.spark import SparkEngine

    too_much = "SELECT sum(CAST('9e35' AS DECIMAL(38,2))) AS revenue FROM range(12)"
    assert session.sql(too_much).collect()[0]["revenue"] is None
    with pytest.raises(Py4JJavaError, match="ARITHMETIC_OVERFLOW"):
        SparkEngine(session, Lake(tmp_path))._spark.sql(too_much).collect()


def test_min_of_a_text(session):
    """Only numbers are aggregated by hashing; the sort of a session's events begins with the session."""
    session.range(10).selectExpr(
        "timestamp_ntz '2025-11-18 14:00:00' AS event_time",
        *(f"CAST(id AS string) AS {name}" for name in ("session_id", "user_id", "event_type")),
        "CAST(id AS int) AS quantity",
        "CAST(id AS decimal(12,2)) AS price",
    ).createOrReplaceTempView("events")
    plan = session.sql(sql("gold_session_hourly"))._jdf.queryExecution().sparkPlan().toString()
    assert "SortAggregate(key=[session_id" in plan
    assert "HashAggregate" not in plan
    numbers = session.sql("SELECT session_id, min(quantity) FROM events GROUP BY session_id")
    assert "HashAggregate" in numbers._jdf.queryExecution().sparkPlan().toString()


def test_folders_become_columns(session, tmp_path):
    """Spark makes columns of folders named key=value, and patterns of brackets: data files are read without either."""
    put(tmp_path / "raw", 0, [event(0)])
    ingest(tmp_path / "raw", tmp_path / "lake", engine="duckdb")
    read = session.read.parquet(str(tmp_path / "lake" / "events" / "data"))
    assert "event_time_hour" in read.columns


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
