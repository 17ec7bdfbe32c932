"""Shows an S3 server to the Spark of the tests, which was started before the server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shoplake.engines import spark_session
from tests.support import skip_without


def reaches(session: Any, environment: Mapping[str, str]) -> None:
    """Let Spark reach S3 as the environment says: Java by its settings, the tasks' Python by its variables."""
    if "hadoop-aws" not in session.conf.get("spark.jars.packages", ""):
        skip_without(spark_session.S3)
    hadoop = session.sparkContext._jsc.hadoopConfiguration()
    for name, value in {
        "endpoint": environment["AWS_ENDPOINT_URL"],
        "endpoint.region": environment["AWS_REGION"],
        "access.key": environment["AWS_ACCESS_KEY_ID"],
        "secret.key": environment["AWS_SECRET_ACCESS_KEY"],
        "path.style.access": "true",
    }.items():
        hadoop.set(f"fs.s3a.{name}", value)
    session.sparkContext.environment.update(
        {name: value for name, value in environment.items() if name.startswith("AWS_")}
    )
