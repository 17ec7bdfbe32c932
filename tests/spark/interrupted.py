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

PATIENCE = 50  # seconds; a task of the run alone takes a minute


def until(path):
    """Wait for a file; whoever waits in vain goes on, and the test fails by what follows."""
    end = time.monotonic() + PATIENCE
    while not path.exists() and time.monotonic() < end:
        time.sleep(0.05)


def interrupted(session, source, lake, table):
    """What the caller's own job found that was at work when the run was interrupted, and what Spark answers after it."""
    begun, over = Path(lake).with_name("own-begun"), Path(lake).with_name("over")
    found: list[int] = []

    def patient(number):
        begun.touch()
        until(over)
        return number

    own = InheritableThread(lambda: found.extend(session.sparkContext.parallelize([7], 1).map(patient).collect()))

    def interrupt():
        until(Path(lake, f"{table}-slow"))
        own.start()
        until(begun)
        if not over.exists():
            os.kill(os.getpid(), signal.SIGINT)

    interrupter = threading.Thread(target=interrupt)
    interrupter.start()
    started = time.monotonic()
    try:
        run(session, source, lake, Slow(lake, table))
        raise AssertionError("nothing interrupted the run")
    except KeyboardInterrupt:
        assert time.monotonic() - started < PATIENCE
    finally:
        over.touch()
        interrupter.join()
        own.join()
    return found, session.range(7).count()


if __name__ == "__main__":
    print(*interrupted(spark_session.start("local[4]", 4), *sys.argv[1:]))  # noqa: T201 - read by the test
