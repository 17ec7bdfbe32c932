"""``shoplake query``: the five questions, or your own statements."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import click

from shoplake import api, queries
from shoplake.cli import asking, options, output
from shoplake.cli.asking import Answer
from shoplake.cli.export import Export
from shoplake.errors import UsageError
from shoplake.queries import NamedQuery
from shoplake.text import count, seconds, size

if TYPE_CHECKING:
    from shoplake.lake.reader import OpenLake


@click.command(
    epilog=options.examples(
        "shoplake query all --lake lake",
        "shoplake query 1 --lake lake",
        "shoplake query top_products --lake lake --format csv",
        "shoplake query 1 --lake lake --from 2025-11-18 --to 2025-11-19",
        "shoplake query --lake lake --sql 'SELECT event_type, count(*) FROM events GROUP BY 1'",
        "shoplake query --lake lake --sql 'FROM sessions' --out sessions.parquet",
        "shoplake query --lake lake --file my.sql --format json",
        "shoplake query all --lake lake --at 2025-11-18T14:00Z",
        "shoplake query all --engine athena --workgroup shoplake-alice",
    )
)
@click.argument("which", required=False, metavar="[1-5|NAME|all]")
@options.lake
@click.option("--sql", metavar="TEXT", help="Your own SELECT statements, separated by semicolons.")
@click.option("--file", "path", metavar="F.sql", help="A file with your own statements; - for stdin.")
@options.start_of_range
@options.end_of_range
@options.at
@click.option("--limit", type=options.whole(0), metavar="N", help="Show this many rows of each answer, at most.")
@click.option(
    "--out",
    type=options.Written(),
    metavar="FILE",
    help="Write the rows of one answer to a file whose name ends in .parquet, .csv, .json (an array of objects) or .arrow.",
)
@click.option(
    "--engine",
    type=click.Choice(("duckdb", "athena")),
    default="duckdb",
    show_default=True,
    help="Engine that answers: this machine, or Athena on the tables of the Glue Data Catalog.",
)
@click.option("--workgroup", metavar="NAME", help="Athena's workgroup.")
@click.option("--database", metavar="NAME", help="The Glue database.  [default: the one of the workgroup's stack]")
@options.style
def query(  # noqa: PLR0917 - one parameter an option
    which: str | None,
    lake: str | None,
    sql: str | None,
    path: str | None,
    start: str | None,
    end: str | None,
    at: str | None,
    limit: int | None,
    out: str | None,
    engine: str,
    workgroup: str | None,
    database: str | None,
    style: str,
) -> None:
    """Answer the five questions, or your own.

    \b
    1 conversion_funnel      views, carts and purchases of each product
    2 hourly_revenue         revenue of each hour
    3 top_products           the ten most viewed products
    4 category_performance   events of each category, day by day
    5 user_activity          unique users and sessions of each day

    \b
    Metrics have names too: event_funnel, people_funnel, session_funnel,
    average_order_value, cart_abandonment, top_searches, repeat_rate. So have
    the recipes of the cookbook, which `.query` of `shoplake sql` lists.
    """  # noqa: D301 - click wants the character itself
    asked = _Asked(which, sql, path)
    if engine == "athena":
        if not workgroup:
            raise UsageError(
                "no workgroup was given", remedy="Give --workgroup shoplake-ID; it is an output of the stack."
            )
        if start or end or at or out:
            raise UsageError(
                "--from, --to, --at and --out need the embedded engine",
                remedy="On Athena, give conditions and FOR TIMESTAMP AS OF in the statement.",
            )
        _ask_athena(workgroup, database, asked, limit, style)
        return
    chosen = _Reader(lake, options.first(start), options.last(end), options.version(at))
    if out is None:
        _ask(chosen, asked, limit, style)
    else:
        _write(chosen, asked, Export.to(out, limit))


@dataclass(frozen=True)
class _Asked:
    """What is asked: at most one of a number or name, the user's own statements, and a file of these."""

    which: str | None
    sql: str | None
    path: str | None

    def questions(self, split: Callable[[str], list[str]]) -> list[NamedQuery]:
        """Every statement, in order; none is left out."""
        return _questions(self.which, self.sql, self.path, split)


@dataclass(frozen=True)
class _Reader:
    """What is read: a lake, the hours to see of it, and which version."""

    lake: str | None
    start: datetime | None
    end: datetime | None
    at: datetime | int | None

    def open(self) -> OpenLake:
        """The lake."""
        return api.open(self.lake, start=self.start, end=self.end, at=self.at)


