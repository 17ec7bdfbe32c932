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

from shoplake import api, queries, settings
from shoplake.cli import options, output
from shoplake.errors import FatalError, UsageError
from shoplake.text import seconds, size

if TYPE_CHECKING:
    from shoplake.ingestion.report import RunReport
    from shoplake.lake.reader import OpenLake

_MARK = ".shoplake-demo"
_START = datetime(2025, 11, 18, 14, tzinfo=UTC)


@click.command(
    epilog=options.examples("shoplake demo", "shoplake demo --dir /tmp/shop --files 3 --events-per-file 10000")
)
@click.option("--dir", "folder", default="shoplake-demo", show_default=True, help="Where the files and the lake go.")
@click.option("--files", type=options.whole(2), default=12, show_default=True, help="Source files to make.")
@options.events_per_file
@click.option("--seed", default=42, show_default=True, help="Seed of the events.")
def demo(folder: str, files: int, events_per_file: str, seed: int) -> None:
    """Make an hour of events, ingest it in two steps, answer the five questions, check the sums."""
    _play(Path(folder), files, options.span(events_per_file), seed)


def _play(folder: Path, files: int, events_per_file: tuple[int, int], seed: int) -> None:
    """Play the demo in a folder, which is made anew.

    Raises:
        UsageError: The folder exists and is not an earlier demo's.
        FatalError: The sums do not agree, which must never happen.
    """
    from shoplake.generator.files import generate_files

    started = time.perf_counter()
    _prepare(folder)
    raw, held_back = folder / "raw", folder / "arriving"
    output.say(f"1. An hour of a shop: {files} files, one for every five minutes (seed {seed})")
    with output.progress("generating", "events", shown=True) as (begin, advance):
        made = generate_files(raw, files, events_per_file, _START, seed, progress=output.so_far(begin, advance))
    last = made[-1]
    held_back.parent.mkdir(exist_ok=True)
    shutil.move(last.path, held_back)
    output.say(
        f"   {sum(file.events for file in made):,} events, {size(sum(file.bytes for file in made))} gzipped,"
        f" made in {seconds(time.perf_counter() - started)}"
    )
    output.say()
    output.say(f"2. The first {files - 1} files are there: shoplake ingest")
    first = _ingest(folder, raw)
    output.say()
    output.say("3. The last file arrives; only it is read: shoplake ingest")
    shutil.move(held_back, last.path)
    second = _ingest(folder, raw)
    output.say()
    output.say("4. Once more, with nothing new: shoplake ingest")
    _ingest(folder, raw)
    output.say()
    output.say("5. The five answers: shoplake query all")
    with api.open(folder / "lake") as lake:
        asked = time.perf_counter()
        answers = [(query, lake.sql(query.sql)) for query in queries.five()]
        rows = [(query, list(relation.columns), relation.fetchall()) for query, relation in answers]
        took = time.perf_counter() - asked
        for query, columns, found in rows:
            shown = found[:10]
            output.as_table(columns, shown, f"{query.number}. {query.name}: {query.question}")
            if len(found) > len(shown):
                output.say(f"   ... and {len(found) - len(shown):,} more rows")
        output.say(f"   answered in {seconds(took)}")
        output.say()
        _reconcile(lake, first, second, sum(file.events for file in made))
    output.say()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    lines, spent = first.lines + second.lines, first.seconds + second.seconds
    output.say(
        f"Ingested {lines:,} events in {seconds(spent)} ({lines / spent:,.0f} a second), peak memory"
        f" {size(peak)}; everything took {seconds(time.perf_counter() - started)}."
    )
    output.say(f"Look around: shoplake dashboard --lake {folder / 'lake'} --source {raw} --open")


def _prepare(folder: Path) -> None:
    if folder.exists():
        if not (folder / _MARK).is_file():
            raise UsageError(f"{folder} exists and is no demo's", remedy="Name another folder: shoplake demo --dir DIR")
        shutil.rmtree(folder)
    try:
        folder.mkdir(parents=True)
        (folder / _MARK).touch()
    except OSError as error:
        raise FatalError(f"{folder} cannot be made: {error.strerror}", remedy="Check space and permissions.") from error


def _ingest(folder: Path, raw: Path) -> RunReport:
    from dataclasses import replace

    from shoplake.engines.duckdb import DuckDBEngine
    from shoplake.ingestion import pipeline
    from shoplake.lake.catalog import Lake
    from shoplake.sources.local import LocalSource

    chosen = settings.load({"lake": str(folder / "lake"), "source": str(raw)})
    run = pipeline.Run(Lake(folder / "lake"), LocalSource(raw), lambda: DuckDBEngine(chosen.threads), chosen)
    with output.progress("ingesting", "lines", shown=True) as (begin, advance):
        watchers = pipeline.Watchers(planned=lambda todo: begin(todo.bytes), progress=advance, note=output.note)
        done = pipeline.ingest(replace(run, watchers=watchers))
    output.report(done, "table")
    return done


def _reconcile(lake: OpenLake, first: RunReport, second: RunReport, generated: int) -> None:
    output.say("6. Do the sums agree?")
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
        raise FatalError("the sums do not agree", remedy="Please report this with the output above.")
