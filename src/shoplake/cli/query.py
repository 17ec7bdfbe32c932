"""``shoplake query``: the five questions, or your own statements."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from shoplake import api, queries
from shoplake.cli import options, output
from shoplake.errors import FatalError, UsageError
from shoplake.queries import NamedQuery
from shoplake.text import json_value, size

if TYPE_CHECKING:
    from shoplake.lake.reader import OpenLake

_Rows = tuple[list[str], list[tuple[Any, ...]]]
_Result = tuple[NamedQuery, list[str], list[tuple[Any, ...]]]


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
    with api.open(lake) as opened:
        _show([(question, *_answer(opened, question)) for question in _questions(which, sql, path, _split)], style)


def _answer(lake: OpenLake, question: NamedQuery) -> _Rows:
    import duckdb

    try:
        return _interruptible(lake, lambda: _rows(lake, question))
    except duckdb.Error as error:
        asked = (duckdb.PermissionException, duckdb.CatalogException, duckdb.BinderException, duckdb.ParserException)
        if lake.place in str(error) and not isinstance(error, asked):
            raise FatalError(
                f"a data file of the lake cannot be read: {error}",
                remedy="See which one, and what is left of it: shoplake verify",
            ) from error
        raise UsageError(f"{question.name}: {error}", remedy=f"Tables: {', '.join(lake.tables)}.") from error


def _rows(lake: OpenLake, question: NamedQuery) -> _Rows:
    relation = lake.sql(question.sql)
    if relation is None:
        raise UsageError(f"{question.name} returns no rows", remedy="Give a SELECT.")
    with lake.reading():
        return list(relation.columns), relation.fetchall()


def _interruptible(lake: OpenLake, compute: Callable[[], _Rows]) -> _Rows:
    """Compute in another thread: while this one waits inside DuckDB, Python cannot act on a signal."""
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(compute)
        try:
            return future.result()
        except KeyboardInterrupt:
            lake.interrupt()
            raise


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

    results: list[_Result] = []
    scanned, dollars = 0, 0.0
    for question in _questions(which, sql, path, _split_for_athena):
        answer = athena.ask(question.sql, workgroup, database or athena.database_of(workgroup))
        results.append((question, answer.columns, answer.rows))
        scanned, dollars = scanned + answer.scanned, dollars + answer.dollars
    _show(results, style)
    output.note(f"Athena scanned {size(scanned)}, USD {dollars:.5f}")


def _show(results: list[_Result], style: str) -> None:
    if style == "json":
        output.as_json(
            [
                {
                    "name": question.name,
                    "columns": columns,
                    "rows": [[json_value(value) for value in row] for row in rows],
                }
                for question, columns, rows in results
            ]
        )
        return
    for index, (question, columns, rows) in enumerate(results):
        if style == "csv":
            if index:
                output.say()
            output.as_csv(columns, rows)
        else:
            title = f"{question.number}. {question.name}" if question.number else question.name
            output.as_table(columns, rows, f"{title}: {question.question}" if question.question else title)


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
