"""``make grade``: the grader's path on an emulator of AWS, from the template to the answers and back to nothing.

``--events-per-file 2000`` makes small files. What runs here is the code of the template and the package: the generator and the
set-up function in this process, the function for arrivals in the Lambda runtime, the script of the Glue job with Spark, each
with what the template gives it. What is only emulated is AWS itself.
"""

from __future__ import annotations

import argparse
import io
import json
import logging
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest.mock import patch
from urllib.parse import unquote

import boto3
from botocore.exceptions import ClientError
from moto.server import ThreadedMotoServer

from infra import emulate
from infra.runtime import runtime
from shoplake import api, queries
from shoplake.aws import bundles, deploy, figures, glue_catalog
from shoplake.aws.stack import Cloud
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
SLOT, DAY = timedelta(minutes=5), timedelta(days=1)
BACKFILL_FILES = 3
BAR_SECONDS = 60
WRITER_SECONDS = 3
COLORS = re.compile("\x1b\\[[0-9;]*m")  # of answers such as 206, which a log has also where nobody sees it
MEMORY_MIB = 16_384  # of address space, in which libraries reserve more than they use
ROOT = Path(__file__).parents[1]
JOBS = ROOT / "jobs"
PROOF = """
SELECT count(*) AS files, count(DISTINCT source_file) AS distinct_files, sum(lines) AS lines,
       sum(abs(lines - accepted - duplicates - quarantined - erased)) AS unaccounted_lines
FROM ledger
"""
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_REGION": REGION,
    "AWS_DEFAULT_REGION": REGION,
    "AWS_EC2_METADATA_DISABLED": "true",
}


class Requests(logging.Handler):
    """Counts the emulator's S3 requests by their method, and notes which source files are read."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()
        self.read: set[str] = set()

    def clear(self) -> None:
        """Count from zero."""
        self.counts.clear()
        self.read.clear()

    def emit(self, record: logging.LogRecord) -> None:
        """Count one; everything but S3 is posted to the root."""
        said = unquote(COLORS.sub("", record.getMessage()))
        words = said.replace('"', " ").split()
        method = next((word for word in words if word in ("GET", "PUT", "HEAD", "POST", "DELETE")), "")
        if not method or " / HTTP" in said:
            return
        self.counts["LIST" if "list-type" in said else method] += 1
        if source := re.search(r"GET \S*?/(events/year=\S+\.jsonl\.gz)", said):
            self.read.add(source[1])

    def told(self) -> str:
        """The counts as a text."""
        return ", ".join(f"{number:,} {method}" for method, number in sorted(self.counts.items()))


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


def event_of(key: str) -> dict[str, Any]:
    """EventBridge's event of a new object, as the rule of the template hands it on."""
    return {"source": "aws.s3", "detail-type": "Object Created", "detail": {"object": {"key": key}}}


def deploy_package(stack: emulate.Stack, folder: Path) -> emulate.Stack:
    """What ``shoplake deploy`` does once the stack is there: build, upload, and name the upload in the stack.

    The bundles hold the wheel alone: its libraries are those of this environment.
    """
    wheel = bundles.build_wheel(ROOT, folder)
    made = bundles.Bundles("code/shoplake-grader", {suffix: folder / f"x{suffix}" for suffix in bundles.SUFFIXES})
    bundles.zip_of_wheels([wheel], made.files[bundles.GLUE_SUFFIX])
    bundles.unpacked([wheel], made.files[bundles.LAMBDA_SUFFIX])
    deploy.upload(Cloud(), stack.outputs["LakeBucketName"], made)
    deployed = emulate.Stack({**stack.parameters, "Bundle": made.key}, REGION)
    boto3.client("cloudformation").update_stack(StackName=STACK, TemplateBody=deployed.for_cloudformation())
    return deployed


@contextmanager
def function(stack: emulate.Stack, folder: Path) -> Iterator[Any]:
    """The function for arrivals in the Lambda runtime, with its environment; yields what invokes it with an event."""
    given = stack.resources["ArrivalFunction"]["Properties"]
    (folder / "tmp").mkdir()
    environment = {
        **os.environ,
        **given["Environment"]["Variables"],
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(given["MemorySize"]),
        "TMPDIR": str(folder / "tmp"),
    }
    with runtime(given["Code"]["ZipFile"], folder, environment, MEMORY_MIB, "handler") as invoke:
        yield invoke


