"""docs/howto/tools.md: each snippet is executed with the real tool, and the answers are the lake's own."""

import json
import os
import re
import shutil
import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from textwrap import dedent

import pytest

import shoplake
from shoplake import queries
from shoplake.engines import java
from shoplake.tables import PRODUCT_HOURLY
from shoplake.text import json_value
from tests.s3 import server
from tests.support import events, ingest, proof, put
from tests.tools import superset
from tests.tools.environments import environment, run
from tests.web.serving import served
from tests.web.support import build

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "howto" / "tools.md").read_text("utf-8")
URL = "http://127.0.0.1:8181"


def snippets(tool, kind):
    """The blocks of a kind below a tool's heading."""
    section = re.search(rf"^## {tool}.*?\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert section, tool
    found = re.findall(rf"^```{kind}\n(.*?)^```$", section[1], re.MULTILINE | re.DOTALL)
    assert found, f"{tool}: {kind}"
    return found


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A folder with a lake of four batches, and where its catalog is."""
    folder = tmp_path_factory.mktemp("shop")
    source, lake = build(folder)
    put(source, 4, events(40, first=900))
    ingest(source, lake)
    with served(lake) as url:
        yield folder, url.rstrip("/")


@pytest.fixture
def lake(shop):
    with shoplake.open(shop[0] / "lake") as opened:
        yield opened


def python(shop, text, **more):
    """What a program prints, in this environment."""
    return run(Path(sys.executable).parent, [sys.executable, "-"], shop[0], text.replace(URL, shop[1]), **more)


@proof
def test_pyiceberg_pandas_and_polars(shop, lake):
    """In one program, as they share their imports."""
    texts = [*snippets("PyIceberg", "python"), *snippets("Polars", "python")]
    found = python(shop, "\n".join(texts), POLARS_ICEBERG_PLANNER="pyiceberg")
    (purchases,) = lake.sql("SELECT count(*) FROM events WHERE event_type = 'purchase'").fetchall()[0]
    assert found.splitlines()[0] == str(purchases)
    for day, users, *_ in lake.query("user_activity").fetchall():
        assert re.search(rf"{day} +{users}\b", found)
    for category, revenue in lake.sql("SELECT category, sum(revenue) FROM product_hourly GROUP BY 1").fetchall():
        assert f"┆ {revenue} " in found, category


def test_trino():
    """What the page says is what make trino tries out."""
    text = "".join(snippets("Trino", "properties"))
    tried = (
        (ROOT / "infra" / "trino_server.py").read_text("utf-8").replace("{url}", URL).replace("\\n", "\n").splitlines()
    )
    for line in text.splitlines():
        setting = line.replace("eu-central-1", "{region}")
        assert any(given.endswith(setting) for given in tried), line


def test_versions():
    """The page names the versions that the proofs install."""
    pins = dict(
        line.split("==")
        for path in Path(__file__).parent.glob("*.txt")
        for line in path.read_text().splitlines()
        if "==" in line
    )
    for package in ("dbt-core", "dbt-duckdb", "duckdb", "sqlmesh", "chdb", "apache-superset", "duckdb-engine"):
        assert pins[package] in PAGE, package


@proof
def test_duckdb(shop, lake):
    """The snippets, and the five queries unchanged, equal to the lake's own answers."""
    attach, scan = snippets("DuckDB", "sql")
    statements = [*attach.replace(URL, shop[1]).split(";")[:-2], *(query.sql for query in queries.five())]
    program = dedent(f"""
        import json, duckdb
        connection = duckdb.connect()
        found = []
        for sql in {[sql for sql in statements if sql.strip()]!r}:
            rows = connection.execute(sql).fetchall()
            found.append([[str(value) for value in row] for row in rows])
        found.append(connection.execute({scan!r}).fetchall()[0][0])
        print(json.dumps(found))
    """)
    *_, counted = found = json.loads(run(environment("duckdb"), ["python", "-"], shop[0], program))
    assert counted == lake.sql("SELECT * FROM events").shape[0]
    answers = found[-6:-1]
    for query, rows in zip(queries.five(), answers, strict=True):
        assert rows == [[str(value) for value in row] for row in lake.sql(query.sql).fetchall()]
    assert all(answers)


@proof
def test_spark(shop, lake):
    """As a program of its own, as a reader would run it."""
    (text,) = snippets("Spark", "python")
    found = python(shop, text, JAVA_HOME=str(java.find().home), HOME=str(Path.home()), PYSPARK_PYTHON=sys.executable)
    for day, users, *_ in lake.query("user_activity").fetchall():
        assert re.search(rf"{day}\| +{users}\|", found)


def clickhouse(shop, statements, last):
    """The rows of the last of some statements in one session."""
    program = dedent(f"""
        from chdb import session
        opened = session.Session()
        for sql in {statements!r}:
            opened.query(sql)
        print(opened.query({last!r}, "JSONCompact"))
    """)
    return json.loads(run(environment("chdb"), ["python", "-"], shop[0], program))["data"]


@proof
def test_clickhouse(shop, lake):
    """A table by its path, where the hint says; and the five queries."""
    text = snippets("ClickHouse", "sql")[0].replace("/srv/shop/lake", str(shop[0] / "lake")).replace(";", "")
    settings = f" {snippets('ClickHouse', 'sql')[2].strip()}, session_timezone = 'UTC'"
    unpublished = shop[0] / "lake" / "activity_daily" / "metadata" / "00099-0.metadata.json"
    unpublished.write_text("{}")
    try:
        rows = clickhouse(shop, [], text)
    finally:
        unpublished.unlink()
    assert rows == [[str(day), users] for day, users, *_ in lake.query("user_activity").fetchall()]
    made = [
        f"CREATE TABLE {name} ENGINE = IcebergLocal('{shop[0]}/lake/{name}') SETTINGS iceberg_use_version_hint = 1"
        for name in ("product_hourly", "activity_daily")
    ]
    for query in queries.five():
        sql = query.sql.replace(") AS category,\n    CAST(sum(events)", ") AS named,\n    CAST(sum(events)")
        sql = sql.replace("ORDER BY event_date, category", "ORDER BY event_date, named")
        expected = [json_value(list(row)) for row in lake.sql(query.sql).fetchall()]
        assert [comparable(row) for row in clickhouse(shop, made, sql + settings)] == list(map(comparable, expected))


def comparable(row: list) -> list[object]:
    """Numbers by their value, and times without what a tool appends to them."""
    found: list[object] = []
    for value in row:
        if isinstance(value, str) and re.match(r"\d{4}-\d\d-\d\d[ T]", value):
            found.append(value[:19].replace("T", " "))
        elif isinstance(value, int | float) or (isinstance(value, str) and re.fullmatch(r"\d+\.\d+", value)):
            found.append(float(Decimal(str(value))))
        else:
            found.append(value)
    return found


@proof
@pytest.mark.s3
def test_clickhouse_on_s3(s3_place, tmp_path):
    """By the catalog."""
    _, place = build(s3_place)
    with served(place) as url, shoplake.open(str(place)) as opened:
        text = snippets("ClickHouse", "sql")[1].replace(URL, url.rstrip("/"))
        text = text.replace("ACCESS_KEY_ID", server.KEYS["AWS_ACCESS_KEY_ID"], 1)
        text = text.replace("SECRET_ACCESS_KEY", server.KEYS["AWS_SECRET_ACCESS_KEY"])
        endpoint = f"{os.environ['AWS_ENDPOINT_URL']}/{server.BUCKET}"
        text = text.replace("https://s3.eu-central-1.amazonaws.com/my-bucket", endpoint)
        *first, last, _ = text.split(";")
        rows = clickhouse((tmp_path, url), first, last)
        assert rows == [[str(day), users] for day, users, *_ in opened.query("user_activity").fetchall()]


@proof
@pytest.mark.skipif(sys.version_info >= (3, 13), reason="Superset 6.1 needs libraries that exist up to Python 3.12")
def test_superset(shop, lake):
    """A database by its URI, a dataset, the data of a chart by day, and a query of SQL Lab."""
    page = (ROOT / "docs" / "howto" / "connect.md").read_text("utf-8")
    (recipe,) = [text for text in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "shop.duckdb" in text]
    python(shop, recipe)
    (uri,) = re.findall(r"`(duckdb:\S+)`", PAGE)
    (extra,) = snippets("Superset", "json")
    given = {"database_name": "shop", "sqlalchemy_uri": uri.replace("/srv/shop", str(shop[0])), "extra": extra}
    with superset.served(environment("superset"), shop[0] / "superset") as asked:
        database = asked.ask("database/", given | {"expose_in_sqllab": True})["id"]
        tables = asked.ask(f"database/{database}/tables/?q=(schema_name:main)")["result"]
        assert [table["value"] for table in tables] == ["activity_daily", "product_hourly"]
        made = asked.ask("dataset/", {"database": database, "schema": "main", "table_name": "product_hourly"})
        names = [column["column_name"] for column in made["data"]["columns"]]
        assert names == [column.name for column in PRODUCT_HOURLY.columns]
        by_day = {"expressionType": "SQL", "sqlExpression": "event_hour", "label": "day"}
        by_day |= {"timeGrain": "P1D", "columnType": "BASE_AXIS"}
        revenue = {"expressionType": "SQL", "sqlExpression": "sum(revenue)", "label": "revenue"}
        chart = {"columns": [by_day], "metrics": [revenue], "orderby": [["day", True]]}
        drawn = asked.ask("chart/data", {"datasource": {"id": made["id"], "type": "table"}, "queries": [chart]})
        statement = "SELECT CAST(event_date AS VARCHAR) AS day, unique_users FROM activity_daily ORDER BY day"
        found = asked.ask(
            "sqllab/execute/", {"database_id": database, "schema": "main", "client_id": "1", "sql": statement}
        )
    days = lake.sql("SELECT CAST(event_hour AS DATE), sum(revenue) FROM product_hourly GROUP BY 1 ORDER BY 1")
    rows = [
        (datetime.fromtimestamp(row["day"] / 1000, UTC).date(), row["revenue"]) for row in drawn["result"][0]["data"]
    ]
    assert rows == [(day, float(revenue)) for day, revenue in days.fetchall()]
    users = lake.query("user_activity").fetchall()
    assert found["data"] == [{"day": str(day), "unique_users": number} for day, number, *_ in users]


@proof
@pytest.mark.parametrize(("tool", "packages", "schema"), [("dbt", "duckdb", "main"), ("SQLMesh", "sqlmesh", "shop")])
def test_projects(shop, lake, tool, packages, schema):
    """The starter projects build, their tests pass, and their figures are the lake's."""
    (text,) = snippets(tool, "sh")
    text = text.replace("pip install", "true", 1)
    folder = shop[0] / "examples" / tool.lower()
    shutil.copytree(ROOT / "examples" / tool.lower(), folder)
    quiet = {"DO_NOT_TRACK": "1", "SQLMESH__DISABLE_ANONYMIZED_ANALYTICS": "1"}
    words = ["bash", "-euo", "pipefail", "-c", text]
    run(environment(packages), words, shop[0], SHOPLAKE_CATALOG=shop[1], **quiet)
    program = dedent(f"""
        import json, duckdb
        marts = duckdb.connect("examples/{tool.lower()}/marts.duckdb", read_only=True)
        asked = ("SELECT event_date, revenue, purchases, unique_users FROM {schema}.revenue_daily ORDER BY 1",
                 "SELECT product_id, page_views, purchases FROM {schema}.product_conversion ORDER BY 1")
        print(json.dumps([[[str(value) for value in row] for row in marts.sql(sql).fetchall()] for sql in asked]))
    """)
    daily, products = json.loads(run(environment(packages), ["python", "-"], shop[0], program))
    days = lake.sql("""
        SELECT event_date, sum(p.revenue), CAST(sum(p.purchases) AS BIGINT), any_value(unique_users)
        FROM activity_daily JOIN product_hourly p ON CAST(p.event_hour AS DATE) = event_date GROUP BY 1 ORDER BY 1
    """)
    assert daily == [[str(value) for value in row] for row in days.fetchall()]
    funnel = sorted(lake.query("conversion_funnel").fetchall())
    assert products == [[row[0], str(row[2]), str(row[4])] for row in funnel]
