"""The SQL texts in files: the five questions, the oracle's answers to the same, metrics, the cookbook, and the shared SQL."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from pathlib import Path

from shoplake.errors import UsageError

_HEADER = re.compile(r"^--\s*(\d+)\.\s*(\w+)(?::\s*(.*))?$", re.MULTILINE)


@dataclass(frozen=True)
class NamedQuery:
    """A statement of ``queries.sql``: its number, name and question, and its text without the semicolon."""

    number: int
    name: str
    question: str
    sql: str


@cache
def five() -> tuple[NamedQuery, ...]:
    """The five questions, answered from the gold tables: ``queries.sql``."""
    return parse(_text("queries.sql", "queries.sql"))


@cache
def oracle() -> tuple[NamedQuery, ...]:
    """The same five, answered from ``events`` and written independently: ``grading/queries.sql``."""
    return parse(_text("oracle.sql", "grading/queries.sql"))


@cache
def metrics() -> tuple[NamedQuery, ...]:
    """The metrics, each defined once: ``sql/metrics.sql``."""
    return tuple(replace(query, number=0) for query in parse(sql("metrics")))


@cache
def recipes() -> tuple[NamedQuery, ...]:
    """The queries of the cookbook: ``sql/cookbook.sql``."""
    return tuple(replace(query, number=0) for query in parse(sql("cookbook")))


def named() -> tuple[NamedQuery, ...]:
    """Everything that can be asked by its name."""
    return (*five(), *metrics(), *recipes())


def find(which: str) -> tuple[NamedQuery, ...]:
    """The questions that a number, a name or ``all`` stands for; the five alone have numbers, and are all that ``all`` means.

    Raises:
        UsageError: Nothing has that name.
    """
    if which == "all":
        return five()
    found = tuple(query for query in named() if which == query.name or (query.number and which == str(query.number)))
    if not found:
        numbered = ", ".join(f"{query.number} {query.name}" for query in five())
        others = ", ".join(query.name for query in (*metrics(), *recipes()))
        close = difflib.get_close_matches(which, [query.name for query in named()], 1)
        meant = f"Did you mean {close[0]}? " if close else ""
        raise UsageError(f"there is no query {which!r}", remedy=f"{meant}Known: {numbered}, or all; {others}.")
    return found


def parse(text: str) -> tuple[NamedQuery, ...]:
    """Split a file of statements, each headed by ``-- NUMBER. NAME: QUESTION``; empty without such headers."""
    headers = list(_HEADER.finditer(text))
    if not headers:
        return ()
    queries = []
    for header, following in zip(headers, [*headers[1:], None], strict=True):
        body = text[header.end() : following.start() if following else len(text)]
        queries.append(NamedQuery(int(header[1]), header[2], header[3] or "", body.strip().rstrip(";").strip()))
    return tuple(queries)


def sql(name: str) -> str:
    """The text of ``sql/NAME.sql``."""
    return resources.files("shoplake").joinpath("sql", f"{name}.sql").read_text("utf-8")


def start(text: str) -> int:
    """Where the first header of a file of statements begins; 0 without one."""
    header = _HEADER.search(text)
    return header.start() if header else 0


def _text(packaged: str, in_repository: str) -> str:
    inside = resources.files("shoplake").joinpath(packaged)
    if inside.is_file():
        return inside.read_text("utf-8")
    return (Path(__file__).parents[2] / in_repository).read_text("utf-8")