@contextmanager
def writer(bucket: str) -> Iterator[None]:
    """A run that does not know that the stack goes: it writes for some seconds on."""
    ends, s3 = time.monotonic() + WRITER_SECONDS, boto3.client("s3")

    def write() -> None:
        number = 0
        while time.monotonic() < ends:
            number += 1
            with suppress(ClientError):
                s3.put_object(Bucket=bucket, Key=f"lake/late-{number}", Body=b"x")

    thread = threading.Thread(target=write)
    thread.start()
    yield
    thread.join()


def grade(events: int | None, backfill: Callable[[emulate.Stack], RunReport] = ingest) -> bool:
    """Walk the path; returns whether every check held.

    Args:
        events: Events of a file; as many as the template says where None, so that create-stack has the brief's one parameter.
        backfill: What the Glue job does.
    """
    checks = Checks()
    with emulator() as requests, tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        smaller = {"MinEvents": str(events), "MaxEvents": str(events)} if events else {}
        stack = emulate.Stack({"StudentId": "grader", **smaller}, REGION)
        create(stack, checks)
        print("2. the generator, invoked without a payload")
        now = generate(stack, None)
        print(f"   {now['events']:,} events, {size(now['bytes'])}: {now['key']}")
        again = generate(stack, FIRST), generate(stack, FIRST)
        checks.ask(
            "a scheduled time makes one file however often it is asked for",
            [one["written"] for one in again],
            [True, False],
        )

        print("3. deploy")
        stack = deploy_package(stack, folder)
        rule = boto3.client("events").describe_rule(Name=stack.resources["ArrivalRule"]["Properties"]["Name"])
        checks.ask("arrivals invoke the function", rule["State"], "ENABLED")
        with function(stack, folder) as invoke:
            made = [*arrivals(stack, invoke, requests, checks), now]
            print("5. nothing is read twice")
            before = lines_of(stack)
            requests.clear()
            swept = invoke({"detail-type": "Scheduled Event", "time": "2025-11-18T15:07:00Z"}).answer
            print(f"   a sweep: {count(swept['lines'], 'line')}; S3: {requests.told()}")
            checks.ask("lines reprocessed = 0", (swept["lines"], lines_of(stack)), (0, before))
            invoke(event_of(made[0]["key"]))
            checks.ask("nor by an event that comes twice", lines_of(stack), before)
            checks.ask("no source file is requested again", requests.read, set())
        proof(stack, made, checks)
        answers("6. queries.sql against grading/queries.sql", stack, checks)

        print(f"7. the Glue job takes in another day ({BACKFILL_FILES} files), on the same lake")
        made += [generate(stack, FIRST + DAY + number * SLOT) for number in range(BACKFILL_FILES)]
        requests.clear()
        report = backfill(stack)
        print(f"   {count(report.files, 'file')}, {count(report.lines, 'line')}; S3: {requests.told()}")
        checks.ask("only its lines are read", report.lines, sum(one["events"] for one in made[-BACKFILL_FILES:]))
        checks.ask("only its files are requested", requests.read, {one["key"] for one in made[-BACKFILL_FILES:]})
        proof(stack, made, checks)
        answers("8. the five answers again", stack, checks)

        print("9. delete-stack, beside a run that still writes")
        with writer(stack.outputs["LakeBucketName"]):
            emulate.delete(stack, STACK)
        checks.ask("buckets left = 0", len(boto3.client("s3").list_buckets()["Buckets"]), 0)
    print("All as it should be." if checks.good else "Something is not as it should be.")
    return checks.good


def create(stack: emulate.Stack, checks: Checks) -> None:
    """The brief's command."""
    print("1. create-stack")
    emulate.create(stack, STACK)
    print(f"   {len(stack.resources)} resources; {len(stack.outputs)} outputs, such as")
    for name in ("SourceBucketName", "AnalyticalDatasetS3Uri", "QueriesFileS3Uri", "AthenaWorkGroup"):
        print(f"     {name} = {stack.outputs[name]}")
    key = stack.outputs["QueriesFileS3Uri"].rpartition("/")[2]
    stored = boto3.client("s3").get_object(Bucket=stack.outputs["LakeBucketName"], Key=key)["Body"].read().decode()
    checks.ask("queries.sql in the lake bucket holds the five questions", queries.parse(stored), queries.five())
    checks.ask("NextStep names deploy", "shoplake deploy --student-id grader" in stack.outputs["NextStep"], right=True)


