"""Times shoplake and its peers; see bench/README.md. Usually called by ``make bench``."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import measure
import report
from agreement import DisagreementError
from workloads import CONTENDERS, HERE, WORKLOADS, Bench, say

FULL_SIZE = 625_000
EXAMPLES = """
examples:
  make bench                                                    the raw hour, three rounds, without Spark
  make bench ARGS="--workload all"                              everything that RESULTS.md shows but Spark
  make bench ARGS="--spark --rounds 1"                          the raw hour with Spark
  .venv-bench/bin/python bench/run.py --contenders shoplake,duckdb_naive --rounds 5
  .venv-bench/bin/python bench/run.py --workload all --tiny     does it still run? (two minutes)
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        prog="bench/run.py",
        description="Times shoplake and naive scripts of its peers, whole cold processes in turn, and checks that all"
        " of them give the same five answers.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--workload", choices=(*WORKLOADS, "all"), default="hour", help="what to time (default: hour)")
    made.add_argument("--rounds", type=_positive, metavar="N", help="medians count; default: 3, with --tiny 1")
    made.add_argument("--contenders", metavar="A,B", help=f"who takes part in the hour: {', '.join(CONTENDERS)}")
    made.add_argument("--spark", action="store_true", help="let Spark take part too; it is slow")
    made.add_argument("--tiny", action="store_true", help="small data: tries everything, measures nothing")
    made.add_argument("--reuse", action="store_true", help="take lakes built before; right if shoplake is the same")
    made.add_argument("--timeout", type=float, default=1800, metavar="S", help="for one command (default: 1800)")
    sizes = made.add_argument_group("sizes")
    sizes.add_argument("--events-per-file", type=_positive, default=FULL_SIZE, metavar="N", help="default: 625000")
    sizes.add_argument("--ledger-files", type=_positive, default=8640, metavar="N", help="increment: default 8640")
    sizes.add_argument("--ledger-events", type=_positive, default=40, metavar="N", help="of each of them: default 40")
    sizes.add_argument("--month-hours", type=_positive, default=720, metavar="N", help="month: default 720")
    sizes.add_argument("--month-events", type=_positive, default=6000, metavar="N", help="an hour: default 6000")
    sizes.add_argument("--day-files", type=_positive, default=288, metavar="N", help="day: default 288")
    sizes.add_argument("--small-files", type=_positive, default=10_000, metavar="N", help="small: default 10000")
    sizes.add_argument("--repeats", type=_positive, default=20, metavar="N", help="of a warm query: default 20")
    made.add_argument("--data", type=Path, default=HERE / "data", metavar="DIR", help="default: bench/data")
    made.add_argument("--results", type=Path, default=HERE / "results", metavar="DIR", help="default: bench/results")
    return made


def main() -> int:
    """Run the workloads; 0 done, 1 a contender failed or disagrees, 2 usage."""
    options = parser().parse_args()
    known = [name for name in CONTENDERS if options.spark or "spark" not in name]
    contenders = options.contenders.split(",") if options.contenders else known
    if unknown := [name for name in contenders if name not in CONTENDERS]:
        parser().error(f"no contender {', '.join(unknown)}; there are {', '.join(CONTENDERS)}")
    bench = Bench(
        options.data.absolute(),
        options.events_per_file,
        options.rounds or (1 if options.tiny else 3),
        options.repeats,
        options.ledger_files,
        options.ledger_events,
        options.month_hours,
        options.month_events,
        options.day_files,
        options.small_files,
        contenders,
        options.reuse,
        options.timeout,
    )
    if options.tiny:
        bench = replace(
            bench, events=5000, ledger_files=288, month_hours=24, month_events=2000, day_files=30, small_files=300
        )
    full = (bench.events, bench.ledger_files, bench.month_hours) == (FULL_SIZE, 8640, 720)
    every = [name for name in WORKLOADS if options.spark or name != "crossover"]
    chosen = every if options.workload == "all" else [options.workload]
    measure.adopt_orphans()
    arguments = {name: str(value) if isinstance(value, Path) else value for name, value in vars(options).items()}
    for name in chosen:
        heading = report.heading()
        try:
            found = WORKLOADS[name](bench)
        except (measure.CommandError, DisagreementError) as error:
            say(f"{name}: {error}")
            return 1
        path = found.save(options.results, arguments)
        print(f"\n### {name}\n\n{heading}\n\n{found.markdown(full_size=full)}\n")
        say(f"wrote {path}")
    return 0


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return number


if __name__ == "__main__":
    sys.exit(main())
