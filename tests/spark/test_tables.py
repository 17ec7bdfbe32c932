"""Iceberg's own library for Spark reads every table, and the queries run there unchanged with the same rows."""

import pytest

import shoplake
from shoplake import queries
from shoplake.engines import spark_session
from shoplake.lake.catalog import Lake
from shoplake.tables import TABLES
from tests.support import command, event, events, ingest, put


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


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_rows(iceberg, lake, table):
    """Every row of a table, value by value."""
    spark_session.show(iceberg, Lake(lake).view())
    with shoplake.open(lake) as opened:
        expected = sorted(opened.sql(f"SELECT * FROM {table.name}").fetchall(), key=repr)
    assert rows(iceberg.table(table.name)) == expected
    assert expected


@pytest.mark.parametrize("query", [*queries.five(), *queries.oracle()], ids=lambda query: query.name)
def test_queries(iceberg, lake, query):
    """queries.sql and the oracle, unchanged: the same rows in the same order."""
    spark_session.show(iceberg, Lake(lake).view())
    with shoplake.open(lake) as opened:
        expected = opened.sql(query.sql).fetchall()
    assert [tuple(row) for row in iceberg.sql(query.sql).collect()] == expected
    assert expected


def test_empty_lake(iceberg, tmp_path):
    """Tables that have no rows yet are there, empty."""
    Lake(tmp_path).create()
    spark_session.show(iceberg, Lake(tmp_path).view())
    assert [iceberg.table(table.name).count() for table in TABLES] == [0] * len(TABLES)
