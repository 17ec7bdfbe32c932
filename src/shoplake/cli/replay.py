"""``shoplake replay``: chosen source files are taken in again."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from shoplake import api
from shoplake.cli import options, output
from shoplake.errors import UsageError
from shoplake.text import count, size

if TYPE_CHECKING:
    from shoplake.api import ReplayReport
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
    if more and not first:
        raise UsageError(f"what is {more[0]}?", remedy="Give both --from ISO and --to ISO, or --files F...")
    with output.progress("replaying", "lines", shown=style == "table" and not dry_run) as observer:
        report = api.replay(
            source,
            lake,
            start=options.moment(start, "--from") if start else None,
            end=options.moment(end, "--to") if end else None,
            files=(first, *more) if first else (),
            dry_run=dry_run,
            observer=observer,
            engine=engine,
            master=master,
        )
    if style == "json":
        output.as_json(report.as_json())
    elif dry_run:
        _show_plan(report, style)
    else:
        _show(report, style)
    if not (report.ok or dry_run):
        sys.exit(1)


def _show_plan(report: ReplayReport, style: str) -> None:
    plan = report.as_json()
    rows = [
        (number, file["path"], file["bytes"], file["kind"])
        for number, batch in enumerate(plan["batches"], 1)
        for file in batch
    ]
    if style == "csv":
        output.as_csv(("batch", "path", "bytes", "kind"), rows)
        return
    _note_exceptions(report.choice)
    if rows:
        output.as_table(("batch", "source file", "bytes", ""), rows)
    output.say(
        f"Would replay {count(plan['files'], 'file')} ({size(plan['bytes'])}) in"
        f" {count(len(plan['batches']), 'batch', 'batches')}. Nothing was changed."
    )


def _show(report: ReplayReport, style: str) -> None:
    if report.run is None:
        return
    if style == "csv":
        output.report(report.run, style)
        return
    _note_exceptions(report.choice)
    if report.choice.files:
        output.report(report.run, style, "Replayed")
    else:
        output.say("No file to replay.")


def _note_exceptions(choice: Choice) -> None:
    for path in choice.changed:
        output.note(f"changed: {path}: its raw object is not the one that was ingested; its rows may change")
    for refused in choice.refused:
        output.note(f"refused: {refused['file']}: {refused['error']}")
