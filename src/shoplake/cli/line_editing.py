"""The lines that a person types into the shell: editing, history and completion, by prompt_toolkit."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from shoplake import queries
from shoplake.cli import asking, output
from shoplake.cli.signals import EndedError
from shoplake.errors import UsageError, installing
from shoplake.tables import TABLES, VIEWS

try:
    from prompt_toolkit import PromptSession
    from prompt_toolkit.application import get_app
    from prompt_toolkit.completion import CompleteEvent, Completer, Completion
    from prompt_toolkit.filters import Condition
    from prompt_toolkit.history import FileHistory, History, InMemoryHistory
    from prompt_toolkit.lexers import PygmentsLexer
    from pygments.lexers.sql import SqlLexer
except ModuleNotFoundError as missing:
    raise UsageError(
        "the shell needs a package that is not installed",
        remedy=f"{installing('shell')}; or give the statements on stdin.",
    ) from missing

if TYPE_CHECKING:
    from prompt_toolkit.document import Document

    from shoplake.lake.reader import OpenLake

_HISTORY = "shoplake/sql_history"
_NAMES_TABLES = re.compile(r"\b(from|join|describe|summarize)\s+\w*$", re.IGNORECASE)
_MEMBER = re.compile(r"\b(\w+)\.\w*$")
_KEYWORDS = "SELECT keyword_name FROM duckdb_keywords() WHERE keyword_category <> 'unreserved' ORDER BY 1"
_FUNCTIONS = "SELECT DISTINCT function_name FROM duckdb_functions() WHERE regexp_matches(function_name, '^[a-z]\\w+$')"


def statements(lake: OpenLake, commands: Sequence[str]) -> Iterator[str]:
    """What a person types, a statement or a command at a time, until Ctrl-D; Ctrl-C drops what is being typed."""
    session: PromptSession[str] = PromptSession(
        "shoplake> ",
        multiline=Condition(_is_unfinished),
        prompt_continuation="     ...> ",
        history=history(),
        completer=SqlCompleter(commands, _column_of_texts(lake, _KEYWORDS), _column_of_texts(lake, _FUNCTIONS)),
        complete_while_typing=False,
        lexer=PygmentsLexer(SqlLexer),
    )
    while True:
        try:
            text = session.prompt()
        except EndedError:
            raise
        except KeyboardInterrupt:
            continue
        except EOFError:
            return
        if text.strip():
            yield text


def _is_unfinished() -> bool:
    """Whether Enter begins another line, instead of running what is typed."""
    return not asking.is_whole(get_app().current_buffer.text)


def _column_of_texts(lake: OpenLake, sql: str) -> list[str]:
    return [row[0] for row in lake.sql(sql).fetchall()]


def history() -> History:
    """What the user typed before, of all lakes: a file that only the user can read, or nothing where it cannot be written."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    place = Path(state, _HISTORY)
    try:
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(place, os.O_CREAT | os.O_APPEND, 0o600))
        return FileHistory(place)
    except OSError as error:
        output.note(f"no history is kept: {place} cannot be written: {error.strerror}")
        return InMemoryHistory()


class SqlCompleter(Completer):
    """Completes the shell's commands, tables, columns, named queries, functions and keywords of SQL."""

    def __init__(self, commands: Sequence[str], keywords: Sequence[str], functions: Sequence[str]) -> None:
        """Take what DuckDB knows; the tables are the lake's."""
        self._tables = {table.name: table.column_names for table in (*TABLES, *VIEWS)}
        self._commands = commands
        columns = sorted({column for table in self._tables.values() for column in table})
        self._words = [
            *((name, "table") for name in self._tables),
            *((name, "column") for name in columns if name not in self._tables),
            *((name.upper(), "keyword") for name in keywords),
            *((name, "function") for name in sorted(functions)),
        ]

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:  # noqa: ARG002
        """What the word before the cursor may become."""
        before = document.text_before_cursor
        word = re.split(r"\s", before)[-1] if before.startswith(".") else document.get_word_before_cursor(WORD=False)
        word = "" if word == "." and not before.startswith(".") else word
        for name, kind in self._candidates(before):
            if name.lower().startswith(word.lower()):
                yield Completion(name, -len(word), display_meta=kind)

    def _candidates(self, before: str) -> Iterable[tuple[str, str]]:
        if before.startswith("."):
            command, argument, _ = before.partition(" ")
            if not argument:
                return [(name, "") for name in self._commands]
            if command == ".query":
                return [(query.name, "query") for query in queries.named()]
            return [(name, "table") for name in self._tables]
        member = _MEMBER.search(before)
        if member and member[1].lower() in self._tables:
            return [(column, "column") for column in self._tables[member[1].lower()]]
        if _NAMES_TABLES.search(before):
            return [(name, "table") for name in self._tables]
        return self._words