def _ask(chosen: _Reader, asked: _Asked, limit: int | None, style: str) -> None:
    """Answer the questions from a lake."""
    with chosen.open() as lake, asking.reading(lake) as reading:
        questions = asked.questions(asking.split)
        for question in questions:
            reading.check(question)
        answers = (reading.answer(question, limit) for question in questions)
        asking.show(answers, style, limited=limit is not None)


def _write(chosen: _Reader, asked: _Asked, export: Export) -> None:
    """Write the answer to the one question to a file."""
    with chosen.open() as lake, asking.reading(lake) as reading:
        question, *more = asked.questions(asking.split)
        if more:
            raise UsageError(
                f"a file holds one answer, and {count(1 + len(more), 'question')} were asked",
                remedy="Name one question, or give one statement.",
            )
        reading.check(question)
        rows = export.write(reading, question)
        output.note(f"wrote {count(rows, 'row')} to {export.path} in {seconds(reading.seconds)}")


def _ask_athena(workgroup: str, database: str | None, asked: _Asked, limit: int | None, style: str) -> None:
    """Answer the questions on Athena; the bytes scanned and their price go to stderr.

    Args:
        workgroup: The stack's workgroup.
        database: The Glue database; by default the one of the workgroup's stack.
        asked: The questions.
        limit: How many rows of each answer are wanted.
        style: table, json or csv.
    """
    from shoplake.aws import athena

    answers: list[Answer] = []
    scanned, dollars = 0, 0.0
    for question in asked.questions(_split_for_athena):
        answer = athena.ask(question.sql, workgroup, database or athena.database_of(workgroup))
        answers.append(Answer(question, answer.columns, islice(answer.rows, limit)))
        scanned, dollars = scanned + answer.scanned, dollars + answer.dollars
    asking.show(answers, style, limited=limit is not None)
    output.note(f"Athena scanned {size(scanned)}, USD {dollars:.5f}")


def _questions(
    which: str | None, sql: str | None, path: str | None, split: Callable[[str], list[str]]
) -> list[NamedQuery]:
    """Every statement that was asked for, in order; none is left out.

    Args:
        which: A number, a name or ``all``.
        sql: The user's own statements.
        path: A file with the user's own statements, possibly under headers as in ``queries.sql``; - for stdin.
        split: Takes a text apart into its statements.

    Raises:
        UsageError: More than one question was given, or there is none.
    """
    if sum(given is not None for given in (which, sql, path)) > 1:
        raise UsageError(
            "more than one question was given", remedy="Give one of: a number or name, --sql TEXT, --file F.sql."
        )
    if sql is not None:
        found = _named("sql", split(sql))
    elif path is None:
        return list(queries.find(which or "all"))
    else:
        name, text = _read(path)
        headed = queries.parse(text)
        before = text[: queries.start(text)] if headed else text
        found = [NamedQuery(0, f"{name}_{i}", "", body) for i, body in enumerate(split(before), 1)]
        for query in headed:
            first, *more = _named(query.name, split(query.sql)) or [query]
            found += [replace(query, sql=first.sql, name=first.name), *more]
    if not found:
        where = {None: "--sql", "-": asking.STDIN}.get(path, path)
        raise UsageError(f"{where} contains no statement", remedy="Give SELECT statements, separated by semicolons.")
    return found


def _read(path: str) -> tuple[str, str]:
    """The name and the text of a file of statements."""
    if path == "-":
        return asking.STDIN, "".join(asking.lines(sys.stdin.buffer, asking.STDIN))
    try:
        with Path(path).open("rb") as stream:
            return Path(path).stem, "".join(asking.lines(stream, path))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", remedy="Give a file of SQL statements.") from error


def _named(name: str, statements: Sequence[str]) -> list[NamedQuery]:
    """Statements under one name: numbered, if there are several."""
    several = len(statements) > 1
    return [NamedQuery(0, f"{name}_{i}" if several else name, "", body) for i, body in enumerate(statements, 1)]


def _split_for_athena(text: str) -> list[str]:
    """As DuckDB splits it; what only Athena understands goes there whole, and Athena refuses more than one statement."""
    try:
        return asking.split(text)
    except UsageError:
        return [text]
