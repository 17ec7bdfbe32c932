"""``shoplake maintain``: merges small files and deletes those that are no longer referred to."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from shoplake import api
from shoplake.cli import options, output, process
from shoplake.settings import Range
from shoplake.text import count, size

if TYPE_CHECKING:
    from shoplake.operations.maintain.run import MaintenanceReport


def _hours(name: str, least: float, default: float, about: str) -> Callable[[Any], Any]:
    span = options.Within(Range(least, 876_000))
    return click.option(name, type=span, default=default, show_default=True, metavar="HOURS", help=about)


@click.command(
    epilog=options.examples(
        "shoplake maintain --lake lake",
        "shoplake maintain --lake lake --dry-run",
        "shoplake maintain --lake lake --older-than 72 --format json",
    )
)
@options.lake
@click.option("--dry-run", is_flag=True, help="Show what would be done without changing anything.")
@_hours("--closed-after", 0, 2.0, "Merge the files of hours, days and months that ended at least this long ago.")
@_hours("--older-than", 1, 24.0, "Delete unreferenced files once they are this old; at least 1.")
@options.log_format
@options.style
def maintain(lake: str | None, dry_run: bool, closed_after: float, older_than: float, style: str) -> None:
    """Merge the many small files of closed hours, days and months, and delete files that are no longer referred to.

    Run it once a day, at any time: ingests and readers can keep running. No row of any table changes, unless the setting
    keep_days is given: then events, quarantined lines and the hourly rows of users and sessions of older days are removed,
    and totals stay. It deletes files that a killed run left behind, and files that only expired snapshots use: each table
    keeps the snapshots of its last 100 batches, so a reader that opened the lake is undisturbed for that many.
    """
    process.pass_over_pandas()
    spans = timedelta(hours=closed_after), timedelta(hours=older_than)
    with output.progress("merging", "files", shown=style == "table" and not dry_run) as observer:
        done = api.maintain(lake, closed_after=spans[0], older_than=spans[1], dry_run=dry_run, observer=observer)
    _show(done, style)


def _show(done: MaintenanceReport, style: str) -> None:
    if style == "json":
        output.as_json(done.as_json())
        return
    columns = ["table", "partitions", "files before", "files after", "bytes before", "bytes after"]
    rows = [
        [name, len(one.partitions), one.files_before, one.files_after, one.bytes_before, one.bytes_after]
        for name, one in done.merged.items()
    ]
    if style == "csv":
        output.as_csv(columns, rows)
        return
    if done.expired:
        gone = ", ".join(f"{count(rows, 'row')} of {name}" for name, rows in done.expired.items())
        output.say(f"{'Would remove' if done.dry_run else 'Removed'} what is older than {done.kept_from}: {gone}.")
    if not done.merged and not done.removed and not done.expired:
        output.say("Nothing to do: no closed hour, day or month has files to merge, and no file can be deleted.")
    if rows:
        output.as_table(columns, rows)
    if done.removed:
        amount = f"{count(len(done.removed), 'file')} no longer referred to ({size(done.removed_bytes)})"
        output.say(f"Would delete {amount}." if done.dry_run else f"Deleted {amount}.")
    for name in done.retained:
        output.say(f"Left for a later run: old files of {name}, which had 100 batches within the last hour.")
    if done.dry_run and (rows or done.removed or done.expired):
        output.say("Nothing was changed.")
