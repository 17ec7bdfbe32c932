"""Runs a Glue job on this machine: Glue's own Python library, with a stand-in for what only the service has.

    pip install -e '.[spark]' awsgluedataplanepython
    python jobs/local.py jobs/glue_build_pipeline.py --JOB_NAME local --source raw --lake lake

The arguments are read by the real `getResolvedOptions`. `Job` talks to Java classes that exist in Glue alone: here it says
what it would tell the service. Where locations are on S3, Spark fetches its client from Maven Central, once.
"""

from __future__ import annotations

import runpy
import sys
from typing import Any

import awsglue.job

from shoplake.engines import spark_session
from shoplake.errors import ShoplakeError


class LocalJob(awsglue.job.Job):  # type: ignore[misc]
    """The service's record of a run."""

    def __init__(self, session: Any) -> None:
        """Nothing is connected."""

    def init(self, job_name: str, args: dict[str, Any]) -> None:
        """The run begins."""
        print(f"job {job_name} begins with {args}", flush=True)

    def commit(self) -> None:
        """The run ended well."""
        print("job committed", flush=True)


if __name__ == "__main__":
    awsglue.job.Job = LocalJob
    sys.argv = sys.argv[1:]
    on_s3 = any(word.startswith("s3://") for word in sys.argv)
    try:
        spark_session.start(None, 2, spark_session.S3 if on_s3 else "")
    except ShoplakeError as error:
        sys.exit(f"{error}\n  {error.remedy}")
    runpy.run_path(sys.argv[0], run_name="__main__")
