"""The AWS Glue job: takes in what is new in the source bucket, builds every table, and publishes them to the Data Catalog.

Arguments: --source s3://BUCKET/events --lake s3://BUCKET/lake, and, if wanted, --database NAME (of the Data Catalog, for
Athena), --batch_bytes N, --max_quarantine_rate SHARE. Glue 5.1, with --datalake-formats iceberg and
--additional-python-modules s3://BUCKET/shoplake-VERSION-py3-none-any.whl; docs/spark.md has all of them, and
capstone-starter.cfn.yaml is the job with them.

Why there are no job bookmarks here. What was ingested stands in the lake's own table `ledger`, one row a source file, and that
row becomes visible in the same atomic swap as the file's events and everything computed from them. A bookmark is kept by
the service, apart from the data, and gets wrong what the ledger gets right:

- It moves on with job.commit(). A run that dies after it wrote and before it committed is repeated, and its rows are there
  twice; one that commits and whose write was lost is never repeated.
- It knows objects by their time of modification. An object that is replaced is read again beside its old rows; one that
  arrives with an older time than the newest one seen is left out, or read twice.
- It belongs to the job's name. A renamed or cloned job, a reset, or another engine on the same lake starts from nothing.
- It cannot say what became of a file: how many lines, accepted, repeated, quarantined and why.

So the job runs with bookmarks disabled, and every retry of Glue's is harmless: it plans anew from the ledger, finds what is
left to do, and replaces by source file and by hour instead of appending. job.commit() only tells the service that the run
ended.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime

from awsglue.job import Job
from awsglue.utils import getResolvedOptions
from pyspark.sql import SparkSession

from shoplake import api, settings
from shoplake.engines.spark import SparkEngine
from shoplake.ingestion import pipeline
from shoplake.ingestion.report import RunReport
from shoplake.lake.snapshots import View
from shoplake.operations.maintain import upkeep

OPTIONAL = ("database", "batch_bytes", "max_quarantine_rate")


def main() -> None:
    """Run the job."""
    given = [name for name in OPTIONAL if f"--{name}" in sys.argv]
    arguments = getResolvedOptions(sys.argv, ["JOB_NAME", "source", "lake", *given])
    session = SparkSession.builder.getOrCreate()
    job = Job(session)
    job.init(arguments["JOB_NAME"], arguments)

    chosen = settings.load({name: arguments[name] for name in ("source", "lake", *given) if name != "database"})
    database = arguments.get("database")

    def committed(report: RunReport, view: View) -> None:
        print(f"{report.files:,} files, {report.accepted:,} events so far", flush=True)
        publish(view, database)

    watchers = pipeline.Watchers(note=print, committed=committed)
    run = api.prepare(chosen, watchers, lambda lake: SparkEngine(session, lake, chosen.bounds))
    report = upkeep.ingest(run)
    publish(run.lake.view(), database)  # also what a run before this one left untold
    print(json.dumps(report.as_json()), flush=True)
    if database:
        from shoplake.aws import figures

        figures.send(report, run.lake.view(), database, datetime.now(UTC))
    job.commit()


def publish(view: View, database: str | None) -> None:
    """Tell the Data Catalog where the tables are now."""
    if database:
        from shoplake.aws import glue_catalog

        glue_catalog.publish(view, database)


if __name__ == "__main__":
    main()
