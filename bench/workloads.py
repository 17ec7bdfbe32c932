"""The workloads: what is built beforehand, what is timed, and what is promised about it."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import agreement
import measure
import rawdata
from measure import Cost
from rawdata import Spec
from report import Bar, Findings

from shoplake.engines import java
from shoplake.errors import UsageError

HERE = Path(__file__).parent
HOUR = "2025-11-18T14:00:00+00:00"
MONTH = "2025-10-01T00:00:00+00:00"
REFERENCE = "duckdb_naive"
FLOOR = "floor"
CONTENDERS = {
    "shoplake": "shoplake.sh",
    REFERENCE: "duckdb_naive.py",
    "clickhouse_naive": "clickhouse_naive.py",
    "polars_naive": "polars_naive.py",
    "spark_naive": "spark_naive.py",
    "shoplake_spark": "shoplake_spark.sh",
    FLOOR: "floor.py",
}
ENGINES = {"DuckDB": (), "Spark": ("--engine", "spark", "--master", "local[2]")}
CROSSOVER_FILES = (1, 3, 12, 36)


@dataclass(frozen=True)
class Bench:
    """One run of the benchmarks.

    Attributes:
        data: Folder for raw files, lakes and what contenders write.
        events: Events of a full file.
        rounds: How often everything is timed.
        repeats: How often a query is asked in a warm process.
        ledger_files: Files of the long ledger, five minutes apart.
        ledger_events: Events of each of them.
        month_hours: Hours of the simulated month.
        month_events: Events of each of them.
        day_files: Files of the realistic day.
        small_files: Files of ten events.
        contenders: Who takes part in the hour.
        reuse: Take lakes that an earlier run built.
        timeout: Seconds that one command may take.
    """

    data: Path
    events: int
    rounds: int
    repeats: int
    ledger_files: int
    ledger_events: int
    month_hours: int
    month_events: int
    day_files: int
    small_files: int
    contenders: Sequence[str]
    reuse: bool
    timeout: float

    def run(self, *arguments: str | Path, env: Mapping[str, str] | None = None) -> Cost:
        """Run one command with a clean environment, this one's programs first on its path."""
        work = self.data / "work"
        work.mkdir(parents=True, exist_ok=True)
        return measure.command(
            arguments, cwd=work, log=work / "log.txt", env={**_environment(), **(env or {})}, timeout=self.timeout
        )

    def log(self) -> dict[str, Any]:
        """The JSON that the last command wrote, warnings before it left out."""
        lines = (self.data / "work" / "log.txt").read_text("utf-8").splitlines()
        document: dict[str, Any] = json.loads(lines[-1])
        return document

    def raw_hour(self, profile: str = "uniform") -> Path:
        """The raw hour: twelve files."""
        name = "hour" if profile == "uniform" else profile
        return rawdata.ensure(self.data / "raw" / f"{name}-{self.events}", Spec(HOUR, 12, self.events, profile))

    def next_file(self) -> Path:
        """The file after the hour."""
        start = (datetime.fromisoformat(HOUR) + timedelta(hours=1)).isoformat()
        return rawdata.ensure(self.data / "raw" / f"next-{self.events}", Spec(start, 1, self.events, "uniform"))

    def raw_ledger(self) -> Path:
        """Many small files, in the days before the hour's day."""
        midnight = datetime.fromisoformat(HOUR).replace(hour=0)
        start = (midnight - timedelta(minutes=5 * self.ledger_files)).isoformat()
        folder = self.data / "raw" / f"ledger-{self.ledger_files}-{self.ledger_events}"
        return rawdata.ensure(folder, Spec(start, self.ledger_files, self.ledger_events, "uniform"))

    def raw_month(self) -> Path:
        """One file an hour, of the shop with 300 products."""
        folder = self.data / "raw" / f"month-{self.month_hours}-{self.month_events}"
        return rawdata.ensure(folder, Spec(MONTH, self.month_hours, self.month_events, "realistic", minutes=60))

    def lake(self, name: str, *steps: tuple[Path, int]) -> Path:
        """A lake built from folders of raw files, one after the other, all below one source.

        Args:
            name: Of the lake; its source stands beside it under ``<name>-source``.
            steps: A folder and the number of batches to ingest it in; 0 leaves that to shoplake.
        """
        lake, source = self.data / "lakes" / name, self.data / "lakes" / f"{name}-source"
        marker, saved = self.data / "lakes" / f"{name}-built", saved_copy(lake)
        if self.reuse and marker.is_file() and not saved.exists():
            return lake
        marker.unlink(missing_ok=True)
        for folder in (lake, saved):  # a copy that is there was left by a run that was killed
            shutil.rmtree(folder, ignore_errors=True)
        for number, (_, batches) in enumerate(steps, 1):
            folders = [folder for folder, _ in steps[:number]]
            rawdata.link(source, *folders)
            amount = sum(file.stat().st_size for file in rawdata.files(folders[-1]))
            bound = {"SHOPLAKE_BATCH_BYTES": str(amount // batches + 1)} if batches else {}
            cost = self.run("shoplake", "ingest", "--source", source, "--lake", lake, "--format", "json", env=bound)
            done = self.log()
            if done["failed_files"] or done["accepted"] != done["lines"]:
                raise agreement.DisagreementError(f"clean files were not all accepted: {done}")
            say(
                f"built {name}: {done['files']:,} files, {done['lines']:,} lines in {done['batches']} batches,"
                f" {cost.wall:.1f} s, {cost.peak_mib:,.0f} MiB"
            )
        marker.touch()
        return lake


def saved_copy(lake: Path) -> Path:
    """Where a lake is kept while its original is being changed: it names its files by absolute paths."""
    return lake.with_name(f"{lake.name}-saved")


def say(text: str) -> None:
    """Tell the person what is going on."""
    print(text, file=sys.stderr, flush=True)


@dataclass(frozen=True)
class HourBars:
    """What is promised of an hour: shares of a peer's wall time, as promise and goal, and the peak in MiB."""

    duckdb: tuple[float, float]
    clickhouse: tuple[float, float]
    peak_mib: int


UNIFORM = HourBars((0.65, 0.5), (0.80, 0.6), 1024)
REALISTIC = HourBars((0.75, 0.55), (0.90, 0.65), 1536)


def hour(bench: Bench) -> Findings:
    """Raw hour to five answers: every contender from nothing, in turn."""
    return _hour(bench, "hour", "uniform", UNIFORM)


def realistic(bench: Bench) -> Findings:
    """The same with users, sessions and journeys: hundreds of thousands of ids an hour."""
    return _hour(bench, "realistic", "realistic", REALISTIC)


def _hour(bench: Bench, name: str, profile: str, bars: HourBars) -> Findings:
    raw = bench.raw_hour(profile)
    costs: dict[str, list[Cost]] = {contender: [] for contender in bench.contenders}
    totals: dict[str, Any] = {}
    answers: dict[str, agreement.Answers] = {}
    for number in range(1, bench.rounds + 1):
        answers.clear()
        for contender in bench.contenders:
            target = bench.data / f"answers-{contender}.json"
            costs[contender].append(_contend(bench, contender, raw, target))
            say(f"round {number}: {contender} {costs[contender][-1].wall:.2f} s")
            if contender != FLOOR:
                answers[contender] = agreement.read(target)
        if answers:
            totals = agreement.check(answers, 12 * bench.events)
    medians = {contender: measure.median(runs) for contender, runs in costs.items()}
    found = _compared(medians, name, bars)
    found.figures = {"totals": totals, "medians": _plain(medians), "runs": _plain(costs)}
    found.notes.append(f"medians of {bench.rounds} rounds, {12 * bench.events:,} events, whole cold processes in turn")
    if totals:
        found.notes.append(
            f"the five answers of {', '.join(answers)} agree, value by value: {totals['events']:,} events,"
            f" {totals['views']:,} views, revenue {totals['revenue']}, {totals['unique_users']:,} users,"
            f" {totals['unique_sessions']:,} sessions; rows {list(totals['rows'].values())}"
        )
    return found


def increment(bench: Bench) -> Findings:
    """One more file: after the hour, after the hour on a long ledger, and as the hour's last."""
    raw, following, ledger = bench.raw_hour(), bench.next_file(), bench.raw_ledger()
    *eleven, last = rawdata.files(raw)
    begun, final = bench.data / "raw" / "begun", bench.data / "raw" / "final"
    for folder, chosen in ((begun, eleven), (final, [last])):
        shutil.rmtree(folder, ignore_errors=True)
        for file in chosen:
            target = folder / file.relative_to(raw)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.hardlink_to(file)
    days = max(1, bench.ledger_files // 288)
    long = f"the same, {bench.ledger_files:,} more files in the ledger"
    cases = {
        "next file after the hour": (bench.lake("hour", (raw, 0)), (raw,), following),
        long: (bench.lake("long", (ledger, days), (raw, 0)), (ledger, raw), following),
        "twelfth file of the hour": (bench.lake("begun", (begun, 0)), (begun,), final),
    }
    costs: dict[str, list[Cost]] = {name: [] for case in cases for name in (case, f"{case}: nothing new")}
    for number in range(1, bench.rounds + 1):
        for name, (built, before, new) in cases.items():
            saved = saved_copy(built)
            shutil.copytree(built, saved)
            source = rawdata.link(built.with_name(f"{built.name}-source"), *before, new)
            try:
                os.sync()
                costs[name].append(_ingest(bench, source, built, files=1, lines=bench.events))
                costs[f"{name}: nothing new"].append(_ingest(bench, source, built, files=0, lines=0))
            finally:
                shutil.rmtree(built)
                saved.rename(built)
                rawdata.link(source, *before)
            say(f"round {number}: {name} {costs[name][-1].wall:.2f} s")
    medians = {name: measure.median(runs) for name, runs in costs.items()}
    first = medians["next file after the hour"]
    found = Findings("increment", ("cold command", "wall s", "x first row", "CPU s", "peak MiB"))
    for name, cost in medians.items():
        found.rows.append(
            (name, f"{cost.wall:.2f}", f"{cost.wall / first.wall:.2f}", f"{cost.cpu:.2f}", f"{cost.peak_mib:,.0f}")
        )
    found.figures = {"medians": _plain(medians), "runs": _plain(costs)}
    found.notes += [
        f"medians of {bench.rounds} rounds; the file has {bench.events:,} events, the hour 12 x {bench.events:,}",
        "the next file opens an hour of its own on the hour's day; the twelfth adds a part to an hour of eleven files",
    ]
    found.notes.append(
        f"long ledger: {bench.ledger_files:,} files of {bench.ledger_events} events before the hour's day, ingested by"
        f" one command in about {days} batches (a shop that ran every five minutes would have had a batch a file)"
    )
    found.bars = [
        Bar("next file, wall s", 1.2, first.wall),
        Bar("nothing new, wall s", 0.30, medians["next file after the hour: nothing new"].wall),
        Bar("its wall time with a long ledger over that without", 1.2, medians[long].wall / first.wall),
    ]
    return found


def day(bench: Bench) -> Findings:
    """A realistic day: its thirteenth file and its last one, cold and in turn, and the backlogs of all before them."""
    raw = rawdata.ensure(
        bench.data / "raw" / f"day-{bench.day_files}-{bench.events}",
        Spec(f"{HOUR[:10]}T00:00:00+00:00", bench.day_files, bench.events, "realistic"),
    )
    place = bench.data / "lakes" / "day"
    shutil.rmtree(place, ignore_errors=True)
    costs: dict[str, list[Cost]] = {}
    early, last = min(13, bench.day_files // 2), bench.day_files
    cases = {early: (place / "morning", place / "morning-source"), last: (place / "lake", place / "source")}
    for file, (lake, source) in cases.items():
        rawdata.link(source, raw, first=file - 1)
        backlog = _ingest(bench, source, lake, files=file - 1, lines=(file - 1) * bench.events)
        costs[f"files 1 to {file - 1} at once"] = [backlog]
    for number in range(1, bench.rounds + 1):
        for file, (lake, source) in cases.items():
            shutil.rmtree(saved_copy(lake), ignore_errors=True)
            shutil.copytree(lake, saved_copy(lake), copy_function=os.link)
            rawdata.link(source, raw, first=file)
            os.sync()
            cost = _ingest(bench, source, lake, files=1, lines=bench.events)
            costs.setdefault(f"file {file}", []).append(cost)
            say(f"round {number}: file {file} {cost.wall:.2f} s")
            if number < bench.rounds:
                shutil.rmtree(lake)
                saved_copy(lake).rename(lake)
    medians = {name: measure.median(runs) for name, runs in costs.items()}
    found = Findings("day", ("cold command", "wall s", "CPU s", "CPU s a file", "peak MiB"))
    each = {f"files 1 to {file - 1} at once": file - 1 for file in cases}
    for name, cost in medians.items():
        a_file = cost.cpu / each.get(name, 1)
        found.rows.append((name, f"{cost.wall:.2f}", f"{cost.cpu:.2f}", f"{a_file:.2f}", f"{cost.peak_mib:,.0f}"))
    found.figures = {"medians": _plain(medians), "runs": _plain(costs)}
    found.notes.append(f"{last} files of {bench.events:,} events; medians of {bench.rounds} rounds for single files")
    one, other = medians[f"file {early}"], medians[f"file {last}"]
    hour, backlog = (medians[name] for name in each)
    found.bars = [
        Bar("the last file's CPU time over the thirteenth's", 1.3, other.cpu / one.cpu),
        Bar("the last file's wall time over the thirteenth's", 1.3, other.wall / one.wall),
        Bar("the last file's peak memory, MiB", 1024, other.peak_mib),
        Bar("the backlog's CPU time a file over the hour's", 1.1, backlog.cpu / (last - 1) / (hour.cpu / (early - 1))),
        Bar("the backlog's peak memory, MiB", 2048, backlog.peak_mib),
    ]
    return found


def small(bench: Bench) -> Findings:
    """Ten thousand files of ten events, as one backlog."""
    raw = rawdata.ensure(
        bench.data / "raw" / f"small-{bench.small_files}", Spec(MONTH, bench.small_files, 10, "uniform")
    )
    lake = bench.data / "lakes" / "small"
    runs = []
    for _ in range(bench.rounds):
        shutil.rmtree(lake, ignore_errors=True)
        runs.append(_ingest(bench, raw, lake, files=bench.small_files, lines=10 * bench.small_files))
    cost = measure.median(runs)
    found = Findings("small", ("cold command", "wall s", "CPU s", "CPU ms a file", "peak MiB"))
    row = (f"{cost.wall:.2f}", f"{cost.cpu:.2f}", f"{1000 * cost.cpu / bench.small_files:.1f}", f"{cost.peak_mib:,.0f}")
    found.rows.append((f"{bench.small_files:,} files of 10 events", *row))
    found.figures = {"median": _plain(cost), "runs": _plain(runs)}
    found.bars = [Bar("wall s", 25, cost.wall), Bar("peak memory, MiB", 500, cost.peak_mib)]
    return found


def queries(bench: Bench) -> Findings:
    """The five queries on the hour."""
    lake = bench.lake("hour", (bench.raw_hour(), 0))
    found = _ask(bench, "queries", lake, 0.3)
    found.notes.append(f"the lake holds one hour, 12 x {bench.events:,} events, ingested by one command")
    return found


def month(bench: Bench) -> Findings:
    """The five queries on a simulated month of gold."""
    lake = bench.lake("month", (bench.raw_month(), max(1, bench.month_hours // 24)))
    found = _ask(bench, "month", lake, 1.5)
    gold = found.figures["warm"][0]["gold"]
    found.notes.append(
        f"simulated: one file of {bench.month_events:,} events (realistic profile) for each of {bench.month_hours} hours"
        f" instead of twelve of 500,000-750,000, ingested in about a day a batch; product_hourly is nearly as in a real month,"
        f" {gold['product_hourly_rows']:,} rows of {gold['hours']} hours and {gold['products']} products in"
        f" {gold['files'].get('product_hourly', 0)} files, while events, user_hourly and session_hourly are far smaller"
        " than real ones (the five queries do not read them)"
    )
    return found


def crossover(bench: Bench) -> Findings:
    """Both engines on more and more files: is there a number from which on Spark is faster on one machine?"""
    spec = Spec(HOUR, max(CROSSOVER_FILES), bench.events, "uniform")
    raw = rawdata.ensure(bench.data / "raw" / f"three-hours-{bench.events}", spec)
    costs: dict[tuple[int, str], list[Cost]] = {(n, name): [] for n in CROSSOVER_FILES for name in ENGINES}
    for number in range(1, bench.rounds + 1):
        for (files, name), runs in costs.items():
            source, lake = rawdata.link(bench.data / "work" / "source", raw, first=files), bench.data / "work" / "lake"
            shutil.rmtree(lake, ignore_errors=True)
            _settle(source)
            lines = files * bench.events
            runs.append(_ingest(bench, source, lake, *ENGINES[name], files=files, lines=lines))
            say(f"round {number}: {files} files, {name} {runs[-1].wall:.2f} s")
    medians = {case: measure.median(runs) for case, runs in costs.items()}
    header = [
        "files",
        *(f"{name}, {what}" for what in ("wall s", "CPU s") for name in ENGINES),
        "Spark's wall / DuckDB's",
    ]
    found = Findings("crossover", header)
    for files in CROSSOVER_FILES:
        each = [medians[files, name] for name in ENGINES]
        ratio = each[1].wall / each[0].wall
        found.rows.append(
            (str(files), *(f"{one.wall:.2f}" for one in each), *(f"{one.cpu:.2f}" for one in each), f"{ratio:.1f}")
        )
    found.figures = {
        "medians": _plain({f"{files} {name}": cost for (files, name), cost in medians.items()}),
        "runs": _plain({f"{files} {name}": runs for (files, name), runs in costs.items()}),
    }
    found.notes.append(
        f"cold `shoplake ingest` into a new lake, files of {bench.events:,} events; medians of {bench.rounds}"
    )
    least, most = min(CROSSOVER_FILES), max(CROSSOVER_FILES)
    for name in ENGINES:
        slope = {
            what: (getattr(medians[most, name], what) - getattr(medians[least, name], what)) / (most - least)
            for what in ("wall", "cpu")
        }
        found.notes.append(
            f"{name}: each file beyond the first costs {slope['wall']:.2f} s and {slope['cpu']:.2f} CPU s"
        )
    return found


def _ask(bench: Bench, workload: str, lake: Path, limit: float) -> Findings:
    cold, warm, figures = [], [], bench.data / "work" / "warm.json"
    for number in range(1, bench.rounds + 1):
        cold.append(bench.run("shoplake", "query", "all", "--lake", lake, "--format", "json"))
        bench.run(sys.executable, HERE / "warm_queries.py", lake, str(bench.repeats), figures)
        warm.append(json.loads(figures.read_text("utf-8")))
        say(f"round {number}: warm {warm[-1]['sum']:.3f} s, cold {cold[-1].wall:.2f} s")
    typical = sorted(warm, key=lambda one: one["sum"])[len(warm) // 2]
    command = measure.median(cold)
    found = Findings(workload, ("what", "ms", "rows"))
    found.rows = [
        (name, f"{seconds * 1000:,.1f}", f"{typical['rows'][name]:,}") for name, seconds in typical["medians"].items()
    ]
    found.rows += [
        ("**the five together, warm process**", f"{typical['sum'] * 1000:,.1f}", ""),
        ("opening the lake", f"{typical['open'] * 1000:,.1f}", ""),
        ("`shoplake query all`, cold command", f"{command.wall * 1000:,.0f}", ""),
    ]
    found.figures = {"warm": warm, "cold": _plain(cold)}
    found.notes.append(
        f"warm: each query {bench.repeats} times in one process after one warm-up, medians; the middle of"
        f" {bench.rounds} such processes; cold: median of {bench.rounds} commands, {command.peak_mib:,.0f} MiB"
    )
    found.bars.append(Bar("the five together in a warm process, s", limit, typical["sum"]))
    return found


def _compared(medians: Mapping[str, Cost], title: str, bars: HourBars) -> Findings:
    base, mine, click = (medians.get(name) for name in (REFERENCE, "shoplake", "clickhouse_naive"))
    found = Findings(title, ("contender", "wall s", "x DuckDB", "CPU s", "x DuckDB", "peak MiB", "x DuckDB"))
    for name, cost in medians.items():
        row = [name]
        for figure, digits in (("wall", 2), ("cpu", 2), ("peak_mib", 0)):
            value = getattr(cost, figure)
            row += [f"{value:,.{digits}f}", f"{value / getattr(base, figure):.2f}" if base else ""]
        found.rows.append(row)
    if mine and base:
        found.bars += _both_bars("shoplake's wall time over naive DuckDB's", bars.duckdb, mine.wall / base.wall)
    if mine and click:
        found.bars += _both_bars(
            "shoplake's wall time over naive ClickHouse's", bars.clickhouse, mine.wall / click.wall
        )
    if {"shoplake_spark", "spark_naive"} <= medians.keys():
        ratio = medians["shoplake_spark"].wall / medians["spark_naive"].wall
        found.bars.append(Bar("wall time of shoplake's Spark engine over naive Spark's", 0.80, ratio))
    if mine:
        found.bars.append(Bar("shoplake's peak memory, MiB", bars.peak_mib, mine.peak_mib))
    return found


def _both_bars(what: str, limits: tuple[float, float], ratio: float) -> list[Bar]:
    promise, goal = limits
    return [Bar(what, promise, ratio), Bar(f"(goal) {what}", goal, ratio)]


def _contend(bench: Bench, name: str, raw: Path, target: Path) -> Cost:
    script = HERE / "contenders" / CONTENDERS[name]
    work = bench.data / "work" / name
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    target.unlink(missing_ok=True)
    _settle(raw)
    cost = bench.run("sh" if script.suffix == ".sh" else sys.executable, script, raw, work, target)
    shutil.rmtree(work)
    return cost


def _settle(raw: Path) -> None:
    """Everybody finds the raw files in the page cache, and nobody pays for writing out what the one before left."""
    for file in rawdata.files(raw):
        file.read_bytes()
    os.sync()


def _ingest(bench: Bench, source: Path, lake: Path, *options: str, files: int, lines: int) -> Cost:
    cost = bench.run("shoplake", "ingest", "--source", source, "--lake", lake, "--format", "json", *options)
    done = bench.log()
    if (done["files"], done["accepted"]) != (files, lines):
        raise agreement.DisagreementError(f"expected {files} files and {lines} events more, shoplake says {done}")
    return cost


def _environment() -> dict[str, str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SHOPLAKE_")}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment.get('PATH', os.defpath)}"
    with suppress(UsageError):  # Spark says itself that there is no Java
        environment["JAVA_HOME"] = str(java.find().home)
    environment["PYSPARK_PYTHON"] = sys.executable
    return environment


def _plain(value: Any) -> Any:
    if isinstance(value, Cost):
        return {name: round(figure, 4) for name, figure in asdict(value).items()}
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value]


WORKLOADS: dict[str, Callable[[Bench], Findings]] = {
    "hour": hour,
    "realistic": realistic,
    "increment": increment,
    "day": day,
    "small": small,
    "queries": queries,
    "month": month,
    "crossover": crossover,
}
