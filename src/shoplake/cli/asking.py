"""``shoplake query``: runs statements over an opened lake and prints their rows."""

from __future__ import annotations

from pathlib import Path

import duckdb

from shoplake import api, queries
from shoplake.cli import output
from shoplake.errors import UsageError
from shoplake.queries import NamedQuery
from shoplake.reports import json_value


def run(lake: str, which: str | None, sql: str | None, path: str | None, style: str) -> None:
    """Answer what was asked.

    Args:
        lake: The lake's folder.
        which: A number, a name or ``all``; ``all`` when nothing else is asked either.
        sql: A statement of the user's.
        path: A file of statements of the user's.
        style: table, json or csv.
    """
    if sum(given is not None for given in (which, sql, path)) > 1:
        raise UsageError("more than one question", remedy="Give one of: a number or name, --sql TEXT, --file F.sql.")
    asked = _asked(which, sql, path)
    results = []
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
