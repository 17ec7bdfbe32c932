"""A YARN of two nodes on this machine, until standard input ends.

    python yarn.py FOLDER

Writes ``yarn-site.xml`` into the folder, for ``HADOOP_CONF_DIR``, and says that it is up.
"""

import os
import sys
from typing import Any

from pyspark import SparkConf, SparkContext

PACKAGES = (
    "org.apache.hadoop:hadoop-client-minicluster:3.3.4",  # of the version that PySpark brings
    "org.bouncycastle:bcpkix-jdk15on:1.60",
    "junit:junit:4.13.2",
)
CONF = {
    "yarn.nodemanager.delete.debug-delay-sec": "600",  # what containers said can be read for a while
    "yarn.nodemanager.disk-health-checker.max-disk-utilization-per-disk-percentage": "99.9",
    "yarn.nodemanager.resource.memory-mb": "5000",
    "yarn.nodemanager.vmem-check-enabled": "false",
    "yarn.scheduler.capacity.root.default.capacity": "100",
    "yarn.scheduler.capacity.root.queues": "default",
    "yarn.scheduler.minimum-allocation-mb": "256",
}

if __name__ == "__main__":
    (folder,) = sys.argv[1:]
    # The cluster and Hadoop's own classes have to come from one class loader.
    options = f"--packages {','.join(PACKAGES)} --conf spark.driver.userClassPathFirst=true"
    os.environ["PYSPARK_SUBMIT_ARGS"] = f"{options} pyspark-shell"
    SparkContext._ensure_initialized(conf=SparkConf())
    java: Any = SparkContext._gateway.jvm  # type: ignore[union-attr]
    conf = java.org.apache.hadoop.yarn.conf.YarnConfiguration()
    for key, value in CONF.items():
        conf.set(key, value)
    cluster = java.org.apache.hadoop.yarn.server.MiniYARNCluster("shoplake", 2, 1, 1)
    cluster.init(conf)
    cluster.start()
    site = java.java.io.FileOutputStream(f"{folder}/yarn-site.xml")
    cluster.getConfig().writeXml(site)
    site.close()
    sys.stdout.write("up\n")
    sys.stdout.flush()
    sys.stdin.read()
    cluster.stop()
