"""``make trino``: Athena's engine reads the tables and the raw events, and answers the questions and metrics, on this machine.

Half of the lake is written by DuckDB and half by Spark: by the Glue job, with the arguments that the template gives it. AWS
is moto, an emulator. The tables are found by the Glue Data Catalog that both keep in step, as Athena finds them, and by
``shoplake catalog``, as any other Trino finds them: those on S3, and those of a copy in a folder.

Trino comes from Maven Central (0.8 GB, once; two of its plugins are unpacked, 0.2 GB) and needs Java 24 or newer:
``JAVA_HOME``, or one below /usr/lib/jvm. Spark needs Java 17, from a Python package, and Hadoop's S3 client (0.3 GB, once).
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest.mock import patch

import boto3
from moto.glue.responses import GlueResponse

from infra import ddl, emulate, grade
from shoplake import api, queries
from shoplake.lake.reader import OpenLake
from shoplake.tables import TABLES
from shoplake.web import rest_catalog

VERSION = "476"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "shoplake"
JAR = Path.home() / f".m2/repository/io/trino/trino-server/{VERSION}/trino-server-{VERSION}.tar.gz"
PARTS = ("lib", "plugin/hive", "plugin/iceberg")
SECONDS_TO_START = 300
FILES = 2  # of each engine; DuckDB's end in the hour that Spark's begin in
SPARK = """--packages org.apache.hadoop:hadoop-aws:3.3.4
--conf spark.hadoop.fs.s3.impl=org.apache.hadoop.fs.s3a.S3AFileSystem
--conf spark.hadoop.fs.s3a.endpoint={url}
--conf spark.hadoop.fs.s3a.path.style.access=true
pyspark-shell
"""
JVM = """-server
-Xmx2G
-XX:+ExitOnOutOfMemoryError
-XX:ReservedCodeCacheSize=256M
-Djdk.attach.allowAttachSelf=true
-Dfile.encoding=UTF-8
--enable-native-access=ALL-UNNAMED
--add-modules=jdk.incubator.vector
--sun-misc-unsafe-memory-access=allow
"""
GLUE = """hive.metastore.glue.endpoint-url={url}
hive.metastore.glue.region={region}
hive.metastore.glue.aws-access-key=testing
hive.metastore.glue.aws-secret-key=testing
"""
REST = """connector.name=iceberg
iceberg.catalog.type=rest
iceberg.rest-catalog.uri={url}
"""
FILES_ON_S3 = """fs.native-s3.enabled=true
s3.endpoint={url}
s3.region={region}
s3.path-style-access=true
s3.aws-access-key=testing
s3.aws-secret-key=testing
"""
FILES_IN_A_FOLDER = "fs.hadoop.enabled=true\n"
_VALUES = {
    "bigint": int,
    "integer": int,
    "double": float,
    "decimal": Decimal,
    "date": date.fromisoformat,
    "timestamp": datetime.fromisoformat,
}


class Trino:
    """A running server."""

    def __init__(self, port: int) -> None:
        """Name it."""
        self._url = f"http://127.0.0.1:{port}"

    def ready(self) -> bool:
        """Whether it answers questions; it takes them before it has found itself as a node that can."""
        try:
            with urllib.request.urlopen(f"{self._url}/v1/info", timeout=5) as answer:  # noqa: S310 - loopback
                return not json.load(answer)["starting"] and self.ask("SELECT 1", "system", "runtime") == [(1,)]
        except (OSError, RuntimeError):
            return False

    def ask(self, sql: str, catalog: str, schema: str) -> list[tuple[Any, ...]]:
        """The rows of a statement.

        Raises:
            RuntimeError: Trino refused it.
        """
        headers = {"X-Trino-User": "shoplake", "X-Trino-Catalog": catalog, "X-Trino-Schema": schema}
        request = urllib.request.Request(  # noqa: S310 - loopback
            f"{self._url}/v1/statement", sql.encode(), {**headers, "X-Trino-Time-Zone": "UTC"}, method="POST"
        )
        rows: list[tuple[Any, ...]] = []
        while True:
            with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
                page = json.load(answer)
            if "error" in page:
                raise RuntimeError(page["error"]["message"])
            kinds = [
                _VALUES.get(column["type"].split("(")[0], lambda value: value) for column in page.get("columns", [])
            ]
            rows += [
                tuple(None if value is None else kind(value) for kind, value in zip(kinds, row, strict=True))
                for row in page.get("data", [])
            ]
            if "nextUri" not in page:
                return rows
            request = urllib.request.Request(page["nextUri"], headers=headers)  # noqa: S310


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


@contextmanager
def running(url: str, rest: str, rest_of_folder: str) -> Iterator[Trino]:
    """A server whose catalogs ``iceberg`` and ``raw`` stand on the emulator, and ``lake`` and ``folder`` on REST catalogs.

    Args:
        url: Of the emulator.
        rest: Of the REST catalog of the lake there.
        rest_of_folder: Of the REST catalog of a lake in a folder.
    """
    home, java = _unpacked(), _java()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="trino-") as folder:
        files = FILES_ON_S3.format(url=url, region=grade.REGION)
        glue = GLUE.format(url=url, region=grade.REGION) + files
        for name, text in {
            "node.properties": f"node.environment=test\nnode.id=1\nnode.data-dir={folder}/data\n"
            "node.internal-address=127.0.0.1\nnode.bind-ip=127.0.0.1\n",
            "config.properties": "coordinator=true\nnode-scheduler.include-coordinator=true\n"
            f"http-server.http.port={port}\ndiscovery.uri=http://127.0.0.1:{port}\ncatalog.management=static\n",
            "jvm.config": JVM,
            "log.properties": "io.trino=WARN\n",
            "catalog/iceberg.properties": f"connector.name=iceberg\niceberg.catalog.type=glue\n{glue}",
            "catalog/lake.properties": REST.format(url=rest) + files,
            "catalog/folder.properties": REST.format(url=rest_of_folder) + FILES_IN_A_FOLDER,
            "catalog/raw.properties": "connector.name=hive\nhive.metastore=glue\n"
            # Athena looks into folders below a partition's, Trino on request.
            f"hive.partition-projection-enabled=true\nhive.recursive-directories=true\n{glue}",
        }.items():
            path = Path(folder, "etc", name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        log = Path(folder, "log")
        with log.open("wb") as stream:
            process = subprocess.Popen(  # noqa: S603 - our own words
                [
                    str(java / "bin" / "java"),
                    *(option for option in JVM.splitlines() if option),
                    *(
                        "-cp",
                        f"{home}/lib/*",
                        f"-Dnode.data-dir={folder}/data",
                        f"-Dconfig={folder}/etc/config.properties",
                    ),
                    *(f"-Dlog.levels-file={folder}/etc/log.properties", "-Dnode.environment=test", "-Dnode.id=1"),
                    *("-Dnode.internal-address=127.0.0.1", "-Dnode.bind-ip=127.0.0.1"),
                    f"-Dplugin.dir={home}/plugin",
                    f"-Dcatalog.config-dir={folder}/etc/catalog",
                    "io.trino.server.TrinoServer",
                ],
                cwd=folder,
                env={"JAVA_HOME": str(java), "PATH": os.environ["PATH"]},
                stdout=stream,
                stderr=subprocess.STDOUT,
            )
        try:
            server, end = Trino(port), time.monotonic() + SECONDS_TO_START
            while not server.ready():
                if process.poll() is not None or time.monotonic() > end:
                    raise RuntimeError(f"Trino did not start:\n{log.read_text('utf-8', 'replace')[-3000:]}")
                time.sleep(0.5)
            yield server
        finally:
            process.kill()
            process.wait()


def _unpacked() -> Path:
    """The folder of the server; fetched and unpacked the first time."""
    home = CACHE / f"trino-server-{VERSION}"
    if not home.is_dir():
        if not JAR.is_file():
            artifact = f"-Dartifact=io.trino:trino-server:{VERSION}:tar.gz"
            subprocess.run(["mvn", "-q", "dependency:get", artifact, "-Dtransitive=false"], check=True)  # noqa: S603, S607
        fresh = Path(tempfile.mkdtemp(dir=_made(CACHE)))
        with tarfile.open(JAR) as archive:
            members = [one for one in archive.getmembers() if one.isfile() or one.islnk()]
            wanted = [one for one in members if one.name.startswith(tuple(f"{home.name}/{part}/" for part in PARTS))]
            targets = {one.linkname for one in wanted if one.islnk()}  # a jar of several plugins is there once
            names = {one.name for one in wanted} | targets
            archive.extractall(fresh, [one for one in members if one.name in names], filter="data")
        for folder in (fresh / home.name / "plugin").iterdir():
            if f"plugin/{folder.name}" not in PARTS:
                shutil.rmtree(folder)
        (fresh / home.name).rename(home)
        fresh.rmdir()
    return home


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _java() -> Path:
    """The home of a Java that is new enough.

    Raises:
        SystemExit: There is none.
    """
    candidates = [Path(os.environ.get("JAVA_HOME", "/nowhere")), *sorted(Path("/usr/lib/jvm").glob("*"), reverse=True)]
    for home in candidates:
        if (home / "bin" / "java").exists():
            said = subprocess.run([home / "bin" / "java", "--version"], capture_output=True, text=True, check=False)  # noqa: S603
            if said.stdout.split()[1:2] and int(said.stdout.split()[1].split(".")[0]) >= 24:
                return home
    sys.exit("Trino needs Java 24 or newer, and there is none. Install one (https://adoptium.net) and set JAVA_HOME.")


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
        print(f"{sum(written.values()):,} events in {place}; starting Trino {VERSION}", flush=True)
        with (
            tempfile.TemporaryDirectory(prefix="lake-") as folder,
            attachable(place) as rest,
            attachable(api.copy(place, folder).dest) as rest_of_folder,
            running(os.environ["AWS_ENDPOINT_URL"], rest, rest_of_folder) as trino,
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
