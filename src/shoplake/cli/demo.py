"""``shoplake demo``: one real hour from raw files to checked answers, with its time and memory."""

from __future__ import annotations

import resource
import shutil
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from shoplake import api, queries
from shoplake.cli import options, output
from shoplake.errors import FatalError, UsageError
from shoplake.text import count, json_value, seconds, size

if TYPE_CHECKING:
    from shoplake.generator.files import GeneratedFile
    from shoplake.ingestion.report import RunReport
    from shoplake.lake.reader import OpenLake

_MARK = ".shoplake-demo"
_START = datetime(2025, 11, 18, 14, tzinfo=UTC)
_ROWS = 10


@click.command(
    epilog=options.examples("shoplake demo", "shoplake demo --dir /tmp/shop --files 3 --events-per-file 10000")
)
@click.option(
    "--dir",
    "folder",
    type=options.Written(),
    metavar="DIR",
    default="shoplake-demo",
    show_default=True,
    help="Where the files and the lake go.",
)
@click.option("--files", type=options.whole(2), default=12, show_default=True, help="Number of source files.")
@options.events_per_file
@click.option("--seed", default=42, show_default=True, help="Seed of the events.")
def demo(folder: str, files: int, events_per_file: str, seed: int) -> None:
    """Generate an hour of events, ingest it in two steps, answer the five questions and check the totals."""
    started = time.perf_counter()
    place = Path(folder)
    raw, lake = place / "raw", place / "lake"
    _prepare(place)
    output.say(f"1. An hour of a shop: {files} files, one every five minutes (seed {seed})")
    made = _generate(raw, files, options.span(events_per_file), seed)
    events = sum(file.events for file in made)
    first, second = _ingest_in_two_steps(made[-1].path, raw, lake, files)
    _sign(lake)
    with api.open(lake) as opened:
        _answer(opened)
        _reconcile(opened, first, second, events)
    output.say()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    lines, spent = first.lines + second.lines, first.seconds + second.seconds
    output.say(
        f"Ingested {lines:,} events in {seconds(spent)} ({lines / spent:,.0f} per second), peak memory {size(peak)};"
        f" total time {seconds(time.perf_counter() - started)}."
    )
    output.say(f"Look around: shoplake dashboard --lake {lake} --source {raw} --open")


def _prepare(folder: Path) -> None:
    """Make the folder, or empty it if it is an earlier demo's."""
    if folder.exists():
        if not (folder / _MARK).is_file():
            raise UsageError(
                f"{folder} exists and was not made by shoplake demo",
                remedy="Choose another folder: shoplake demo --dir DIR",
            )
        shutil.rmtree(folder)
    try:
        folder.mkdir(parents=True)
        (folder / _MARK).touch()
    except OSError as error:
        raise FatalError(
            f"{folder} cannot be created: {error.strerror}", remedy="Check disk space and permissions."
        ) from error


def _generate(raw: Path, files: int, events_per_file: tuple[int, int], seed: int) -> list[GeneratedFile]:
    from shoplake.generator.files import generate_files

    started = time.perf_counter()
    with output.progress("generating", "events", shown=True) as observer:
        made = generate_files(raw, files, events_per_file, _START, seed, progress=output.so_far(observer))
    output.say(
        f"   {sum(file.events for file in made):,} events, {size(sum(file.bytes for file in made))} gzipped,"
        f" generated in {seconds(time.perf_counter() - started)}"
    )
    return made


def _ingest_in_two_steps(last: Path, raw: Path, lake: Path, files: int) -> tuple[RunReport, RunReport]:
    """All files but the last, then that one, then nothing new; returns what the first two runs did."""
    held_back = lake.parent / "arriving"
    shutil.move(last, held_back)
    output.say()
    output.say(f"2. The first {files - 1} files have arrived: shoplake ingest")
    first = _ingest(raw, lake)
    output.say()
    output.say("3. The last file arrives, and only that file is read: shoplake ingest")
    shutil.move(held_back, last)
    second = _ingest(raw, lake)
    output.say()
    output.say("4. Once more, with nothing new: shoplake ingest")
    _ingest(raw, lake)
    return first, second


def _ingest(raw: Path, lake: Path) -> RunReport:
    with output.progress("ingesting", "lines", shown=True) as observer:
        done = api.ingest(raw, lake, observer=observer, engine="duckdb")
    output.report(done, "table")
    return done


def _sign(lake: Path) -> None:
    """Note that nothing arrives in this lake on its own, so that status does not call it stale."""
    from shoplake.lake.catalog import Lake
    from shoplake.lake.notes import DEMO, Note

    Note(Lake(lake), DEMO).change(dict, lambda _: {"made_by": "shoplake demo", "at": json_value(datetime.now(UTC))})


def _answer(lake: OpenLake) -> None:
    output.say()
    output.say("5. The five answers: shoplake query all")
    started = time.perf_counter()
    relations = [(query, lake.sql(query.sql)) for query in queries.five()]
    answers = [(query, list(relation.columns), relation.fetchall()) for query, relation in relations]
    took = time.perf_counter() - started
    for query, columns, rows in answers:
        output.as_table(columns, rows[:_ROWS], f"{query.number}. {query.name}: {query.question}")
        if len(rows) > _ROWS:
            output.say(f"   ... and {count(len(rows) - _ROWS, 'more row')}")
    output.say(f"   answered in {seconds(took)}")


def _reconcile(lake: OpenLake, first: RunReport, second: RunReport, generated: int) -> None:
    output.say()
    output.say("6. Do the totals agree?")
    stored = lake.sql("SELECT count(*) FROM events").fetchall()[0][0]
    ledger = lake.sql(
        "SELECT sum(lines), sum(accepted + duplicates + quarantined), sum(accepted) FROM ledger"
    ).fetchall()
    lines, fates, accepted = ledger[0]
    agree = [
        ("lines generated = lines in the ledger", generated, lines),
        ("lines read by both runs = lines in the ledger", first.lines + second.lines, lines),
        ("lines = accepted + duplicates + quarantined", lines, fates),
        ("accepted = rows of events", accepted, stored),
    ]
    for query, check in zip(queries.five(), queries.oracle(), strict=True):
        answer, truth = lake.sql(query.sql).fetchall(), lake.sql(check.sql).fetchall()
        agree.append(
            (f"{query.name} = the oracle over events (rows)", len(answer), len(truth) if answer == truth else -1)
        )
    output.as_table(
        ("", "left", "right", ""),
        [(what, left, right, "yes" if left == right else "NO") for what, left, right in agree],
    )
    if any(left != right for _, left, right in agree):
        raise FatalError("the totals do not agree", remedy="Please report this with the output above.")
