"""``shoplake replay``: ingests chosen source files again."""

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
@options.source_name
@options.lake
@click.option(
    "--from", "start", metavar="ISO", help="Start of the time range (inclusive); UTC unless it has an offset."
)
@click.option("--to", "end", metavar="ISO", help="End of the time range (exclusive).")
@click.option(
    "--files", "first", multiple=True, metavar="F...", help="These source files, by their path relative to the source."
)
@click.argument("more", nargs=-1, metavar="")
@options.engine
@options.master
@click.option("--dry-run", is_flag=True, help="Show what would be done without changing anything.")
@options.log_format
@options.style
def replay(  # noqa: PLR0917 - one parameter an option
    source: str | None,
    source_name: str | None,
    lake: str | None,
    start: str | None,
    end: str | None,
    first: tuple[str, ...],
    more: tuple[str, ...],
    engine: str | None,
    master: str | None,
    dry_run: bool,
    style: str,
) -> None:
    """Ingest chosen source files again, replacing what the lake holds of them.

    Use it after a raw object or the contract was corrected. A time range selects the files with an event in it, and files
    not ingested yet whose slot is in it. Files are replaced whole: when a file straddles an end of the range, its rows
    outside the range are replaced by equal ones. Nothing else changes, except when a file's raw object has changed since it
    was ingested (replay says so): then files with duplicates of its events are ingested again, too. Replaying twice changes
    nothing.

    Files that are no longer in the source stay in the lake as they are; the others are replayed, and the exit code is 1.

    To backfill months that the lake never had, use shoplake ingest: it ingests whatever is new, however old its events are.
    """
    if more and not first:
        raise UsageError(f"unexpected argument {more[0]}", remedy="Give both --from ISO and --to ISO, or --files F...")
    with output.progress("replaying", "lines", shown=style == "table" and not dry_run) as observer:
        report = api.replay(
            source,
            lake,
            start=options.moment(start, "--from") if start else None,
            end=options.moment(end, "--to") if end else None,
            files=(*first, *more),
            dry_run=dry_run,
            observer=observer,
            source_name=source_name,
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
        output.note(f"changed: {path}: its raw object has changed since it was ingested, so its rows may change")
    for refused in choice.refused:
        output.note(f"refused: {refused['file']}: {refused['error']}")
