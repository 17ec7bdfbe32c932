"""``shoplake copy``: the lake at another place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from shoplake import api
from shoplake.cli import options, output
from shoplake.text import count, size

if TYPE_CHECKING:
    from shoplake.operations.copying import CopyReport


@click.command(
    epilog=options.examples(
        "shoplake copy lake /mnt/backup/lake",
        "shoplake copy lake s3://my-bucket/lake --dry-run",
        "shoplake copy s3://my-bucket/lake restored --format json",
    )
)
@click.argument("lake")
@click.argument("dest")
@click.option("--dry-run", is_flag=True, help="Show what would be copied without changing anything.")
@options.style
def copy(lake: str, dest: str, dry_run: bool, style: str) -> None:
    """Copy the lake LAKE to DEST, each a folder or s3://BUCKET/PREFIX, as a lake that works there.

    It copies the newest version while ingests and maintenance keep running. Run it again after it was stopped: files that
    were sent are not sent again. Run it again later: it brings the copy up to date, unless the copy was changed by runs of
    its own. DEST becomes a lake with the last write, when every file is there with its size.
    """
    with output.progress("copying", "files", shown=style == "table" and not dry_run) as observer:
        done = api.copy(lake, dest, dry_run=dry_run, observer=observer)
    _show(done, style)


def _show(done: CopyReport, style: str) -> None:
    if style == "json":
        output.as_json(done.as_json())
        return
    columns = ["table", "files", "rows", "bytes"]
    rows = [[name, *figures.values()] for name, figures in done.tables.items()]
    if style == "csv":
        output.as_csv(columns, rows)
        return
    if done.up_to_date:
        output.say(f"Nothing to do: {done.dest} has version {done.version:,} already.")
        return
    output.as_table(columns, rows)
    amount = f"{count(done.sent, 'file')} ({size(done.sent_bytes)})"
    there = f"; {done.there:,} were there already" if done.there else ""
    if done.dry_run:
        output.say(f"Would copy {amount} of version {done.version:,}{there}. Nothing was changed.")
        return
    removed = f"; removed {done.removed:,} that it has no more" if done.removed else ""
    output.say(f"Copied {amount} of version {done.version:,} to {done.dest}{there}{removed}.")
    output.say(f"Check it: shoplake verify --lake {done.dest}")
