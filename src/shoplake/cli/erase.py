"""``shoplake erase``: removes people, with a receipt."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from shoplake import api
from shoplake.cli import options, output, users
from shoplake.text import count, json_value, size

if TYPE_CHECKING:
    from shoplake.operations.erase import EraseReceipt

_SHOWN = 20
_HASH_SHOWN = 16


@click.command(
    epilog=options.examples(
        "shoplake erase --user u_81234 --lake lake --dry-run",
        "shoplake erase --user u_81234 --lake lake --source raw",
        "shoplake erase --user u_81234 --lake lake --source raw --raw --yes",
        "shoplake erase --users-file requests.txt --lake lake --yes --format json",
    )
)
@click.option("--user", metavar="ID", help="The person's user_id.")
@click.option(
    "--users-file",
    metavar="FILE",
    help="Many people: a file with one user_id on each line; - reads standard input.",
)
@options.lake
@options.source
@click.option("--raw", is_flag=True, help="Also rewrite the raw files that contain them, without their lines.")
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
def erase(
    *,
    user: str | None,
    users_file: str | None,
    lake: str | None,
    source: str | None,
    raw: bool,
    dry_run: bool,
    yes: bool,
    style: str,
) -> None:
    """Remove people from the tables and from their history.

    Their rows are removed from events and quarantine, and gold is recomputed. Earlier snapshots of all tables are removed
    at once, with every file that only they used, so anyone who has the lake open must open it again. The lake keeps a
    keyed hash of each id, so that later ingests and replays drop the person's lines; they are counted as erased.

    Many people take one run and one commit: give their ids in a file, which also keeps them out of the process list and
    of the shell's history. Blank lines are skipped, and an id that is listed twice counts once.

    The receipt lists the raw files that contain the people. With --raw they are rewritten without these lines; all other
    lines stay byte for byte the same. It also counts the rows of other people that mention an id, which stay. If a run is
    killed, the same command finishes it. With --raw the exit code is 1 if a raw file could not be searched or rewritten.
    """
    ids = users.given(user, users_file)
    if not dry_run:
        who = repr(user) if user is not None else count(len(ids), "person", "people")
        what = "from the lake, its history and the raw files" if raw else "from the lake and its history"
        options.confirm(f"Erase {who} {what}? This cannot be undone.", yes=yes)
    with output.progress("searching raw files", "lines", shown=style == "table") as observer:
        receipt = api.erase(ids, lake, source, raw=raw, dry_run=dry_run, observer=observer)
    if style == "json":
        output.as_json(receipt.as_json())
    else:
        _show(receipt)
    if raw and receipt.failed:
        sys.exit(1)


def _show(receipt: EraseReceipt) -> None:
    output.say(f"Request {receipt.request} of {json_value(receipt.at)}, lake {receipt.lake}")
    _show_people(receipt)
    done = "Would be removed" if receipt.dry_run else "Removed"
    if not receipt.found:
        whom = "this person" if len(receipt.people) == 1 else "any of them"
        output.say(f"Nothing about {whom} was found; lines that arrive later are dropped.")
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
    if mentions := [f"{count(number, 'row')} of {name}" for name, number in receipt.mentions.items() if number]:
        whom = "the id" if len(receipt.people) == 1 else "one of the ids"
        output.say(f"Other people's rows that mention {whom}, which stay: {', '.join(mentions)}")
    if receipt.dry_run:
        output.say("Nothing was changed.")


def _show_people(receipt: EraseReceipt) -> None:
    if len(receipt.people) == 1:
        if receipt.user_hash:
            output.say(f"Person {receipt.user_hash}{', erased before' if receipt.repeated else ''}")
        return
    missing = sum(not (person.events or person.quarantine) for person in receipt.people)
    repeated = sum(person.repeated for person in receipt.people)
    output.say(
        f"{len(receipt.people):,} people, of whom {missing:,} have no rows in the lake and {repeated:,} were erased before"
    )
    output.as_table(
        ("person", "events", "quarantine", ""),
        [
            (
                (person.user_hash or "-")[:_HASH_SHOWN],
                person.events,
                person.quarantine,
                "erased before" if person.repeated else "",
            )
            for person in receipt.people[:_SHOWN]
        ],
    )
    if len(receipt.people) > _SHOWN:
        output.say(f"  and {count(len(receipt.people) - _SHOWN, 'more person', 'more people')}; all with --format json")


def _show_raw(receipt: EraseReceipt) -> None:
    whose = "of the person" if len(receipt.people) == 1 else "of them"
    if not receipt.raw:
        if receipt.source:
            output.say(f"No raw file contains {'the person' if len(receipt.people) == 1 else 'them'}.")
        return
    output.as_table(
        ("raw file", f"lines {whose}", ""),
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
