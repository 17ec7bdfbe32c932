"""``shoplake query``: the five questions, or your own statements."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from shoplake import api, queries
from shoplake.cli import options, output
from shoplake.errors import UsageError
from shoplake.queries import NamedQuery
from shoplake.text import json_value, size

if TYPE_CHECKING:
    from shoplake.lake.reader import OpenLake

_T = TypeVar("_T")
_ROWS_SHOWN = 1000


@click.command(
    epilog=options.examples(
        "shoplake query all --lake lake",
        "shoplake query 1 --lake lake",
        "shoplake query top_products --lake lake --format csv",
        "shoplake query --lake lake --sql 'SELECT event_type, count(*) FROM events GROUP BY 1'",
        "shoplake query --lake lake --file my.sql --format json",
        "shoplake query all --engine athena --workgroup shoplake-alice",
    )
)
@click.argument("which", required=False, metavar="[1-5|NAME|all]")
@options.lake
@click.option("--sql", metavar="TEXT", help="Your own SELECT statements, separated by semicolons.")
@click.option("--file", "path", metavar="F.sql", help="A file with your own statements.")
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
    """  # noqa: D301 - click wants the character itself
    if engine == "athena":
        if not workgroup:
            raise UsageError(
                "no workgroup was given", remedy="Give --workgroup shoplake-ID; it is an output of the stack."
            )
        _ask_athena(workgroup, database, which, sql, path, style)
        return
    _ask(lake, which, sql, path, style)


def _ask(lake: str | None, which: str | None, sql: str | None, path: str | None, style: str) -> None:
    """Answer the questions from a lake.

    Args:
        lake: The lake's folder.
        which: A number, a name or ``all``; ``all`` if no other question is given.
        sql: The user's own statements.
        path: A file with the user's own statements.
        style: table, json or csv.
    """
    with api.open(lake) as opened, ThreadPoolExecutor(1) as thread:
        reading = _Reading(opened, thread)
        questions = _questions(which, sql, path, _split)
        for question in questions:
            reading.check(question)
        _show(map(reading.answer, questions), style)


@dataclass(frozen=True)
class _Answer:
    """What a question yields.

    Attributes:
        question: The question.
        columns: The names of its columns.
        rows: Its rows, as they are computed. What can fail at the first ones has not failed.
    """

    question: NamedQuery
    columns: list[str]
    rows: Iterator[tuple[Any, ...]]

    @property
    def utc(self) -> bool:
        """Whether times without a zone are UTC: those of the lake are, and only a conversion between zones makes others."""
        return "zone" not in self.question.sql.lower()


@dataclass(frozen=True)
class _Reading:
    """Reads a lake in another thread: while this one waits inside DuckDB, Python cannot act on a signal.

    Attributes:
        lake: The lake.
        thread: The thread.
    """

    lake: OpenLake
    thread: ThreadPoolExecutor

    def check(self, question: NamedQuery) -> None:
        """Refuse what is not a question; nothing is computed yet."""
        if self._call(question, lambda: self.lake.sql(question.sql)) is None:
            raise UsageError(f"{question.name} returns no rows", remedy="Give a SELECT.")

    def answer(self, question: NamedQuery) -> _Answer:
        """Compute a question as far as its first rows."""
        columns, lists = self._call(question, lambda: self.lake.stream(question.sql))
        first = self._call(question, lambda: next(lists, []))
        return _Answer(question, columns, self._rows(question, first, lists))

    def _rows(
        self, question: NamedQuery, rows: list[tuple[Any, ...]], lists: Iterator[list[tuple[Any, ...]]]
    ) -> Iterator[tuple[Any, ...]]:
        while rows:
            yield from rows
            rows = self._call(question, lambda: next(lists, []))

    def _call(self, question: NamedQuery, compute: Callable[[], _T]) -> _T:
        import duckdb

        try:
            return self.thread.submit(compute).result()
        except KeyboardInterrupt:
            self.lake.interrupt()
            raise
        except duckdb.Error as error:
            remedy = f"Tables: {', '.join(self.lake.tables)}."
            raise UsageError(f"{question.name}: {error}", remedy=remedy) from error


