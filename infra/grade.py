"""``make grade``: the grader's path on an emulator of AWS, from the template to the answers and back to nothing.

``--events-per-file 2000`` makes small files. What runs here is the code of the template (generator, set-up function) and
the package; what is only emulated is AWS itself. The pipeline runs in this process with DuckDB, or with ``--engine spark`` as
the very script of the Glue job, with the arguments that the template gives it.
"""

from __future__ import annotations

import argparse
import io
import json
import logging
import os
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import boto3
from moto.server import ThreadedMotoServer

from infra import emulate
from shoplake import api, queries
from shoplake.aws import figures, glue_catalog
from shoplake.engines.duckdb import DuckDBEngine
from shoplake.ingestion import pipeline
from shoplake.ingestion.report import RunReport
from shoplake.lake.catalog import Lake
from shoplake.settings import Settings
from shoplake.sources.open import open_source
from shoplake.text import count, seconds, size

REGION = "us-west-2"
STACK = "capstone-grader"
FIRST = datetime(2025, 11, 18, 14, tzinfo=UTC)
FILES = 12
SLOT = timedelta(minutes=5)
JOBS = Path(__file__).parents[1] / "jobs"
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_REGION": REGION,
    "AWS_DEFAULT_REGION": REGION,
    "AWS_EC2_METADATA_DISABLED": "true",
}


class Requests(logging.Handler):
    """Counts the emulator's S3 requests by their method."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def emit(self, record: logging.LogRecord) -> None:
        """Count one; everything but S3 is posted to the root."""
        words = record.getMessage().replace('"', " ").split()
        method = next((word for word in words if word in ("GET", "PUT", "HEAD", "POST", "DELETE")), "")
        if not method or " / HTTP" in record.getMessage():
            return
        self.counts["LIST" if "list-type" in record.getMessage() else method] += 1


@contextmanager
def emulator() -> Iterator[Requests]:
    """An emulator of AWS in this process, to which the environment sends every client."""
    requests, log = Requests(), logging.getLogger("werkzeug")
    log.setLevel(logging.INFO)
    log.addHandler(requests)
    log.propagate = False
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    try:
        with patch.dict(os.environ, {**clean, **ENVIRONMENT, "AWS_ENDPOINT_URL": url}, clear=True):
            reset(url)
            yield requests
    finally:
        server.stop()
        log.removeHandler(requests)


def reset(url: str) -> None:
    """Forget all that an emulator holds."""
    request = urllib.request.Request(f"{url}/moto-api/reset", method="POST")  # noqa: S310 - loopback
    urllib.request.urlopen(request, timeout=10).close()  # noqa: S310


def generate(stack: emulate.Stack, at: datetime | None) -> dict[str, Any]:
    """Run the inline generator for a scheduled time, or without a payload, with the environment that the template gives it."""
    function = stack.resources["EventGeneratorFunction"]["Properties"]
    code: dict[str, Any] = {"__name__": "index"}
    exec(function["Code"]["ZipFile"], code)  # noqa: S102 - the template's own
    environment = {name: str(value) for name, value in function["Environment"]["Variables"].items()}
    with patch.dict(os.environ, environment), redirect_stdout(io.StringIO()):  # what it prints is its log
        answer: dict[str, Any] = code["lambda_handler"](
            None if at is None else {"time": at.isoformat().replace("+00:00", "Z")}, None
        )
    return answer


def ingest(stack: emulate.Stack) -> RunReport:
    """What the job does: run the pipeline, move the tables' pointers, send the figures."""
    arguments = stack.resources["Job"]["Properties"]["DefaultArguments"]
    lake, database = Lake(arguments["--lake"]), arguments["--database"]
    watchers = pipeline.Watchers(committed=lambda _, view: glue_catalog.publish(view, database))
    settings = Settings(threads=os.cpu_count() or 1)
    engine = DuckDBEngine(settings.threads)
    run = pipeline.Run(lake, open_source(arguments["--source"]), lambda: engine, settings, watchers)
    report = pipeline.ingest(run)
    glue_catalog.publish(lake.view(), database)
    figures.send(report, lake.view(), database, datetime.now(UTC))
    return report


def job_arguments(stack: emulate.Stack) -> list[str]:
    """What Glue gives the job's script."""
    given = stack.resources["Job"]["Properties"]["DefaultArguments"]
    return [word for pair in given.items() for word in pair]


def job_report(said: Sequence[str]) -> RunReport:
    """The figures that the job's script printed."""
    report = RunReport()
    told = json.loads(next(line for line in reversed(said) if line.startswith("{")))
    for name in vars(report):
        setattr(report, name, told[name])
    return report


def run_job(stack: emulate.Stack) -> RunReport:
    """Run the script of the Glue job, with Spark."""
    scripts = [str(JOBS / name) for name in ("local.py", "glue_build_pipeline.py")]
    words = [sys.executable, *scripts, "--JOB_NAME", stack.outputs["GlueJobName"], *job_arguments(stack)]
    done = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own words
    return job_report(done.stdout.splitlines())


