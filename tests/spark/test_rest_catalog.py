"""Spark SQL attaches to a lake by its REST catalog, with Iceberg's own client."""

import pytest
from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException

import shoplake
from shoplake import queries
from shoplake.lake import parts
from shoplake.tables import TABLES
from tests.support import everywhere, ingest, proof, put
from tests.web.serving import served
from tests.web.support import build


@pytest.fixture
def attached(iceberg, place):
    """A session with the catalog ``lake``, and the lake."""
    source, lake = build(place)
    put(source, 4, [b"broken"])
    ingest(source, lake)
    with served(lake) as url:
        settings = {"": "org.apache.iceberg.spark.SparkCatalog", ".type": "rest", ".uri": url, ".warehouse": "pinned"}
        settings[".io-impl"] = "org.apache.iceberg.hadoop.HadoopFileIO"
        for name, value in settings.items():
            iceberg.conf.set(f"spark.sql.catalog.lake{name}", value)
        iceberg.conf.set("spark.sql.catalog.lake.cache-enabled", "false")
        iceberg.sql("USE lake.shop")
        with shoplake.open(str(lake)) as opened:
            yield iceberg, opened


@proof
@everywhere
def test_by_url(attached):
    """All rows of all tables, and the queries unchanged."""
    spark, lake = attached
    assert {row.tableName for row in spark.sql("SHOW TABLES").collect()} == set(lake.tables)
    for table in TABLES:
        sql = f"SELECT * FROM {table.name}"
        if table.unit:  # as shoplake shows the parts of an hour
            columns = (
                parts.combined(table).replace("AS VARCHAR", "AS STRING").replace("AS TIMESTAMP", "AS TIMESTAMP_NTZ")
            )
            sql = f"SELECT {columns} FROM {table.name} GROUP BY {table.key}, {table.unit}"
        seen = sorted((tuple(row) for row in spark.sql(sql).collect()), key=repr)
        assert seen == sorted(lake.sql(f"SELECT * FROM {table.name}").fetchall(), key=repr), table.name
    for query in [*queries.five(), *queries.oracle()]:
        expected = lake.sql(query.sql).fetchall()
        assert [tuple(row) for row in spark.sql(query.sql).collect()] == expected
        assert expected


@proof
@pytest.mark.parametrize("place", ["tmp_path"], indirect=True)
@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TABLE lake.shop.mine AS SELECT 1 AS one",
        "DELETE FROM lake.shop.events WHERE quantity = 1",
        "INSERT INTO lake.shop.activity_daily SELECT * FROM lake.shop.activity_daily",
        "DROP TABLE lake.shop.events",
        "CREATE NAMESPACE lake.mine",
    ],
)
def test_nothing_is_written(attached, sql):
    """Spark is told that the catalog does not do that; the rows stay."""
    spark, lake = attached
    rows = spark.table("lake.shop.events").count()
    with pytest.raises((PySparkException, Py4JJavaError), match="does not support endpoint"):
        spark.sql(sql)
    assert spark.table("lake.shop.events").count() == rows == lake.sql("SELECT * FROM events").shape[0]
