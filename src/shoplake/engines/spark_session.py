"""Starts Spark on this machine, or joins the Spark that started this process; shows it a lake's tables."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import util
from pathlib import Path
from typing import TYPE_CHECKING

from shoplake.engines import java
from shoplake.errors import UsageError, installing
from shoplake.lake.snapshots import View

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ICEBERG = "org.apache.iceberg:iceberg-spark-runtime-3.5_2.12:1.10.0"
"""Iceberg for Spark, on Maven Central: what ``spark.jars.packages`` takes. Reading tables needs it, the engine does not."""

S3 = "org.apache.hadoop:hadoop-aws:3.3.4," + ",".join(
    f"com.amazonaws:aws-java-sdk-{part}:1.12.262" for part in ("s3", "dynamodb", "sts")
)
"""S3 for the Hadoop that PySpark brings, with the three parts that it loads of a bundle of 280 MB."""


def start(master: str | None, threads: int, packages: str = "") -> SparkSession:
    """The session of this process; started if there is none.

    Args:
        master: The cluster, such as ``local[4]`` or ``yarn``; by default this machine.
        threads: Cores to use of this machine.
        packages: Maven coordinates of what Spark shall fetch and load on this machine, separated by commas; not where
            ``PYSPARK_SUBMIT_ARGS`` has settled that.

    Raises:
        UsageError: PySpark, Java or a package is missing.
    """
    for module, name in {"pyspark": "PySpark", "pandas": "pandas"}.items():
        if util.find_spec(module) is None:
            raise UsageError(f"the Spark engine needs {name}", remedy=installing("spark"))
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException
    from pyspark.sql import SparkSession

    builder = SparkSession.builder
    if SparkSession.getActiveSession() is None and "PYSPARK_GATEWAY_PORT" not in os.environ:
        found = java.find()
        os.environ["JAVA_HOME"] = str(found.home)
        builder = builder.config(map=_conf(master or f"local[{threads}]", threads, packages, found.options))
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    # Else the caller, or spark-submit, has settled everything.
    try:
        with _plainly_interrupted():
            return builder.getOrCreate()
    except (PySparkException, Py4JError) as error:
        fetched = f", and once Maven Central for {packages}" if packages else ""
        raise UsageError(
            f"Spark did not start: {cause(error)}",
            remedy=f"See what it says above. It needs Java {java.VERSION} and a master that it knows and can reach{fetched}.",
        ) from error


def cause(error: Exception) -> str:
    """The line of Spark's message that says what went wrong: the last error of Python, or else the first one of Java."""
    lines = [line.strip().removeprefix(": ") for line in str(error).splitlines() if line.strip()]
    of_java = next((line for line in lines if "Exception: " in line), lines[0] if lines else repr(error))
    return next((line for line in reversed(lines) if "Error: " in line), of_java)


def show(session: SparkSession, view: View) -> None:
    """Make every table of a lake a temporary view of a session, under its plain name, read by Iceberg.

    Args:
        session: It has Iceberg for Spark.
        view: The state of the lake that is shown; later batches are not seen.
    """
    for name, table in view.tables.items():
        session.read.format("iceberg").load(table.location).createOrReplaceTempView(name)


@contextmanager
def _plainly_interrupted() -> Iterator[None]:
    """Leave Ctrl-C as it was: Spark's own handler calls Java in the midst of a call, so that both fail for odd reasons."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, handler)
            logging.getLogger().addFilter(lambda record: record.msg != "KeyboardInterrupt while sending command.")


def _conf(
    master: str, threads: int, packages: str, options: Sequence[str]
) -> dict[str, bool | float | int | str | None]:
    """The settings of a Spark that this process starts, with the options that its Java needs."""
    conf: dict[str, bool | float | int | str | None] = {"spark.app.name": "shoplake", "spark.master": master}
    conf["spark.ui.showConsoleProgress"] = "false"
    if options:
        conf["spark.driver.extraJavaOptions"] = " ".join(options)
    if master.startswith("local"):
        log = Path(__file__).with_name("spark-log4j2.properties").as_uri()  # no spaces in a URI
        conf |= {
            "spark.driver.memory": "2g",
            "spark.driver.maxResultSize": "0",  # whatever fits; the pipeline's breaker knows when to stop
            "spark.driver.extraJavaOptions": " ".join([f"-Dlog4j2.configurationFile={log}", *options]),
            "spark.driver.host": "127.0.0.1",
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.ui.enabled": "false",
            "spark.ui.retainedJobs": "100",  # Spark remembers more than ten times as many for its UI, 1 MB a batch
            "spark.ui.retainedStages": "100",
            "spark.ui.retainedTasks": "1000",
            "spark.sql.ui.retainedExecutions": "20",
            "spark.sql.shuffle.partitions": str(2 * threads),  # 200 by default, for a cluster
        }
        if "PYSPARK_SUBMIT_ARGS" not in os.environ:
            conf |= {"spark.jars.packages": packages} if packages else {}
            conf |= _s3() if S3 in packages else {}
    return conf


def _s3() -> dict[str, str]:
    """How Spark reaches S3 by itself: as the environment tells shoplake's own client to."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    conf = {
        "spark.jars.excludes": "com.amazonaws:aws-java-sdk-bundle",
        "spark.hadoop.fs.s3.impl": "org.apache.hadoop.fs.s3a.S3AFileSystem",
    }
    if region:
        conf["spark.hadoop.fs.s3a.endpoint.region"] = region
    if endpoint:
        conf |= {"spark.hadoop.fs.s3a.endpoint": endpoint, "spark.hadoop.fs.s3a.path.style.access": "true"}
    return conf
