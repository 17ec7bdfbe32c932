"""Asks a lake and shows its answers: what ``shoplake query`` and the shell of ``shoplake sql`` share."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from shoplake.cli import output
from shoplake.errors import UsageError
from shoplake.queries import NamedQuery
from shoplake.text import is_utf8, json_value

if TYPE_CHECKING:
    import pyarrow as pa

    from shoplake.lake.reader import OpenLake

STDIN = "stdin"
"""What messages, and the names of statements from there, call it."""

_T = TypeVar("_T")
_ROWS_SHOWN = 1000
_PATIENCE = 2.0  # seconds that a person waits without being shown how far it is
_TICK = 0.1
_PLAN = ["explain_key", "explain_value"]


@dataclass(frozen=True)
class Answer:
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

    def for_people(self) -> Answer:
        """The same as a table shows it: a plan, which EXPLAIN yields as one text, has a row for each of its lines."""
        return replace(self, rows=_lines_of_plan(self.rows)) if self.columns == _PLAN else self

    @property
    def title(self) -> str:
        """The question as a heading."""
        question = self.question
        name = f"{question.number}. {question.name}" if question.number else question.name
        return f"{name}: {question.question}" if question.question else name


def _lines_of_plan(rows: Iterator[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
    for key, plan in rows:
        for index, line in enumerate(str(plan).splitlines()):
            yield ("" if index else key), line


@contextmanager
def reading(lake: OpenLake) -> Iterator[Reading]:
    """A block in which a lake is asked."""
    with ThreadPoolExecutor(1) as thread:
        yield Reading(lake, thread)


class Reading:
    """Reads a lake in another thread: while this one waits inside DuckDB, Python cannot act on a signal.

    A statement that takes long shows how far it is, on a terminal's stderr. Ctrl-C stops it, and raises KeyboardInterrupt once
    it has stopped: the lake can be asked again then.

    Attributes:
        lake: The lake.
        seconds: How long it has been computing so far, all questions together.
    """

    def __init__(self, lake: OpenLake, thread: ThreadPoolExecutor) -> None:
        """Nothing is computed yet."""
        self.lake = lake
        self.seconds = 0.0
        self._thread = thread

    def check(self, question: NamedQuery) -> None:
        """Refuse what is not a question; nothing is computed yet."""
        if self._call(question, lambda: self.lake.sql(question.sql)) is None:
            raise UsageError(f"{question.name} returns no rows", remedy="Give a SELECT.")

    def answer(self, question: NamedQuery, limit: int | None = None) -> Answer:
        """Compute a question as far as its first rows.

        Args:
            question: The question.
            limit: How many rows are wanted; None for all.
        """
        columns, lists = self._call(question, lambda: self.lake.stream(question.sql))
        first = self._call(question, lambda: next(lists, []))
        return Answer(question, columns, islice(self._rows(question, first, lists), limit))

    def _rows(
        self, question: NamedQuery, rows: list[tuple[Any, ...]], lists: Iterator[list[tuple[Any, ...]]]
    ) -> Iterator[tuple[Any, ...]]:
        while rows:
            yield from rows
            rows = self._call(question, lambda: next(lists, []))

    def batches(self, question: NamedQuery, limit: int | None = None) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
        """The schema of a question's rows, and its rows as Arrow batches, as they are computed."""
        reader = self._call(question, lambda: self.lake.batches(question.sql))

        def following() -> pa.RecordBatch | None:
            with self.lake.reading():
                return next(reader, None)

        def rows() -> Iterator[pa.RecordBatch]:
            left = limit
            while left != 0 and (batch := self._call(question, following)) is not None:
                wanted = batch if left is None else batch.slice(0, left)
                left = None if left is None else left - wanted.num_rows
                yield wanted

        return reader.schema, rows()

    def _call(self, question: NamedQuery, compute: Callable[[], _T]) -> _T:
        import duckdb

        started = time.monotonic()
        future = self._thread.submit(compute)
        try:
            _show_progress(future, self.lake.progress)
            return future.result()
        except KeyboardInterrupt:
            while not future.done():
                self.lake.interrupt()  # again: a statement that only begins would not notice
                wait([future], _TICK)
            raise
        except duckdb.Error as error:
            remedy = f"Tables: {', '.join((*self.lake.tables, *self.lake.views))}."
            where = f"{question.name}: " if question.name else ""  # what is typed into the shell has no name
            raise UsageError(f"{where}{error}", remedy=remedy) from error
        finally:
            self.seconds += time.monotonic() - started


