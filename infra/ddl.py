"""Makes ``infra/athena.sql``, the tables as statements for Athena; ``infra/trino.py`` runs the same tables on Trino.

The stack needs none of them: CloudFormation makes ``raw_events``, and the job shows Athena the tables of the lake. They are
for who wants the raw table in another database, or empty tables of the same shape.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from infra import emulate
from shoplake import queries
from shoplake.lake.types import column_type
from shoplake.tables import TABLES, VIEWS, Table

FILE = Path(__file__).with_name("athena.sql")
_HEAD = """\
-- The tables as Athena's own statements. Made by infra/ddl.py (make template) from the template and src/shoplake/tables.py.
--
-- The stack needs none of them: it makes raw_events itself, and each run of the job shows Athena the tables of the lake. Run
-- them, one at a time, in another database: raw_events reads the same files there, the others are empty tables of the same
-- shape, for instance for INSERT INTO ... SELECT. Put your StudentId for X, your account's number for ACCOUNT, and a folder
-- of your own for s3://BUCKET/copy.
"""


def athena() -> str:
    """The text of the file."""
    stack = emulate.Stack({"StudentId": "X"}, "us-west-2")
    statements = [_athena_raw(raw(stack)), *map(_athena_table, TABLES), *map(_athena_view, VIEWS)]
    return _HEAD + "\n" + "\n".join(statements).replace(emulate.ACCOUNT, "ACCOUNT")


def raw(stack: emulate.Stack) -> dict[str, Any]:
    """The raw table as the template has it."""
    found: dict[str, Any] = stack.of("AWS::Glue::Table")[0]["TableInput"]
    return found


def trino_raw(table: dict[str, Any], name: str) -> str:
    """The statement that makes the raw table on Trino's Hive connector."""
    given, keys = table["Parameters"], [key["Name"] for key in table["PartitionKeys"]]
    quoted = ", ".join(f"'{key}'" for key in keys)
    columns = [f'"{column["Name"]}" varchar' for column in table["StorageDescriptor"]["Columns"]]
    for key in keys:
        low, high = given[f"projection.{key}.range"].split(",")
        about = [f"partition_projection_type = '{given[f'projection.{key}.type'].upper()}'"]
        about += [f"partition_projection_range = ARRAY['{low}', '{high}']"]
        about += ["partition_projection_format = '{}'".format(given[f"projection.{key}.format"].replace("'", "''"))]
        columns.append(f'"{key}" varchar WITH ({", ".join(about)})')
    properties = {
        "format": "'OPENX_JSON'",
        "external_location": f"'{table['StorageDescriptor']['Location']}'",
        "partitioned_by": f"ARRAY[{quoted}]",
        "partition_projection_enabled": "true",
        "partition_projection_location_template": f"'{given['storage.location.template']}'",
    }
    return f"CREATE TABLE {name} ({_listed(columns)}) WITH ({_listed(' = '.join(one) for one in properties.items())})"


def trino_table(table: Table, name: str) -> str:
    """The statement that makes a table of the lake, empty, on Trino's Iceberg connector."""
    columns = [f"{column.name} {column_type(column.type).trino}" for column in table.columns]
    return f"CREATE TABLE {name} ({_listed(columns)}) WITH (partitioning = ARRAY['{_transform(table)}'])"


def _athena_raw(table: dict[str, Any]) -> str:
    about = table["StorageDescriptor"]
    columns = [f"`{column['Name']}` {column['Type']}" for column in about["Columns"]]
    keys = [f"`{key['Name']}` {key['Type']}" for key in table["PartitionKeys"]]
    properties = {key: value for key, value in table["Parameters"].items() if key != "EXTERNAL"}
    return (
        f"CREATE EXTERNAL TABLE {table['Name']} ({_listed(columns)})\n"
        f"PARTITIONED BY ({_listed(keys)})\n"
        f"ROW FORMAT SERDE '{about['SerdeInfo']['SerializationLibrary']}'\n"
        f"WITH SERDEPROPERTIES ({_properties(about['SerdeInfo']['Parameters'])})\n"
        f"STORED AS INPUTFORMAT '{about['InputFormat']}'\n"
        f"OUTPUTFORMAT '{about['OutputFormat']}'\n"
        f"LOCATION '{about['Location']}'\n"
        f"TBLPROPERTIES ({_properties(properties)});\n"
    )


def _athena_table(table: Table) -> str:
    columns = [f"`{column.name}` {column_type(column.type).hive}" for column in table.columns]
    return (
        f"-- {table.grain}\n"
        f"CREATE TABLE {table.name} ({_listed(columns)})\n"
        f"PARTITIONED BY ({_transform(table)})\n"
        f"LOCATION 's3://BUCKET/copy/{table.name}/'\n"
        f"TBLPROPERTIES ({_properties({'table_type': 'ICEBERG', 'format': 'parquet'})});\n"
    )


def _athena_view(view: Table) -> str:
    text = "".join(
        line for line in queries.sql(f"view_{view.name}").splitlines(keepends=True) if not line.startswith("--")
    )
    return (
        f"-- {view.grain}, over all its hours: a view; run this one in the stack's own database to have it there\n"
        f"CREATE OR REPLACE VIEW {view.name} AS\n{text.rstrip()};\n"
    )


def _transform(table: Table) -> str:
    column, transform = table.partition
    return f"{transform}({column})"


def _properties(given: dict[str, str]) -> str:
    quote = {key: '"' if "'" in value else "'" for key, value in given.items()}  # Hive takes either around a text
    return _listed(f"'{key}' = {quote[key]}{value}{quote[key]}" for key, value in given.items())


def _listed(parts: Any) -> str:
    return "\n  " + ",\n  ".join(parts) + "\n"


def main() -> None:
    """Write the file, or with ``--check`` only say whether it is up to date."""
    if "--check" in sys.argv:
        if FILE.read_text("utf-8") != athena():
            sys.exit(f"{FILE.name} is not up to date: run make template")
        return
    FILE.write_text(athena(), "utf-8")
    print(f"wrote {FILE.name}")


if __name__ == "__main__":
    main()
