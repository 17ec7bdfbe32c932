"""infra/athena.sql: the tables as statements, in step with the template and the code, read by a parser of such statements."""

from __future__ import annotations

import re
from typing import Any

import pytest

from infra import ddl, emulate
from shoplake import queries
from shoplake.lake.metadata import new_table
from shoplake.tables import TABLES
from tests.aws.support import REGION


@pytest.fixture(scope="module")
def plans(session: Any) -> dict[str, Any]:
    """What Spark's parser, which reads Hive's statements, makes of each statement of the file, by the table's name."""
    parser = session._jsparkSession.sessionState().sqlParser()
    file = ddl.FILE.read_text("utf-8").replace("${", "#{")  # Spark would put its own variables there
    texts = [text for text in file.split(";\n") if re.search("^CREATE.* TABLE", text, re.MULTILINE)]
    found = [parser.parsePlan(text) for text in texts]
    return {plan.name().nameParts().head(): plan for plan in found}


def properties(plan: Any) -> dict[str, str]:
    given = plan.tableSpec().properties()
    keys = given.keysIterator()
    found = {}
    while keys.hasNext():
        key = keys.next()
        found[key] = given.apply(key).replace("#{", "${")
    return found


def test_the_file_is_made_of_the_template_and_the_tables_as_they_are_now():
    assert ddl.FILE.read_text("utf-8") == ddl.athena(), "run make template"


def test_the_view_is_the_lakes_own():
    (view,) = [
        text for text in ddl.FILE.read_text("utf-8").split(";\n") if "CREATE OR REPLACE VIEW sessions AS" in text
    ]
    assert queries.sql("view_sessions").partition("SELECT")[2].strip() == view.partition("SELECT")[2].strip()


@pytest.mark.spark
def test_the_raw_table_is_the_one_of_the_stack(plans: dict[str, Any]):
    plan, table = plans["raw_events"], ddl.raw(emulate.Stack({"StudentId": "X"}, REGION))
    columns = [*table["StorageDescriptor"]["Columns"], *table["PartitionKeys"]]
    assert [(field.name(), field.dataType().simpleString()) for field in plan.tableSchema().fields()] == [
        (column["Name"], column["Type"]) for column in columns
    ]
    assert plan.partitioning().mkString(",") == "identity(day)"
    spec = plan.tableSpec()
    assert spec.external()
    assert spec.location().get() == "s3://capstone-events-X-ACCOUNT/events/"
    assert spec.serde().get().serde().get() == "org.openx.data.jsonserde.JsonSerDe"
    expected = {key: value.replace(emulate.ACCOUNT, "ACCOUNT") for key, value in table["Parameters"].items()}
    assert {"EXTERNAL": "TRUE", **properties(plan)} == expected


@pytest.mark.spark
@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_each_table_of_the_lake_has_its_columns_and_partitions(plans: dict[str, Any], table: Any):
    plan, document = plans[table.name], new_table(table, "nowhere")
    schema = document["schemas"][0]["fields"]
    assert list(plan.tableSchema().fieldNames()) == [field["name"] for field in schema]
    (partition,) = document["partition-specs"][0]["fields"]
    column = schema[partition["source-id"] - 1]["name"]
    assert plan.partitioning().mkString(",") == f"{partition['transform']}({column})"
    assert properties(plan)["table_type"] == "ICEBERG"


def test_trino_makes_the_same_tables():
    """infra/trino.py runs these; here only that every column is in them, in order."""
    for table in TABLES:
        text = ddl.trino_table(table, "copy")
        places = [text.index(f"\n  {name} ") for name in table.column_names]
        assert places == sorted(places)
