"""What a day's increments cost on Spark: a file into the second hour of a realistic day against one into its last hour.

    python bench/spark_day.py bench/data/raw/day-288-625000 /tmp/spark-day --rounds 3

The folder of raw files is that of the workload ``day``. The lakes before each file are built with DuckDB, once, in the given
folder (6 GB), and restored before each round. Prints the cheapest round of each as JSON: wall and CPU seconds of the whole
process tree, peak of the largest process.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from pathlib import Path

import measure
import rawdata

SPARK = ("--engine", "spark", "--master", "local[2]")
EARLY, LAST = 13, 288


def ingest(place: Path, raw: Path, files: int, *more: str) -> measure.Cost:
    """Ingest up to a file of the day, cold."""
    source = rawdata.link(place / "source", raw, first=files)
    words = (Path(sys.executable).with_name("shoplake"), "ingest", "--source", source, "--lake", place / "lake", *more)
    return measure.command(words, cwd=place, log=place / "log", env=os.environ, timeout=3600)


def main() -> None:
    """Build what is missing, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("raw", type=Path)
    parser.add_argument("place", type=Path)
    parser.add_argument("--rounds", type=int, default=3, metavar="N")
    options = parser.parse_args()
    place = options.place.absolute()
    place.mkdir(parents=True, exist_ok=True)
    measure.adopt_orphans()
    lake, costs = place / "lake", {}
    for file in (EARLY, LAST):
        before = place / f"lake{file - 1}"
        if not before.exists():
            ingest(place, options.raw, file - 1)
            shutil.copytree(lake, before, copy_function=os.link)
        rounds = []
        for _ in range(options.rounds):
            shutil.rmtree(lake, ignore_errors=True)
            shutil.copytree(before, lake, copy_function=os.link)
            rounds.append(ingest(place, options.raw, file, *SPARK))
        shutil.rmtree(lake)
        shutil.copytree(before, lake, copy_function=os.link)
        costs[f"file {file}"] = vars(min(rounds, key=lambda cost: cost.cpu))
        print(json.dumps(costs), flush=True)


if __name__ == "__main__":
    main()
