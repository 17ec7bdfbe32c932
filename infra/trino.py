"""``make trino``: Athena's engine reads the tables and the raw events, and answers the questions and metrics, on this machine.

Half of the lake is written by DuckDB and half by Spark: by the Glue job, with the arguments that the template gives it. AWS
is moto, an emulator. The tables are found by the Glue Data Catalog that both keep in step, as Athena finds them, and by
``shoplake catalog``, as any other Trino finds them: those on S3, and those of a copy in a folder.

Trino comes from Maven Central (0.8 GB, once; two of its plugins are unpacked, 0.2 GB) and needs Java 24 or newer:
``JAVA_HOME``, or one below /usr/lib/jvm. Spark needs Java 17, from a Python package, and Hadoop's S3 client (0.3 GB, once).
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from unittest.mock import patch

import boto3
from moto.glue.responses import GlueResponse

from infra import ddl, emulate, grade, trino_server
from infra.trino_server import Trino
from shoplake import api, queries
from shoplake.lake.reader import OpenLake
from shoplake.tables import TABLES
from shoplake.web import rest_catalog

FILES = 2  # of each engine; DuckDB's end in the hour that Spark's begin in
SPARK = """--packages org.apache.hadoop:hadoop-aws:3.3.4
--conf spark.hadoop.fs.s3.impl=org.apache.hadoop.fs.s3a.S3AFileSystem
--conf spark.hadoop.fs.s3a.endpoint={url}
--conf spark.hadoop.fs.s3a.path.style.access=true
pyspark-shell
"""


@contextmanager
def attachable(place: str) -> Iterator[str]:
    """``shoplake catalog`` for a lake; gives its URL."""
    words = [sys.executable, "-m", "shoplake", "catalog", "--lake", place, "--port", "0"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - our own words
        try:
            said = process.stdout.readline() if process.stdout else ""
            if not said:
                sys.exit("shoplake catalog did not start: see what it says above")
            yield said.split()[-1]
        finally:
            process.terminate()


def by_spark(stack: emulate.Stack) -> None:
    """Run the Glue job on this machine, with the arguments of the template.

    Raises:
        SystemExit: It failed; what it said is on the terminal.
    """
    given = stack.resources["Job"]["Properties"]["DefaultArguments"]
    words = [word for name in ("--source", "--lake", "--database") for word in (name, given[name])]
    options = SPARK.format(url=os.environ["AWS_ENDPOINT_URL"]).split()
    environment = {**os.environ, "PYSPARK_SUBMIT_ARGS": " ".join(options)}
    jobs = Path(__file__).parents[1] / "jobs"
    done = subprocess.run(  # noqa: S603 - our own words
        [sys.executable, jobs / "local.py", jobs / "glue_build_pipeline.py", "--JOB_NAME", "trino", *words],
        env=environment,
        check=False,
    )
    if done.returncode:
        sys.exit("the Glue job failed on this machine: see what it says above")


def ask_the_lake(checks: grade.Checks, trino: Trino, lake: OpenLake, catalog: str, schema: str) -> None:
    """The five questions, their oracle, the metrics, and all rows of each table."""
    for query in (*queries.five(), *queries.oracle()):
        name = f"{'queries.sql' if query in queries.five() else 'grading/queries.sql'} {query.name}"
        checks.ask(f"{catalog}: {name}", trino.ask(query.sql, catalog, schema), lake.sql(query.sql).fetchall())
    for query in queries.metrics():  # no catalog has the view of whole sessions
        sql = re.sub(r"\bFROM sessions\b", f"FROM ({queries.sql('view_sessions')}) AS sessions", query.sql)
        checks.ask(f"{catalog}: metric {query.name}", trino.ask(sql, catalog, schema), lake.sql(query.sql).fetchall())
    for table in lake.tables:
        sql = f"SELECT count(*) FROM {table}"
        if table in ("user_hourly", "session_hourly"):  # whose parts shoplake adds up
            sql = f"SELECT count(*) FROM (SELECT DISTINCT event_hour, {table.split('_')[0]}_id FROM {table})"
        checks.ask(f"{catalog}: rows of {table}", trino.ask(sql, catalog, schema), lake.sql(sql).fetchall())


def ask_to_write(checks: grade.Checks, trino: Trino) -> None:
    """Through the REST catalog nothing is created, changed or dropped."""
    for sql in ("CREATE SCHEMA mine", "CREATE TABLE mine AS SELECT 1 AS one", "DROP TABLE erasures"):
        try:
            trino.ask(sql, "lake", rest_catalog.NAMESPACE)
            said = "it was done"
        except RuntimeError as error:
            said = str(error).lower()
        refused = "refused" if "not support" in said or "read-only" in said else said
        checks.ask(f"lake: {sql}", refused, "refused")


def ask_raw(checks: grade.Checks, trino: Trino, lake: OpenLake, database: str, table: str) -> None:
    """The raw table, by the files that its rows came from."""
    counted = trino.ask(
        "SELECT regexp_extract(\"$path\", '[^/]+$'), count(*), count(try_cast(price AS decimal(12, 2)))"
        f" FROM {table} WHERE day = 'year=2025/month=11/day=18' GROUP BY 1 ORDER BY 1",
        "raw",
        database,
    )
    files = lake.sql(
        "SELECT regexp_extract(source_file, '[^/]+$'), count(*), count(price) FROM events GROUP BY 1 ORDER BY 1"
    ).fetchall()
    checks.ask(f'{table} by "$path": lines and prices of each file', counted, files)
    days = {"year=2025/month=11/day=17": 0, "year=2025/month=11/day=18": sum(lines for _, lines, _ in files)}
    for day, lines in days.items():
        found = trino.ask(f"SELECT count(*), count(DISTINCT day) FROM {table} WHERE day = '{day}'", "raw", database)
        checks.ask(f"{table} of {day}", found, [(lines, min(lines, 1))])


def ask_statements(checks: grade.Checks, trino: Trino, stack: emulate.Stack, database: str) -> None:
    """The tables of infra/athena.sql: made by Trino, the raw one is the template's, and the others take the lake's rows."""
    raw = ddl.raw(stack)
    # moto knows no statistics of columns; Trino removes those of a new table, of which there are none.
    with patch.object(GlueResponse, "delete_column_statistics_for_table", lambda _: "{}", create=True):
        trino.ask(ddl.trino_raw(raw, "raw_again"), "raw", database)
    made = boto3.client("glue").get_table(DatabaseName=database, Name="raw_again")["Table"]
    properties = {key: value for key, value in raw["Parameters"].items() if key.startswith(("projection", "storage"))}
    checks.ask(
        "raw_again has the projection of the template",
        {key: str(value).lower() for key, value in made["Parameters"].items() if key in properties},
        {key: str(value).lower() for key, value in properties.items()},
    )
    for table in TABLES:
        trino.ask(ddl.trino_table(table, f"copy_{table.name}"), "iceberg", database)
        trino.ask(f"INSERT INTO copy_{table.name} SELECT * FROM {table.name}", "iceberg", database)
        differ = f"SELECT count(*) FROM ((TABLE {table.name} EXCEPT TABLE copy_{table.name}) UNION ALL"
        differ += f" (TABLE copy_{table.name} EXCEPT TABLE {table.name}))"
        checks.ask(f"rows of {table.name} that its copy has otherwise", trino.ask(differ, "iceberg", database), [(0,)])


def main() -> None:
    """Make a small lake by the template, and ask Trino."""
    if find_spec("awsglue") is None:
        sys.exit(
            "the Glue job needs awsgluedataplanepython, which Python 3.12 and newer do not install: take Python 3.11"
        )
    server = trino_server.installed()
    checks = grade.Checks()
    with grade.emulator():
        stack = emulate.Stack({"StudentId": "grader", "MinEvents": "20000", "MaxEvents": "20000"}, grade.REGION)
        emulate.create(stack, grade.STACK)
        written = {}
        for engine, ingest, first in (("duckdb", grade.ingest, 0), ("spark", by_spark, 12)):
            slots = range(first, first + FILES)
            written[engine] = sum(grade.generate(stack, grade.FIRST + slot * grade.SLOT)["events"] for slot in slots)
            ingest(stack)
        database, place = stack.outputs["GlueDatabaseName"], stack.outputs["AnalyticalDatasetS3Uri"].rstrip("/")
        print(f"{sum(written.values()):,} events in {place}; starting Trino {trino_server.VERSION}", flush=True)
        with (
            tempfile.TemporaryDirectory(prefix="lake-") as folder,
            attachable(place) as rest,
            attachable(api.copy(place, folder).dest) as rest_of_folder,
            trino_server.running(server, os.environ["AWS_ENDPOINT_URL"], rest, rest_of_folder) as trino,
            api.open(place) as lake,
        ):
            ask_the_lake(checks, trino, lake, "iceberg", database)
            ask_the_lake(checks, trino, lake, "lake", rest_catalog.NAMESPACE)
            ask_the_lake(checks, trino, lake, "folder", rest_catalog.NAMESPACE)
            ask_to_write(checks, trino)
            engines = trino.ask("SELECT engine, sum(accepted) FROM ledger GROUP BY 1", "iceberg", database)
            checks.ask("half of the events by DuckDB, half by Spark", dict(engines), written)
            ask_raw(checks, trino, lake, database, "raw_events")
            ask_statements(checks, trino, stack, database)
            ask_raw(checks, trino, lake, database, "raw_again")
    print("All as it should be." if checks.good else "Something is not as it should be.")
    sys.exit(0 if checks.good else 1)


if __name__ == "__main__":
    main()
