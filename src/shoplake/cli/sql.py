"""``shoplake sql``: a shell that asks a lake, statement by statement."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

import click

from shoplake import api, queries
from shoplake.cli import asking, options, output, table
from shoplake.cli.asking import Answer, Reading
from shoplake.cli.signals import EndedError
from shoplake.errors import ShoplakeError, UsageError
from shoplake.queries import NamedQuery
from shoplake.tables import TABLES, VIEWS, Table
from shoplake.text import count, seconds, visible

if TYPE_CHECKING:
    from shoplake.lake.reader import OpenLake

HELP = """\
A statement ends with a semicolon and may take several lines. Times are UTC.

  .tables           the tables, and what a row of each is
  .schema [TABLE]   the columns of a table, or of all of them
  .query [NAME]     run a query by its name or number; without one, list them
  .help             this text
  .quit             leave, as Ctrl-D does

Ctrl-C stops what is running. The lake is read at its newest version, which is looked up before every statement."""
COMMANDS = (".tables", ".schema", ".query", ".help", ".quit")
_CHROME = 3  # lines of a terminal that a result leaves free


@click.command(
    epilog=options.examples(
        "shoplake sql --lake lake",
        "shoplake sql --lake s3://bucket/lake --at 2025-11-18T14:00Z",
        "shoplake sql --lake lake --format csv < statements.sql",
    )
)
@options.lake
@options.start_of_range
@options.end_of_range
@options.at
@options.style
def sql(lake: str | None, start: str | None, end: str | None, at: str | None, style: str) -> None:
    """Ask a lake in a shell: any statements that read.

    On a terminal there are history, completion and paging; it needs the extra shoplake[shell]. Otherwise the statements come
    from stdin, and the first one that fails ends the command.
    """
    version = options.version(at)
    with (
        api.open(lake, start=options.first(start), end=options.last(end), at=version) as opened,
        asking.reading(opened) as reading,
    ):
        shell = Shell(reading, style)
        if sys.stdin.isatty():
            from shoplake.cli import line_editing

            _greet(opened)
            interact(shell, line_editing.statements(opened, COMMANDS))
        else:
            for text in _given(asking.lines(sys.stdin.buffer, asking.STDIN)):
                shell.run(text)
                if shell.over:
                    return


def interact(shell: Shell, statements: Iterator[str]) -> None:
    """Run statements as a person gives them; no error ends the shell, nor does Ctrl-C, but a signal to end does."""
    for text in statements:
        try:
            shell.run(text)
        except ShoplakeError as error:
            output.failure(str(error), error.remedy)
        except EndedError:
            raise
        except KeyboardInterrupt:
            output.note("stopped")
        if shell.over:
            return


def _given(lines: Iterable[str]) -> Iterator[str]:
    """The statements and commands of a stream, each when its end is read."""
    text = ""
    for line in lines:
        text += line
        if asking.is_whole(text):
            yield text
            text = ""
    if text.strip():
        yield text


def _greet(lake: OpenLake) -> None:
    until = lake.complete_until
    complete = f", complete until {until:%Y-%m-%d %H:%M} UTC" if until else ""
    output.say(f"{lake.place}, {lake.version}{complete}. Type .help for help.")


class Shell:
    """Runs statements and the shell's own commands, and shows what they yield.

    Attributes:
        over: Whether somebody asked to leave.
    """

    def __init__(self, reading: Reading, style: str) -> None:
        """Nothing is read yet.

        Args:
            reading: Asks the lake.
            style: table, json or csv.
        """
        self.over = False
        self._reading = reading
        self._style = style

    def run(self, text: str) -> None:
        """Run a command, or statements.

        Raises:
            ShoplakeError: It fails.
            KeyboardInterrupt: Ctrl-C stopped it; the shell can go on.
        """
        text = text.strip()
        if text.startswith("."):
            self._command(text)
            return
        self._follow()
        for statement in asking.split(text):
            self._answer(NamedQuery(0, "", "", statement))

    def _command(self, text: str) -> None:
        name, _, argument = text.rstrip(";").partition(" ")
        argument = argument.strip()
        commands: dict[str, Callable[[str], None]] = {
            ".tables": self._tables,
            ".schema": self._schema,
            ".query": self._query,
            ".help": lambda _: click.echo(HELP),
            ".quit": self._quit,
            ".exit": self._quit,
        }
        if name not in commands:
            raise UsageError(f"there is no command {name}", remedy=f"Commands: {', '.join(COMMANDS)}.")
        commands[name](argument)

    def _tables(self, _: str) -> None:
        view = self._reading.lake.view
        stored = [(each.name, view[each.name].rows, each.grain) for each in TABLES]
        output.as_table(("table", "rows", "one row"), [*stored, *((each.name, None, each.grain) for each in VIEWS)])

    def _schema(self, name: str) -> None:
        chosen = [each for each in (*TABLES, *VIEWS) if name.lower() in ("", each.name)]
        if not chosen:
            lake = self._reading.lake
            raise UsageError(f"there is no table {name}", remedy=f"Tables: {', '.join((*lake.tables, *lake.views))}.")
        for each in chosen:
            output.as_table(
                ("column", "type", "meaning"),
                [(column.name, column.type, column.doc) for column in each.columns],
                _heading(each),
            )

    def _query(self, name: str) -> None:
        if name:
            self._follow()
            for query in queries.find(name):
                self._answer(query)
        else:
            known = [(query.name, query.question) for query in queries.named()]
            output.as_table(("query", "answers"), known)

    def _quit(self, _: str) -> None:
        self.over = True

    def _follow(self) -> None:
        """Move on to the lake's newest version, and say so."""
        lake = self._reading.lake
        if lake.outdated:
            lake.refresh()
            output.note(f"the lake has changed: now at {lake.version}")

    def _answer(self, question: NamedQuery) -> None:
        before = self._reading.seconds
        answer = self._reading.answer(question)
        counted = _Counted(answer.rows)
        answer = Answer(question, answer.columns, iter(counted))
        if self._style == "table" and sys.stdout.isatty():
            _page(answer)
        else:
            asking.show([answer], self._style)
        least = "" if counted.ended else "at least "
        output.note(f"{least}{count(counted.rows, 'row')}, {seconds(self._reading.seconds - before)}")


class _Counted:
    """Rows that are counted as they are read.

    Attributes:
        rows: How many were read.
        ended: Whether there were no more.
    """

    def __init__(self, rows: Iterator[tuple[Any, ...]]) -> None:
        self._rows = rows
        self.rows = 0
        self.ended = False

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        for row in self._rows:
            self.rows += 1
            yield row
        self.ended = True


def _page(answer: Answer) -> None:
    """Show a table on a terminal: as it is if it fits, else in a pager, which reads the rows as far as somebody looks."""
    width, height = shutil.get_terminal_size()
    answer = answer.for_people()
    titled = [visible(answer.title)] if answer.title else []
    lines = chain(titled, table.lines(answer.columns, answer.rows, width))
    first = list(islice(lines, height - _CHROME))
    rest = list(islice(lines, 1))
    if not rest:
        output.write("\n".join([*first, ""]))
        return
    with closing(_lines(chain(first, rest, lines))) as shown:
        click.echo_via_pager(shown)


def _lines(lines: Iterable[str]) -> Generator[str, None, None]:
    for line in lines:
        yield line + "\n"


def _heading(each: Table) -> str:
    return f"{each.name}: {each.grain}"
