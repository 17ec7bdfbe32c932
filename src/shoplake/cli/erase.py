"""``shoplake erase``: removes a person, with a receipt."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from shoplake import api
from shoplake.cli import options, output
from shoplake.text import count, json_value, size

if TYPE_CHECKING:
    from shoplake.operations.erase import EraseReceipt

_SHOWN = 20


@click.command(
    epilog=options.examples(
        "shoplake erase --user u_81234 --lake lake --dry-run",
        "shoplake erase --user u_81234 --lake lake --source raw",
        "shoplake erase --user u_81234 --lake lake --source raw --raw --yes --format json > receipt.json",
    )
)
@click.option("--user", required=True, metavar="ID", help="The person's user_id.")
@options.lake
@options.source
@click.option("--raw", is_flag=True, help="Also rewrite the raw files that contain the person, without their lines.")
@click.option("--dry-run", is_flag=True, help="Show what would be done without changing anything.")
@options.yes
@click.option(
    "--format",
    "style",
    type=click.Choice(("table", "json")),
    default="table",
    show_default=True,
    help="Output format of the receipt.",
)
def erase(user: str, lake: str | None, source: str | None, raw: bool, dry_run: bool, yes: bool, style: str) -> None:
    """Remove a person from the tables and from their history, and print a receipt.

    The person's rows are removed from events and quarantine, and gold is recomputed. Earlier snapshots of all tables are
    removed at once, with every file that only they used, so anyone who has the lake open must open it again. The lake keeps a
    keyed hash of the id, so that later ingests and replays drop the person's lines; they are counted as erased.

    The receipt lists the raw files that contain the person. With --raw they are rewritten without these lines; all other
    lines stay byte for byte the same. If a run is killed, the same command finishes it. With --raw the exit code is 1 if a
    raw file could not be searched or rewritten.
    """
    if not dry_run:
        what = "from the lake, its history and the raw files" if raw else "from the lake and its history"
        options.confirm(f"Erase {user!r} {what}? This cannot be undone.", yes=yes)
    with output.progress("searching raw files", "lines", shown=style == "table") as observer:
        receipt = api.erase(user, lake, source, raw=raw, dry_run=dry_run, observer=observer)
    if style == "json":
        output.as_json(receipt.as_json())
    else:
        _show(receipt)
    if raw and receipt.failed:
        sys.exit(1)


def _show(receipt: EraseReceipt) -> None:
    output.say(f"Request {receipt.request} of {json_value(receipt.at)}, lake {receipt.lake}")
    output.say(f"Person  {receipt.user_hash or '-'}{', erased before' if receipt.repeated else ''}")
    done = "Would be removed" if receipt.dry_run else "Removed"
    if not receipt.found:
        output.say("Nothing about this person was found; lines that arrive later are dropped.")
    if any(receipt.removed.values()):
        rows = ", ".join(f"{number:,} of {table}" for table, number in receipt.removed.items())
        output.say(f"{done}: rows: {rows}")
        hours = receipt.hours
        first, last = (f"{hour:%Y-%m-%d %H:%M}" for hour in (hours[0], hours[-1])) if hours else ("", "")
        span = f" ({first} to {last})" if hours else ""
        output.say(f"Gold recomputed: {count(len(hours), 'hour')}{span}")
    files = "" if receipt.files is None else f", {count(receipt.files, 'file')} ({size(receipt.bytes or 0)})"
    output.say(f"{done} from the history: {count(receipt.snapshots, 'snapshot')}{files}")
    _show_raw(receipt)
    if receipt.dry_run:
        output.say("Nothing was changed.")


def _show_raw(receipt: EraseReceipt) -> None:
    if not receipt.raw:
        if receipt.source:
            output.say("No raw file contains the person.")
        return
    output.as_table(
        ("raw file", "lines of the person", ""),
        [(file.file, file.lines, _fate(file.rewritten, file.gone, file.error)) for file in receipt.raw[:_SHOWN]],
    )
    if len(receipt.raw) > _SHOWN:
        output.say(f"  and {count(len(receipt.raw) - _SHOWN, 'more raw file')}; all of them with --format json")
    if not receipt.source:
        output.say("These are the files that the tables mention; give --source DIR to search the raw files themselves.")


def _fate(rewritten: bool, gone: bool, error: str) -> str:
    return error or (
        "rewritten without them" if rewritten else "no longer in the source" if gone else "still contains them"
    )