class Checks:
    """Questions that were asked, and whether all were answered with yes."""

    def __init__(self) -> None:
        self.good = True

    def ask(self, question: str, left: Any, right: Any) -> None:
        """Are the two equal?"""
        same = left == right
        self.good &= same
        print(
            f"   {'yes' if same else 'NO '}  {question}"
            + ("" if same else f": {str(left)[:300]} and {str(right)[:300]}")
        )


def grade(low: int, high: int, take_in: Callable[[emulate.Stack], RunReport] = ingest) -> bool:
    """Walk the path; returns whether every check held."""
    checks = Checks()
    with emulator() as requests:
        stack = emulate.Stack({"StudentId": "grader", "MinEvents": str(low), "MaxEvents": str(high)}, REGION)
        s3 = boto3.client("s3")

        print("1. create-stack")
        emulate.create(stack, STACK)
        print(f"   {len(stack.resources)} resources; {len(stack.outputs)} outputs, such as")
        for name in ("SourceBucketName", "AnalyticalDatasetS3Uri", "QueriesFileS3Uri", "AthenaWorkGroup"):
            print(f"     {name} = {stack.outputs[name]}")
        key = stack.outputs["QueriesFileS3Uri"].rpartition("/")[2]
        stored = s3.get_object(Bucket=stack.outputs["LakeBucketName"], Key=key)["Body"].read().decode()
        checks.ask("queries.sql in the lake bucket holds the five questions", queries.parse(stored), queries.five())

        print(f"2. the generator, for an hour of scheduled times ({FILES} files) and once without a payload")
        started = time.perf_counter()
        made = [generate(stack, FIRST + number * SLOT) for number in range(FILES)]
        made.append(generate(stack, None))  # as graders invoke it: without a payload, for now
        events = sum(one["events"] for one in made)
        print(
            f"   {events:,} events, {size(sum(one['bytes'] for one in made))}, {seconds(time.perf_counter() - started)}"
        )
        again = generate(stack, FIRST)
        checks.ask("the first time asked again gives the same file", {**again, "written": True} == made[0], right=True)
        checks.ask("and writes nothing", again["written"], right=False)

        print("3. the pipeline")
        first = _run(stack, requests, take_in)
        checks.ask(f"lines read = events made ({events:,})", first.lines, events)
        checks.ask(
            "lines = accepted + duplicates + quarantined",
            first.lines,
            first.accepted + first.duplicates + first.quarantined,
        )

        print("4. the pipeline again")
        second = _run(stack, requests, take_in)
        checks.ask("lines reprocessed = 0", second.lines, 0)

        print("5. one more file, and the pipeline")
        more = generate(stack, FIRST + FILES * SLOT)
        third = _run(stack, requests, take_in)
        checks.ask("only its lines are read", third.lines, more["events"])

        print("6. queries.sql against grading/queries.sql")
        with api.open(stack.outputs["AnalyticalDatasetS3Uri"].rstrip("/")) as lake:
            for query, oracle in zip(queries.five(), queries.oracle(), strict=True):
                rows = lake.sql(query.sql).fetchall()
                checks.ask(f"{query.name}: {count(len(rows), 'row')}", rows, lake.sql(oracle.sql).fetchall())
            stored_bytes = sum(table.bytes for table in lake.view.tables.values())
        pointers = {
            table["Name"]: table["Parameters"]["metadata_location"]
            for table in boto3.client("glue").get_tables(DatabaseName=stack.outputs["GlueDatabaseName"])["TableList"]
            if table["Parameters"].get("table_type") == "ICEBERG"
        }
        view = Lake(stack.outputs["AnalyticalDatasetS3Uri"].rstrip("/")).view()
        checks.ask(
            "the Glue tables point at the lake's newest state",
            sorted(pointers.items()),
            sorted((name, str(table.location)) for name, table in view.tables.items()),
        )
        print(f"   the tables take {size(stored_bytes // (FILES + 1))} a file")

        print("7. delete-stack")
        emulate.delete(stack, STACK)
        checks.ask("buckets left = 0", len(s3.list_buckets()["Buckets"]), 0)
    print("All as it should be." if checks.good else "Something is not as it should be.")
    return checks.good


def _run(stack: emulate.Stack, requests: Requests, take_in: Callable[[emulate.Stack], RunReport]) -> RunReport:
    requests.counts.clear()
    report = take_in(stack)
    asked = ", ".join(f"{number:,} {method}" for method, number in sorted(requests.counts.items()))
    print(f"   {count(report.files, 'file')}, {count(report.lines, 'line')}, {seconds(report.seconds)}; S3: {asked}")
    return report


def main() -> None:
    """Read the arguments and grade."""
    parser = argparse.ArgumentParser(description="The grader's path on an emulator of AWS.")
    parser.add_argument("--events-per-file", type=int, help="smaller files than 500,000-750,000 events")
    parser.add_argument("--engine", choices=("duckdb", "spark"), default="duckdb", help="spark: the Glue job's script")
    given = parser.parse_args()
    low, high = (given.events_per_file,) * 2 if given.events_per_file else (500_000, 750_000)
    sys.exit(0 if grade(low, high, run_job if given.engine == "spark" else ingest) else 1)


if __name__ == "__main__":
    main()
