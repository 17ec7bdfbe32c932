"""``shoplake person``: all that a lake holds of one person, for a request for access."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from shoplake import api
from shoplake.cli import options, output, users
from shoplake.errors import FatalError, UsageError
from shoplake.storage.atomic import replacing
from shoplake.text import count, json_text, json_value

if TYPE_CHECKING:
    from shoplake.operations.person import PersonReport


_LEFT_OUT = ("user_id", "source_file", "salt", "batch")  # of tables for people: the same in all rows, or listed below


@click.command(
    epilog=options.examples(
        "shoplake person --user u_81234 --lake lake",
        "shoplake person --user u_81234 --lake lake --format json --out u_81234.json",
    )
)
@click.option("--user", metavar="ID", help="The person's user_id.")
@click.option("--users-file", metavar="FILE", help="A file with that one id, instead; - reads standard input.")
@options.lake
@click.option(
    "--out",
    type=options.Written(),
    metavar="FILE",
    help="Write to this file, which only you can read, instead of printing.",
)
@click.option("--force", is_flag=True, help="Overwrite an existing file.")
@options.style
def person(
    *, user: str | None, users_file: str | None, lake: str | None, out: str | None, force: bool, style: str
) -> None:
    """Print all that the lake holds of one person.

    That is their rows of events, user_hourly and session_hourly; the quarantined lines that are about them, by the rule
    that erase goes by; and when they were erased, if they were. Rows of other people that mention the id are counted and
    not shown. Nothing is changed, and raw files are not read: the source files that the rows came in are listed.

    As csv there is a line for each value: the table, the number of the row in it, the column and the value.
    """
    ids = users.given(user, users_file)
    if len(ids) > 1:
        raise UsageError(f"{len(ids):,} ids are given", remedy="Ask for one person at a time.")
    if out and not force and Path(out).exists():
        raise UsageError(f"{out} already exists", remedy="Name another file, or replace it: --force")
    report = api.person(ids[0], lake)
    with _written_to(out, force=force):
        if style == "json":
            output.as_json(report.as_json())
        elif style == "csv":
            output.as_csv(("table", "row", "column", "value"), _values(report))
        else:
            _show(report)
    if out:
        output.note(f"wrote what is held of the person to {out}")


@contextmanager
def _written_to(out: str | None, *, force: bool) -> Iterator[None]:
    """Send the output of a block to a file that only its owner can read; all of it or nothing."""
    if out is None:
        yield
        return
    try:
        with replacing(Path(out), existing=force) as stream:
            Path(stream.name).chmod(0o600)
            text = io.TextIOWrapper(stream, encoding="utf-8")
            with redirect_stdout(text):
                yield
            text.flush()
            text.detach()
    except FileExistsError:
        raise UsageError(f"{out} already exists", remedy="Name another file, or replace it: --force") from None
    except OSError as error:
        raise FatalError(
            f"{out} cannot be written: {error.strerror or error}", remedy="Check its folder, space and permissions."
        ) from error


def _values(report: PersonReport) -> Iterator[tuple[str, int, str, Any]]:
    for table, rows in report.tables.items():
        for number, row in enumerate(rows, 1):
            for column, value in row.items():
                if value is not None:
                    yield table, number, column, json_text(json_value(value)) if isinstance(value, list) else value


def _show(report: PersonReport) -> None:
    output.say(f"Person {report.user!r} in lake {report.lake}, version {report.version:,}")
    for table, rows in report.tables.items():
        output.say()
        output.say(f"{table}: {count(len(rows), 'row')}")
        if rows:
            columns = [name for name in rows[0] if any(row[name] is not None for row in rows) and name not in _LEFT_OUT]
            output.as_table(columns, [[_cell(row[name]) for name in columns] for row in rows])
    if report.source_files:
        output.say(f"They came in {count(len(report.source_files), 'source file')}:")
        for path in report.source_files:
            output.say(f"  {path}")
    if mentions := [f"{count(number, 'row')} of {name}" for name, number in report.mentions.items() if number]:
        output.say(f"Other people's rows that mention the id, which are not shown: {', '.join(mentions)}")
    if not report.found:
        output.say("Nothing is held of this person.")


def _cell(value: Any) -> Any:
    return ", ".join(value) if isinstance(value, list) else value
