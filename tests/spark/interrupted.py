"""A run on Spark that gets Ctrl-C while it writes a table, beside a job of the caller's own.

    python interrupted.py SOURCE LAKE TABLE

Says what the caller's job found and that Spark still answers.
"""

import os
import signal
import sys
import threading
import time
from pathlib import Path

from pyspark import InheritableThread

from shoplake.engines import spark_session
from tests.spark.dying import Slow, run

if __name__ == "__main__":
    source, lake, table = sys.argv[1:]
    session = spark_session.start("local[4]", 4)
    found: list[int] = []

    def slowly(number):
        time.sleep(4)
        return number

    def count():
        found.extend(session.sparkContext.parallelize([7], 1).map(slowly).collect())

    own = InheritableThread(count)

    def interrupt():
        while not Path(lake, f"{table}-slow").exists():
            time.sleep(0.1)
        own.start()
        time.sleep(1)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    started = time.monotonic()
    try:
        run(session, source, lake, Slow(lake, table))
    except KeyboardInterrupt:
        assert time.monotonic() - started < 50  # a task alone takes a minute
        own.join()
        sys.stdout.write(f"stopped {found} {session.range(7).count()}\n")