def arrivals(stack: emulate.Stack, invoke: Any, requests: Requests, checks: Checks) -> list[dict[str, Any]]:
    """An hour of files, each announced by its event; returns what was generated."""
    print(f"4. an hour of files ({FILES}), one by one, each with its event")
    made, took, taken = [], [], 0
    read: list[set[str]] = []
    for number in range(FILES):
        made.append(generate(stack, FIRST + number * SLOT))
        requests.clear()
        done = invoke(event_of(made[-1]["key"]))
        took.append(done.seconds)
        taken += done.answer["files"]
        read.append(requests.read.copy())
        if number == 1:
            print(f"   the second: {seconds(done.seconds)}, {done.peak_mib:,.0f} MiB at peak; S3: {requests.told()}")
    middle, most = sorted(took)[FILES // 2], max(took)
    print(
        f"   {sum(one['events'] for one in made):,} events; arrival to queryable: p50 {seconds(middle)}, p95 {seconds(most)}"
    )
    checks.ask(f"each within {BAR_SECONDS} s", most <= BAR_SECONDS, right=True)
    checks.ask("each file is taken in once, and so is the one from before", taken, FILES + 1)
    checks.ask("each event requests its own file alone", read[1:], [{one["key"]} for one in made[1:]])
    return made


def place_of(stack: emulate.Stack) -> str:
    """The lake."""
    return stack.outputs["AnalyticalDatasetS3Uri"].rstrip("/")


def lines_of(stack: emulate.Stack) -> Any:
    """Every file of the ledger with its version and its batch: what a second reading would change."""
    with api.open(place_of(stack)) as lake:
        return lake.sql("SELECT source_file, version, batch, lines FROM ledger ORDER BY 1").fetchall()


def proof(stack: emulate.Stack, made: Sequence[dict[str, Any]], checks: Checks) -> None:
    """The ledger is the bookmark: the query that the job's head gives, and its output."""
    with api.open(place_of(stack)) as lake:
        found = lake.sql(PROOF)
        columns, (row,) = found.columns, found.fetchall()
    print("   " + ", ".join(f"{name} {value:,}" for name, value in zip(columns, row, strict=True)))
    events = sum(one["events"] for one in made)
    checks.ask("the ledger has each file once, whole", list(row), [len(made), len(made), events, 0])


def answers(title: str, stack: emulate.Stack, checks: Checks) -> None:
    """The five answers against the oracle's, and Athena's tables against the lake's."""
    print(title)
    with api.open(place_of(stack)) as lake:
        for query, oracle in zip(queries.five(), queries.oracle(), strict=True):
            rows = lake.sql(query.sql).fetchall()
            checks.ask(f"{query.name}: {count(len(rows), 'row')}", rows, lake.sql(oracle.sql).fetchall())
    pointers = {
        table["Name"]: table["Parameters"]["metadata_location"]
        for table in boto3.client("glue").get_tables(DatabaseName=stack.outputs["GlueDatabaseName"])["TableList"]
        if table["Parameters"].get("table_type") == "ICEBERG"
    }
    view = Lake(place_of(stack)).view()
    checks.ask(
        "the Glue tables point at the lake's newest state",
        sorted(pointers.items()),
        sorted((name, str(table.location)) for name, table in view.tables.items()),
    )


def main() -> None:
    """Read the arguments and grade."""
    parser = argparse.ArgumentParser(description="The grader's path on an emulator of AWS.")
    parser.add_argument("--events-per-file", type=int, help="smaller files than 500,000-750,000 events")
    usual = "spark" if find_spec("awsglue") else "duckdb"  # Glue's library is for Python 3.11 alone
    parser.add_argument(
        "--engine", choices=("duckdb", "spark"), default=usual, help="of the backfill; spark: Glue's script"
    )
    given = parser.parse_args()
    sys.exit(0 if grade(given.events_per_file, run_job if given.engine == "spark" else ingest) else 1)


if __name__ == "__main__":
    main()
