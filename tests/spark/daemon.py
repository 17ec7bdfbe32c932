"""Spark's daemon of Python workers, tuned for tasks of a few lines: half of the CPU time of a run went into what it saves.

A worker is forked from it with everything imported that tasks need, and leaves that to no garbage collection; before a task it
does not read the directories of PySpark's archives again, which PySpark does in case a file was added to them.
"""

import gc
from zipimport import zipimporter

import pandas as pd
from pyspark import daemon

from shoplake.engines import spark_tasks

IMPORTED = (pd, spark_tasks)

if __name__ == "__main__":
    setattr(zipimporter, "invalidate_caches", lambda _: None)  # noqa: B010 - which mypy takes for a mistake
    gc.freeze()
    daemon.manager()
