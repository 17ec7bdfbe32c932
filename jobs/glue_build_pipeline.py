"""The AWS Glue job: takes in what is new in the source bucket, builds every table, and publishes them to the Data Catalog.

Arguments: --source s3://BUCKET/events --lake s3://BUCKET/lake, and, if wanted, --database NAME (of the Data Catalog, for
Athena), --batch_bytes N, --max_quarantine_rate SHARE. docs/spark.md has the others, capstone-starter.cfn.yaml the job.

The ledger is the bookmark, committed with the data. It is a table of the lake, one row a source file, and a row becomes visible
in the same atomic swap as the file's events and all that is computed from them. The proof that each file counts once, whole:

    SELECT count(*) AS files, count(DISTINCT source_file) AS distinct_files, sum(lines) AS lines,
           sum(abs(lines - accepted - duplicates - quarantined - erased)) AS unaccounted_lines
    FROM ledger

Glue's own bookmarks are off: docs/aws.md says why. Every retry is harmless: it plans from the ledger.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from importlib.util import find_spec

from awsglue.job import Job
from awsglue.utils import getResolvedOptions
from pyspark.sql import SparkSession

OPTIONAL = ("database", "batch_bytes", "max_quarantine_rate")


def main() -> None:
    """Run the job."""
    from shoplake import api, settings
    from shoplake.engines.spark import SparkEngine
    from shoplake.ingestion import pipeline
    from shoplake.ingestion.report import RunReport
    from shoplake.lake.snapshots import View
    from shoplake.operations import upkeep

    given = [name for name in OPTIONAL if f"--{name}" in sys.argv]
    arguments = getResolvedOptions(sys.argv, ["JOB_NAME", "source", "lake", *given])
    session = SparkSession.builder.getOrCreate()
    job = Job(session)
    job.init(arguments["JOB_NAME"], arguments)
    chosen = settings.load({name: arguments[name] for name in ("source", "lake", *given) if name != "database"})
    database = arguments.get("database")

    def publish(view: View) -> None:
        """Tell the Data Catalog where the tables are now."""
        if database:
            from shoplake.aws import glue_catalog

            glue_catalog.publish(view, database)

    def committed(report: RunReport, view: View) -> None:
        print(f"{report.files:,} files, {report.accepted:,} events so far", flush=True)
        publish(view)

    watchers = pipeline.Watchers(note=print, committed=committed)
    run = api.prepare(chosen, watchers, lambda lake: SparkEngine(session, lake, chosen.bounds))
    report = upkeep.ingest(run)
    publish(run.lake.view())  # also what a run before this one left unpublished
    print(json.dumps(report.as_json()), flush=True)
    if database:
        from shoplake.aws import figures

        figures.send(report, run.lake.view(), database, datetime.now(UTC))
    job.commit()


if __name__ == "__main__":
    if find_spec("shoplake"):
        main()
    else:
        print(
            "Nothing to do yet: shoplake is not installed here. The stack's output NextStep says how: shoplake deploy"
        )