def _show_progress(future: Future[Any], share: Callable[[], float | None]) -> None:
    """Wait for something to be computed; a person who waits long sees how far it is."""
    if wait([future], _PATIENCE if sys.stderr.isatty() else None).done:
        return
    with output.progress("computing", "%", shown=True) as observer:
        observer.total(100)
        shown = 0
        while not wait([future], _TICK).done:
            percent = int(100 * (share() or 0))
            if percent > shown:
                observer.advance(percent - shown, 0)
                shown = percent


def show(answers: Iterable[Answer], style: str, *, limited: bool = False) -> None:
    """Write answers, row by row: what is in memory does not grow with them.

    Args:
        answers: The answers.
        style: table, json or csv.
        limited: Whether they have the rows that were asked for, so that a terminal gets all of them.
    """
    for index, answer in enumerate(answers):
        if style == "json":
            output.write(", " if index else "[")
            _show_json(answer)
        elif style == "csv":
            if index:
                output.say()
            output.as_csv(answer.columns, answer.rows, utc=answer.utc)
        else:
            _show_table(answer, None if limited else _ROWS_SHOWN)
    if style == "json":
        output.write("]\n")


def _show_json(answer: Answer) -> None:
    head = output.in_json({"name": answer.question.name, "columns": answer.columns})
    output.write(f'{head[:-1]}, "rows": [')
    for index, row in enumerate(answer.rows):
        output.write((", " if index else "") + output.in_json([json_value(value, utc=answer.utc) for value in row]))
    output.write("]}")


def _show_table(answer: Answer, most: int | None) -> None:
    """Write a table: all of it into a pipe or a file, and as much as a person looks at on a terminal."""
    answer = answer.for_people()
    shown = islice(answer.rows, most) if sys.stdout.isatty() else answer.rows
    output.as_table(answer.columns, shown, answer.title)
    if next(answer.rows, None) is not None:
        output.say(
            f"These are the first {most:,} rows. A file or a pipe gets all of them; so do --limit, --out and --format csv."
        )


def lines(stream: Iterable[bytes], name: str) -> Iterator[str]:
    """The lines of a file of statements, each when it is read; a byte order mark at its start does not count.

    Args:
        stream: The file, open for bytes.
        name: What messages call it.

    Raises:
        UsageError: A line is not UTF-8.
    """
    for number, line in enumerate(stream, 1):
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise UsageError(
                f"line {number:,} of {name} is not UTF-8", remedy="Give SQL statements in UTF-8."
            ) from error
        yield text.replace("\r\n", "\n")


def split(text: str) -> list[str]:
    """The statements of a text.

    Raises:
        UsageError: It is not SQL.
    """
    import duckdb

    if not is_utf8(text):
        raise UsageError("the statements are not UTF-8", remedy="Give SQL statements in UTF-8.")
    try:
        return [statement.query for statement in duckdb.extract_statements(text)]
    except duckdb.Error as error:
        raise UsageError(
            f"this is not SQL: {error}", remedy="Give SELECT statements, separated by semicolons."
        ) from error


def is_whole(text: str) -> bool:
    """Whether a text can be run: a command of the shell, nothing, or SQL whose last sign is a semicolon."""
    import duckdb

    if not text.strip() or text.lstrip().startswith("."):
        return True
    octets = text.encode()
    signs = [place for place, kind in duckdb.tokenize(text) if kind is not duckdb.token_type.comment]
    return bool(signs) and octets[signs[-1] :].lstrip()[:1] == b";"
