"""``shoplake replay``: chosen source files are taken in again."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from shoplake import settings
from shoplake.cli import options, output
from shoplake.errors import UsageError
from shoplake.text import count, size

if TYPE_CHECKING:
    from shoplake.ingestion.pipeline import Run
    from shoplake.ingestion.plan import Plan
    from shoplake.ingestion.report import RunReport
    from shoplake.operations.replay import Choice


@click.command(
    epilog=options.examples(
        "shoplake replay --source raw --lake lake --from 2025-11-18 --to 2025-11-19 --dry-run",
        "shoplake replay --source raw --lake lake --from 2025-11-18T14:00:00Z --to 2025-11-18T15:00:00Z",
        "shoplake replay --source raw --lake lake --files events/year=2025/.../events-20251118-140000.jsonl.gz",
    )
)
@options.source
@options.lake
@click.option("--from", "start", metavar="ISO", help="Start of the range of time, included; UTC without an offset.")
@click.option("--to", "end", metavar="ISO", help="End of the range, not included.")
@click.option("--files", "first", metavar="F...", help="These source files, by their path below the source.")
@click.argument("more", nargs=-1, metavar="")
@options.engine
@options.master
@click.option("--dry-run", is_flag=True, help="Show what would be done and change nothing.")
@options.style
def replay(  # noqa: PLR0917 - one parameter an option
    source: str | None,
    lake: str | None,
    start: str | None,
    end: str | None,
    first: str | None,
    more: tuple[str, ...],
    engine: str | None,
    master: str | None,
    dry_run: bool,
    style: str,
) -> None:
    """Take chosen source files in again, in place of what the lake holds of them.

    For when a raw object was put right, or the contract was mended. A range takes the files with an event in it, and the
    files not ingested yet whose slot lies in it. Files are replaced whole: of one that straddles an end of the range, the
    rows outside are replaced by equal ones. Nothing else changes, unless a file was another before (this is said): then
    files with duplicates of its events are done again too. Doing it twice changes nothing.

    Files that are gone from the source stay in the lake as they are; the exit code is 1 then, and the others are done.

    It is not needed for old months that the lake never had: shoplake ingest takes in whatever is new, of any age.
    """
    from dataclasses import replace

    from shoplake.engines import choose
    from shoplake.ingestion import pipeline
    from shoplake.lake.catalog import Lake
    from shoplake.operations import replay as replays
    from shoplake.sources.open import open_source

    chosen = settings.load({"source": source, "lake": lake, "engine": engine, "master": master})
    target = Lake(chosen.need_lake())
    run = pipeline.Run(target, open_source(chosen.need_source()), choose.engine(chosen, target), chosen)
    choice = _choose(run, start, end, (first, *more) if first else more, named=bool(first))
    if dry_run:
        _show_plan(choice, replays.preview(run, choice), style)
    else:
        with output.progress("replaying", "lines", shown=style == "table") as (begin, advance):
            watchers = pipeline.Watchers(lambda todo: begin(todo.bytes), advance, output.note)
            done = replays.replay(replace(run, watchers=watchers), choice)
        _show(choice, done, style)
        if choice.gone or done.failures:
            sys.exit(1)


def _choose(run: Run, start: str | None, end: str | None, files: tuple[str, ...], *, named: bool) -> Choice:
    from shoplake.operations import replay as replays

    if named == bool(start or end) or bool(start) != bool(end) or (files and not named):
        raise UsageError(
            "it is not clear which files are meant", remedy="Give both --from ISO and --to ISO, or --files F..."
        )
    if named:
        return replays.choose_files(run, files)
    return replays.choose_range(run, options.moment(str(start), "--from"), options.moment(str(end), "--to"))


def _show_plan(choice: Choice, todo: Plan, style: str) -> None:
    planned = [(number, file) for number, batch in enumerate(todo.batches, 1) for file in batch.files]
    rows = [(number, file.path, file.bytes, choice.files.get(file.path, "again")) for number, file in planned]
    if style == "json":
        output.as_json(
            {
                "files": todo.files,
                "bytes": todo.bytes,
                "batches": [
                    [{"path": path, "bytes": size, "kind": kind} for of, path, size, kind in rows if of == number]
                    for number in range(1, len(todo.batches) + 1)
                ],
                "changed": choice.changed,
                "refused": choice.refused,
            }
        )
    elif style == "csv":
        output.as_csv(("batch", "path", "bytes", "kind"), rows)
    else:
        _tell_exceptions(choice)
        if rows:
            output.as_table(("batch", "source file", "bytes", ""), rows)
        output.say(
            f"Would replay {count(todo.files, 'file')} ({size(todo.bytes)}) in"
            f" {count(len(todo.batches), 'batch', 'batches')}. Nothing was changed."
        )


def _show(choice: Choice, done: RunReport, style: str) -> None:
    if style == "json":
        output.as_json(done.as_json() | {"changed": choice.changed, "refused": choice.refused})
        return
    if style == "csv":
        output.report(done, style)
        return
    _tell_exceptions(choice)
    if choice.files:
        output.report(done, style, "Replayed")
    else:
        output.say("No file to replay.")


def _tell_exceptions(choice: Choice) -> None:
    for path in choice.changed:
        output.note(f"changed: {path}: its raw object is not the one that was ingested; its rows may change")
    for one in choice.refused:
        output.note(f"refused: {one['file']}: {one['error']}")