def _ask_athena(
    workgroup: str, database: str | None, which: str | None, sql: str | None, path: str | None, style: str
) -> None:
    """Answer the questions on Athena; the bytes scanned and their price go to stderr.

    Args:
        workgroup: The stack's workgroup.
        database: The Glue database; by default the one of the workgroup's stack.
        which: A number, a name or ``all``; ``all`` if no other question is given.
        sql: The user's own statements.
        path: A file with the user's own statements.
        style: table, json or csv.
    """
    from shoplake.aws import athena

    answers: list[_Answer] = []
    scanned, dollars = 0, 0.0
    for question in _questions(which, sql, path, _split_for_athena):
        answer = athena.ask(question.sql, workgroup, database or athena.database_of(workgroup))
        answers.append(_Answer(question, answer.columns, iter(answer.rows)))
        scanned, dollars = scanned + answer.scanned, dollars + answer.dollars
    _show(answers, style)
    output.note(f"Athena scanned {size(scanned)}, USD {dollars:.5f}")


def _show(answers: Iterable[_Answer], style: str) -> None:
    """Write answers, row by row: what is in memory does not grow with them."""
    for index, answer in enumerate(answers):
        if style == "json":
            output.write(", " if index else "[")
            _show_json(answer)
        elif style == "csv":
            if index:
                output.say()
            output.as_csv(answer.columns, answer.rows, utc=answer.utc)
        else:
            _show_table(answer)
    if style == "json":
        output.write("]\n")


def _show_json(answer: _Answer) -> None:
    head = output.in_json({"name": answer.question.name, "columns": answer.columns})
    output.write(f'{head[:-1]}, "rows": [')
    for index, row in enumerate(answer.rows):
        output.write((", " if index else "") + output.in_json([json_value(value, utc=answer.utc) for value in row]))
    output.write("]}")


def _show_table(answer: _Answer) -> None:
    """Write a table: all of it into a pipe or a file, and as much as a person looks at on a terminal."""
    question = answer.question
    title = f"{question.number}. {question.name}" if question.number else question.name
    title = f"{title}: {question.question}" if question.question else title
    shown = islice(answer.rows, _ROWS_SHOWN) if sys.stdout.isatty() else answer.rows
    output.as_table(answer.columns, shown, title)
    if next(answer.rows, None) is not None:
        output.say(
            f"These are the first {_ROWS_SHOWN:,} rows. A file or a pipe gets all of them; so does --format csv."
        )


def _questions(
    which: str | None, sql: str | None, path: str | None, split: Callable[[str], list[str]]
) -> list[NamedQuery]:
    """Every statement that was asked for, in order; none is left out.

    Args:
        which: A number, a name or ``all``.
        sql: The user's own statements.
        path: A file with the user's own statements, possibly under headers as in ``queries.sql``.
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
        try:
            text = Path(path).read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{path} cannot be read: {error}", remedy="Give a file of SQL statements.") from error
        headed = queries.parse(text)
        before = text[: queries.start(text)] if headed else text
        found = [NamedQuery(0, f"{Path(path).stem}_{i}", "", body) for i, body in enumerate(split(before), 1)]
        for query in headed:
            first, *more = _named(query.name, split(query.sql)) or [query]
            found += [replace(query, sql=first.sql, name=first.name), *more]
    if not found:
        raise UsageError(
            f"{path or '--sql'} contains no statement", remedy="Give SELECT statements, separated by semicolons."
        )
    return found


def _named(name: str, statements: Sequence[str]) -> list[NamedQuery]:
    """Statements under one name: numbered, if there are several."""
    several = len(statements) > 1
    return [NamedQuery(0, f"{name}_{i}" if several else name, "", body) for i, body in enumerate(statements, 1)]


def _split(text: str) -> list[str]:
    import duckdb

    try:
        return [statement.query for statement in duckdb.extract_statements(text)]
    except duckdb.Error as error:
        raise UsageError(
            f"this is not SQL: {error}", remedy="Give SELECT statements, separated by semicolons."
        ) from error


def _split_for_athena(text: str) -> list[str]:
    """As DuckDB splits it; what only Athena understands goes there whole, and Athena refuses more than one statement."""
    try:
        return _split(text)
    except UsageError:
        return [text]
