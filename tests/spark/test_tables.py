"""Iceberg's own library for Spark reads every table, and the queries run there unchanged with the same rows."""

from decimal import Decimal

import pyarrow as pa
import pytest

import shoplake
from shoplake import queries
from shoplake.engines import spark_session
from shoplake.lake import parquet
from shoplake.lake.catalog import Lake
from shoplake.tables import EVENTS, TABLES
from tests.support import command, event, events, ingest, proof, proofs, put


@pytest.fixture(scope="module")
def lake(session, tmp_path_factory):
    """A lake that both engines wrote to, with files replaced and in two days."""
    folder = tmp_path_factory.mktemp("tables") / "a [lake] of {both}, 100%"
    put(folder / "raw", 0, [*events(40), event(900, timestamp="2025-11-19T01:00:00Z"), b"broken", b"\xff"])
    ingest(folder / "raw", folder / "lake", engine="duckdb")
    put(folder / "raw", 1, [*events(40, first=30), event(901, "purchase", user_id="ü\u2028\0", extra={"a": 1})])
    ingest(folder / "raw", folder / "lake", engine="spark")
    put(folder / "raw", 0, [*events(35), b"broken"])
    ingest(folder / "raw", folder / "lake", engine="duckdb")
    assert command("erase", "--user", "u_5", "--lake", folder / "lake", "--yes").code == 0
    return folder / "lake"


def rows(frame):
    return sorted((tuple(row) for row in frame.collect()), key=repr)


def some(of, *names):
    """Of these names in `make test`, the others in the proofs."""
    return [one if one.name in names else proofs(one)[0] for one in of]


@pytest.mark.parametrize("table", some(TABLES, "events", "user_hourly"), ids=lambda table: table.name)
def test_rows(iceberg, lake, table):
    """Every row of a table, value by value."""
    spark_session.show(iceberg, Lake(lake).view())
    with shoplake.open(lake) as opened:
        expected = sorted(opened.sql(f"SELECT * FROM {table.name}").fetchall(), key=repr)
    assert rows(iceberg.table(table.name)) == expected
    assert expected


QUERIES = some([*queries.five(), *queries.oracle(), *queries.metrics()], "hourly_revenue", "user_activity")


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.name)
def test_queries(iceberg, lake, query):
    """queries.sql, the oracle and the metrics, unchanged: the same rows in the same order."""
    spark_session.show(iceberg, Lake(lake).view())
    iceberg.sql(f"CREATE OR REPLACE TEMPORARY VIEW sessions AS {queries.sql('view_sessions')}")
    with shoplake.open(lake) as opened:
        expected = opened.sql(query.sql).fetchall()
    assert [tuple(row) for row in iceberg.sql(query.sql).collect()] == expected
    assert expected


def test_empty_lake(iceberg, tmp_path):
    """Tables that have no rows yet are there, empty."""
    Lake(tmp_path).create()
    spark_session.show(iceberg, Lake(tmp_path).view())
    assert [iceberg.table(table.name).count() for table in TABLES] == [0] * len(TABLES)


@proof
def test_large_dictionaries(session, tmp_path):
    """A data file whose dictionary has several megabytes, and prices in eight bytes: every value arrives."""
    number = 300_000
    rows = pa.table(
        {
            "event_time": pa.array(range(number), pa.timestamp("us")),
            "user_id": pa.array([f"user-{place % 200_000:020}" for place in range(number)]).dictionary_encode(),
            "quantity": pa.array([2**31 - 1, None, 1] * (number // 3), pa.int32()),
            "price": pa.array([Decimal("9999999999.99"), None, Decimal("0.01")] * (number // 3), pa.decimal128(12, 2)),
        }
    )
    for name in set(EVENTS.column_names) - set(rows.column_names):
        rows = rows.append_column(name, pa.nulls(number, pa.string()))
    (tmp_path / "file.parquet").write_bytes(parquet.encode(EVENTS, rows)[0])
    found = session.read.parquet(str(tmp_path)).select("user_id", "quantity", "price").collect()
    assert found == list(
        map(tuple, zip(*(rows.column(name).to_pylist() for name in ("user_id", "quantity", "price")), strict=True))
    )
