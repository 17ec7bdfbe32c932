"""Ingests on a Spark of two hosts where tasks are done twice: whoever writes first in one of the tables does not come back.

    python two_hosts.py SOURCE LAKE TABLE...

Master and workers live in this process, the executors in processes of their own. Spark does not repeat a task beside itself on
the same host, so the workers are two addresses of the loopback interface. A failed task would end the run (``maxFailures``):
what ends well has been repeated speculatively.
"""

import os
import sys
import tempfile
from typing import Any

from pyspark import SparkConf, SparkContext
from pyspark.sql import SparkSession

from tests.spark.dying import Hanging, run

HOST, HOSTS = "127.0.0.1", ("127.0.0.2", "127.0.0.3")
CONF: dict[str, Any] = {
    "spark.app.name": "speculation",
    "spark.driver.bindAddress": HOST,
    "spark.driver.host": HOST,
    "spark.executor.cores": "1",
    "spark.executor.memory": "512m",
    "spark.speculation": "true",
    "spark.speculation.interval": "100ms",
    "spark.speculation.minTaskRuntime": "2s",
    "spark.speculation.multiplier": "1",
    "spark.speculation.quantile": "0.1",
    "spark.speculation.task.duration.threshold": "2s",  # also where a stage has one task
    "spark.sql.shuffle.partitions": "2",
    "spark.task.maxFailures": "1",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
}


def cluster(folder):
    """Start master and workers; returns the master's URL."""
    SparkContext._ensure_initialized(conf=SparkConf().setAll(list(CONF.items())))
    gateway: Any = SparkContext._gateway
    java, deploy = gateway.jvm, gateway.jvm.org.apache.spark.deploy
    conf = java.org.apache.spark.SparkConf()
    environment = deploy.master.Master.startRpcEnvAndEndpoint(HOST, 0, 0, conf)._1()
    url = f"spark://{HOST}:{environment.address().port()}"
    for number, host in enumerate(HOSTS):
        urls = gateway.new_array(java.java.lang.String, 1)
        urls[0] = url
        some, none = java.scala.Option.apply, java.scala.Option.empty
        deploy.worker.Worker.startRpcEnvAndEndpoint(host, 0, 0, 1, 1024, urls, folder, some(number), conf, none())
    return url


if __name__ == "__main__":
    source, lake, *names = sys.argv[1:]
    os.environ["PYSPARK_PYTHON"] = sys.executable
    with tempfile.TemporaryDirectory() as folder:
        session = SparkSession.builder.master(cluster(folder)).config(map=CONF).getOrCreate()
        run(session, source, lake, Hanging(lake, names))
        session.stop()
