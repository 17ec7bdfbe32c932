"""What lines cost that are not the plainest, by their share of a file: escaped, UTF-8, broken, or with unknown keys.

    .venv/bin/python bench/shares.py                               lines a second of each kind and share
    .venv/bin/python bench/shares.py --against other/bin/python    the same, beside another installation of shoplake
    .venv/bin/python bench/shares.py --kinds broken --shares 5,100 some of it

Each case is one raw file of uniform events, of which a share is changed in one way. It is ingested by a cold ``shoplake
ingest`` into a new lake, by both installations in turn, as often as there are rounds; the least CPU time counts, which minds
other work on the machine least. What became of the lines has to be the same for both.

Promised: at most 1.1x the CPU time of the version before the native reader, and at most 1.1x the straight line from 0 to
100 %, so that a few lines never make the whole file slow.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import measure
import report

from shoplake.generator.broken_lines import BROKEN_LINES
from shoplake.generator.events import gzip_file, object_key, render

START = datetime(2025, 11, 18, 14, 15, tzinfo=UTC)
SEED = 42
PLAIN = "plain"
MOST = 1.1
CATEGORIES = ("Möbel & Küche", "électronique", "книги", "おもちゃ", "Geschenke 🎁")
SEARCHES = ("câble usb-c", "кофе в зёрнах", "ヘッドホン", "grüner Tee", "vélo 🚲")
AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"

Change = Callable[[bytes, int], bytes]
"""Makes another line of a plain one, given its number."""


def _with_texts(line: bytes, number: int) -> dict[str, Any]:
    event: dict[str, Any] = json.loads(line)
    for name, texts in (("category", CATEGORIES), ("search_query", SEARCHES)):
        if event[name] is not None:
            event[name] = texts[number % len(texts)]
    return event


def _extended(**more: Any) -> Change:
    added = f", {json.dumps(more)[1:]}".encode()
    return lambda line, _: line[:-1] + added


KINDS: dict[str, Change] = {
    "escaped": lambda line, number: json.dumps(_with_texts(line, number)).encode(),
    "UTF-8": lambda line, number: json.dumps(_with_texts(line, number), ensure_ascii=False).encode(),
    "broken": lambda line, number: BROKEN_LINES[number % len(BROKEN_LINES)].apply(line),
    "renamed key": lambda line, _: line.replace(b'"user_id"', b'"userId"'),
    "one unknown key": _extended(currency="EUR"),
    "user-agent": _extended(**{"user-agent": AGENT}),
    "60 unknown keys": _extended(**{f"attribute_{n:02}": (n, f"value {n}", n % 2 == 0)[n % 3] for n in range(60)}),
}


@dataclass(frozen=True)
class Case:
    """A raw file: so many percent of its lines are of a kind."""

    kind: str
    share: int

    def write(self, folder: Path, events: int) -> int:
        """Make the file; returns how many lines it has."""
        change = KINDS.get(self.kind)
        lines = b"".join(render(START, events, SEED, "uniform")).split(b"\n")
        if change:
            spread = enumerate(lines)  # 61 and 100 have no common divisor, so changed lines are spread evenly
            lines = [change(line, number) if number * 61 % 100 < self.share else line for number, line in spread]
        path = folder / object_key(START)
        path.parent.mkdir(parents=True)
        path.write_bytes(b"".join(gzip_file([b"\n".join(lines)])))
        return len(lines)


@dataclass(frozen=True)
class Least:
    """The least of each figure of some runs."""

    cpu: float
    peak_mib: float

    @classmethod
    def of(cls, costs: Sequence[measure.Cost]) -> Least:
        return cls(min(cost.cpu for cost in costs), min(cost.peak_mib for cost in costs))


@dataclass(frozen=True)
class Ingesting:
    """How cases are run.

    Attributes:
        data: Where raw files and lakes go, one at a time.
        events: Lines of each raw file.
        rounds: How often each runs.
        pythons: The installations, the compared one last.
    """

    data: Path
    events: int
    rounds: int
    pythons: Sequence[str]

    def measure(self, case: Case) -> list[Least]:
        """What a case costs each of the installations."""
        raw, lake, log = self.data / "raw", self.data / "lake", self.data / "log"
        shutil.rmtree(self.data, ignore_errors=True)
        lines = case.write(raw, self.events)
        costs: list[list[measure.Cost]] = [[] for _ in self.pythons]
        for _ in range(self.rounds):
            fates = []
            for python, mine in zip(self.pythons, costs, strict=True):
                shutil.rmtree(lake, ignore_errors=True)
                command = [python, "-m", "shoplake", "ingest", "--source", raw, "--lake", lake, "--format", "json"]
                command += ["--max-quarantine-rate", "1"]
                mine.append(measure.command(command, cwd=self.data, log=log, env=os.environ, timeout=1800))
                fates.append(_fates(log, lines))
            if fates != fates[:1] * len(fates):
                raise measure.CommandError(f"{case.kind}, {case.share} %: the lines' fates differ: {fates}")
        shutil.rmtree(self.data)
        return [Least.of(mine) for mine in costs]


def _fates(log: Path, lines: int) -> dict[str, Any]:
    """What a run says became of the lines; all of them are accounted for."""
    figures = json.loads(log.read_text("utf-8"))
    fates = {name: figures[name] for name in ("accepted", "duplicates", "quarantined", "unknown_keys")}
    if figures["lines"] != lines or sum(fates[name] for name in ("accepted", "duplicates", "quarantined")) != lines:
        raise measure.CommandError(f"of {lines:,} lines: {figures}")
    return fates


def table(ingesting: Ingesting, kinds: Sequence[str], shares: Sequence[int]) -> bool:
    """Measure and print each case; whether all bars are met."""
    against = len(ingesting.pythons) > 1
    columns = ["lines", "share", "CPU s", "lines a CPU s", "x straight line", "peak MiB"]
    columns += ["before: CPU s", "before: peak MiB", "x before"] if against else []
    print(f"| {' | '.join(columns)} |\n| --- |{' ---: |' * (len(columns) - 1)}")
    met = True

    def show(case: Case, costs: Sequence[Least], line: float) -> None:
        nonlocal met
        mine, before = costs[0], costs[-1]
        met &= mine.cpu <= MOST * line and mine.cpu <= MOST * before.cpu
        row = [case.kind, f"{case.share} %", f"{mine.cpu:.2f}", f"{ingesting.events / mine.cpu:,.0f}"]
        row += [f"{mine.cpu / line:.2f}", f"{mine.peak_mib:,.0f}"]
        row += [f"{before.cpu:.2f}", f"{before.peak_mib:,.0f}", f"{mine.cpu / before.cpu:.2f}"] if against else []
        print(f"| {' | '.join(row)} |", flush=True)

    plain = ingesting.measure(Case(PLAIN, 0))
    show(Case(PLAIN, 0), plain, plain[0].cpu)
    for kind in kinds:
        found = {share: ingesting.measure(Case(kind, share)) for share in sorted(shares)}
        rise = (found[max(shares)][0].cpu - plain[0].cpu) / max(shares)
        for share, costs in found.items():
            show(Case(kind, share), costs, plain[0].cpu + share * rise)
    return met


def main() -> int:
    """Measure and print a table; 1 if a bar is not met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", metavar="PYTHON", help="the Python of another installation of shoplake")
    parser.add_argument("--kinds", default=",".join(KINDS), metavar="A,B", help=f"of {', '.join(KINDS)}")
    parser.add_argument(
        "--shares", default="1,5,25,100", metavar="N,N", help="percent; the line is drawn from 0 to the largest"
    )
    parser.add_argument("--events", type=int, default=200_000, metavar="N", help="of each raw file")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="the best counts")
    parser.add_argument("--data", type=Path, default=Path(__file__).parent / "data" / "shares", metavar="DIR")
    options = parser.parse_args()
    kinds, shares = options.kinds.split(","), [int(share) for share in options.shares.split(",")]
    if unknown := [kind for kind in kinds if kind not in KINDS]:
        parser.error(f"no kind {', '.join(unknown)}; there are {', '.join(KINDS)}")
    pythons = [sys.executable, *([options.against] if options.against else [])]
    measure.adopt_orphans()
    ingesting = Ingesting(options.data.absolute(), options.events, options.rounds, pythons)
    print(report.heading(), f"{options.events:,} events a file; best of {options.rounds}", sep="\n", end="\n\n")
    met = table(ingesting, kinds, shares)
    print(f"\n- bars: at most {MOST}x the straight line and {MOST}x before: {'met' if met else '**not met**'}")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
