"""``shoplake query``: runs statements over an opened lake and prints their rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb

from shoplake import api, queries
from shoplake.cli import output
from shoplake.errors import UsageError
from shoplake.queries import NamedQuery
from shoplake.text import json_value

_Result = tuple[NamedQuery, list[str], list[tuple[Any, ...]]]


def run(lake: str, which: str | None, sql: str | None, path: str | None, style: str) -> None:
    """Answer what was asked.

    Args:
        lake: The lake's folder.
        which: A number, a name or ``all``; ``all`` when nothing else is asked either.
        sql: A statement of the user's.
        path: A file of statements of the user's.
        style: table, json or csv.
    """
    asked = _asked(which, sql, path)
    results: list[_Result] = []
    with api.open(lake) as opened:
        for question in asked:
            try:
                relation = opened.sql(question.sql)
                if relation is None:
                    raise UsageError(f"{question.name} asks nothing", remedy="Give a SELECT.")
                with opened.reading():
                    columns, rows = list(relation.columns), relation.fetchall()
            except duckdb.Error as error:
                raise UsageError(f"{question.name}: {error}", remedy=f"Tables: {', '.join(opened.tables)}.") from error
            results.append((question, columns, rows))
    _show(results, style)


def run_on_athena(
    workgroup: str, database: str | None, which: str | None, sql: str | None, path: str | None, style: str
) -> None:
    """Answer what was asked on Athena; what it scanned and costs goes to stderr.

    Args:
        workgroup: The stack's workgroup.
        database: The Glue database; that of the workgroup's stack by default.
        which: A number, a name or ``all``; ``all`` when nothing else is asked either.
        sql: A statement of the user's.
        path: A file of statements of the user's.
        style: table, json or csv.
    """
    from shoplake.aws import athena

    results: list[_Result] = []
    scanned, dollars = 0, 0.0
    for question in _asked(which, sql, path):
        answer = athena.ask(question.sql, workgroup, database or athena.database_of(workgroup))
        results.append((question, answer.columns, answer.rows))
        scanned, dollars = scanned + answer.scanned, dollars + answer.dollars
    _show(results, style)
    output.note(f"Athena scanned {output.size(scanned)}, USD {dollars:.5f}")


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


def _asked(which: str | None, sql: str | None, path: str | None) -> tuple[NamedQuery, ...]:
    if sum(given is not None for given in (which, sql, path)) > 1:
        raise UsageError("more than one question", remedy="Give one of: a number or name, --sql TEXT, --file F.sql.")
    if sql is not None:
        return (NamedQuery(0, "sql", "", sql.strip().rstrip(";")),)
    if path is None:
        return queries.find(which or "all")
    try:
        text = Path(path).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}", remedy="Name a file of SQL statements.") from error
    named = queries.parse(text)
    if named:
        return named
    statements = [statement.query for statement in duckdb.extract_statements(text)]
    if not statements:
        raise UsageError(f"{path} has no statement", remedy="Write SELECTs into it, separated by semicolons.")
    return tuple(NamedQuery(0, f"{Path(path).stem}_{i}", "", body) for i, body in enumerate(statements, 1))
