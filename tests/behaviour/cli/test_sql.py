"""``shoplake sql``: a shell on a lake, typed into through prompt_toolkit's own input, and scripts on stdin."""

import io
import os
import pty
import re
import select
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress

import click
import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from shoplake.cli import asking
from shoplake.cli.line_editing import SqlCompleter
from shoplake.cli.sql import COMMANDS
from tests.behaviour.cli.support import tells
from tests.support import Terminal, events, ingest, proof, put

CTRL_C, CTRL_D = "\x03", "\x04"
FOREVER = "SELECT count(*) FROM range(100000000) a, range(100000000) b WHERE a.range * b.range % 7 = 3;"

ON_TERMINAL = """
import fcntl, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
from shoplake.cli.main import main
main()
"""


@pytest.fixture
def typed(call, monkeypatch, tmp_path):
    """Types into a shell, with Enter after each text but a key, and gives what it said."""
    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))

    def type_in(lake, *texts):
        with create_pipe_input() as keys, create_app_session(input=keys, output=DummyOutput()):
            keys.send_text("".join(text if text in (CTRL_C, CTRL_D) else f"{text}\r" for text in texts))
            return call("sql", "--lake", lake, terminal=True)

    return type_in


def piped(text):
    """Standard input, from a text or from bytes as they are."""
    return io.TextIOWrapper(io.BytesIO(text if isinstance(text, bytes) else text.encode()))


def test_a_session(shop, typed):
    """Statements over several lines, commands, and errors that do not end it; rows and seconds after each."""
    result = typed(
        shop / "lake",
        ".tables",
        "SELECT 'a;b' AS text,",
        "  41 + 1 AS number; -- done",
        "SELEC 1;",
        ".nothing",
        ".schema sessions",
        "SELECT 'half of it' AS half" + CTRL_C,
        ".query repeat_rate",
        "DELETE FROM events;",
        ".quit",
        "SELECT 'after the end' AS never;",
    )
    assert result.code == 0
    assert "complete until" in result.out.splitlines()[0]
    assert re.search(r"product_hourly +\d+ +hour x product", result.out)
    assert re.search(r"a;b +42\n", result.out)
    assert re.search(r"^1 row, \d+\.\d\d s$", result.err, re.MULTILINE)
    assert "first_event_time" in result.out
    assert "repeat_rate: of the users" in result.out
    assert "half of it" not in result.out
    assert "after the end" not in result.out
    for words in ("this is not SQL", "there is no command .nothing", "DELETE is not a statement that only reads"):
        assert words in result.err


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, 143)])
def test_ctrl_c_stops_what_is_running_and_keeps_the_shell(shop, typed, monkeypatch, number, code):
    """The statement ends, and the next one is answered; a signal to end ends the shell as well."""
    real = asking._show_progress
    timers = iter([threading.Timer(0.3, os.kill, (os.getpid(), number))])

    def interrupted(future, share):
        for timer in timers:
            timer.start()
        real(future, share)

    monkeypatch.setattr(asking, "_show_progress", interrupted)
    started = time.monotonic()
    result = typed(shop / "lake", FOREVER, "SELECT 'still here' AS text;", CTRL_D)
    assert time.monotonic() - started < 30
    assert result.code == code
    assert "stopped" in result.err
    assert ("still here" in result.out) == (number == signal.SIGINT)


def test_it_follows_the_lake(typed, tmp_path, monkeypatch):
    """A version that was published between two statements is used, and said."""
    put(tmp_path / "raw", 0, events(5))
    ingest(tmp_path / "raw", tmp_path / "lake")
    real = asking.Reading.answer

    def then_more_arrives(self, question, limit=None):
        answer = real(self, question, limit)
        if not (tmp_path / "raw" / "more.jsonl.gz").exists():
            put(tmp_path / "raw", "more.jsonl.gz", events(3, first=50))
            ingest(tmp_path / "raw", tmp_path / "lake")
        return answer

    monkeypatch.setattr(asking.Reading, "answer", then_more_arrives)
    ask = "SELECT 'events' AS word, count(*) AS n FROM events;"
    result = typed(tmp_path / "lake", ask, ask, CTRL_D)
    assert re.findall(r"^ events +(\d+)$", result.out, re.MULTILINE) == ["5", "8"]
    assert "the lake has changed: now at version" in result.err


def test_long_results_are_paged(shop, typed, monkeypatch):
    """More lines than the terminal has go through a pager, which reads no further than somebody looks."""
    pages: list[list[str]] = []
    monkeypatch.setattr(
        click, "echo_via_pager", lambda lines: pages.append([line for _, line in zip(range(50), lines, strict=False)])
    )
    monkeypatch.setenv("LINES", "24")
    result = typed(shop / "lake", "FROM range(100000000) SELECT range AS n;", "SELECT 'few' AS word;", CTRL_D)
    (page,) = pages
    assert [line.strip() for line in page[-2:]] == ["46", "47"]
    assert re.search(r"^at least [\d,]+ rows, ", result.err, re.MULTILINE)
    assert "few" in result.out


def test_history_is_one_users(shop, typed, tmp_path):
    """It is kept between sessions, whole statements at a time, where only the user can read it."""
    typed(shop / "lake", "SELECT 1", "AS kept;", CTRL_D)
    place = tmp_path / "state" / "shoplake" / "sql_history"
    assert "+SELECT 1\n+AS kept;" in place.read_text()
    assert place.stat().st_mode & 0o777 == 0o600
    place.unlink()
    place.mkdir()
    assert "no history is kept" in typed(shop / "lake", "SELECT 1;", CTRL_D).err


COMPLETIONS = {
    "SELECT count(*) FROM ev": ["events"],
    "SELECT * FROM sess": ["session_hourly", "sessions"],
    "SELECT uniq": ["unique_sessions", "unique_users"],
    "SELECT ledger.arr": ["arrived_at"],
    "SEL": ["SELECT"],
    "SELECT quantile_c": ["quantile_cont"],
    ".sch": [".schema"],
    ".schema act": ["activity_daily"],
    ".query repeat": ["repeat_rate"],
}


@pytest.mark.parametrize("text", COMPLETIONS)
def test_completion(text):
    """Tables where a table is named, columns of a named table, else all that DuckDB and the lake know."""
    completer = SqlCompleter(COMMANDS, ["select", "from"], ["quantile_cont"])
    found = completer.get_completions(Document(text), CompleteEvent())
    assert sorted(completion.text for completion in found) == COMPLETIONS[text]


@pytest.mark.parametrize(
    ("text", "whole"),
    [("SELECT 1;", True), ("SELECT 'é;", False), ("SELECT 'é'; -- x", True), ("SELECT 1 -- ;", False), ("/* ;", False)],
)
def test_where_a_statement_ends(text, whole):
    """A semicolon inside a text or a comment ends nothing."""
    assert asking.is_whole(text) is whole


def test_a_script_on_stdin(shop, call, monkeypatch):
    """Without a terminal the statements are run as they come, for programs; the first error ends it."""
    script = "SELECT 'a\nb' AS x;\nSELECT NULL AS y, '' AS z;\n.tables\n.quit\nSELECT 3;\n"
    monkeypatch.setattr(sys, "stdin", piped(script))
    result = call("sql", "--lake", shop / "lake", "--format", "csv")
    assert (result.code, result.out.splitlines()[:5]) == (0, ["x", '"a', 'b"', "y,z", ',""'])
    assert "SELECT 3" not in result.out
    monkeypatch.setattr(sys, "stdin", piped("SELECT nothing;\nSELECT 'later' AS x;\n"))
    tells(call("sql", "--lake", shop / "lake"), 2, "nothing")


def test_a_script_that_is_not_utf8(shop, call, monkeypatch):
    """Its line is named, and what comes before it was run; a byte order mark and Windows's ends of lines do no harm."""
    script = "\ufeffSELECT 1 AS x;\r\n.quit\r\n".encode()
    monkeypatch.setattr(sys, "stdin", piped(script))
    assert call("sql", "--lake", shop / "lake", "--format", "csv").out == "x\n1\n"
    monkeypatch.setattr(sys, "stdin", piped(b"SELECT 1 AS x;\nSELECT '\xff';\n"))
    result = call("sql", "--lake", shop / "lake", "--format", "csv")
    assert (result.code, result.out) == (2, "x\n1\n")
    assert "line 2 of stdin is not UTF-8" in result.err


def test_an_error_begins_with_what_is_wrong(shop, call, monkeypatch):
    """A statement of the shell has no name that could stand before it."""
    monkeypatch.setattr(sys, "stdin", piped("SELECT nothing FROM events;"))
    result = call("sql", "--lake", shop / "lake")
    tells(result, 2, "Tables: events,")
    assert result.err.startswith("shoplake: Binder Error: ")


@pytest.mark.parametrize("words", ["sql", "query --file -", "person --users-file -", "erase --yes --users-file -"])
def test_without_stdin(shop, words):
    """What reads a closed stdin reads nothing."""
    command = f'"{sys.executable}" -m shoplake {words} --lake "{shop / "lake"}" <&-'
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)  # noqa: S602
    assert "Traceback" not in done.stderr
    assert done.returncode == (0 if words == "sql" else 2)


@pytest.mark.parametrize("terminal", [False, True])
def test_a_plan_has_lines(shop, call, typed, terminal):
    """In the shell and in a query, EXPLAIN shows a plan as DuckDB draws it."""
    sql = "EXPLAIN SELECT count(*) FROM events"
    if terminal:
        shown = typed(shop / "lake", f"{sql};", ".quit").out
    else:
        shown = call("query", "--sql", sql, "--lake", shop / "lake").out
    assert "\\x0a" not in shown
    assert shown.count("physical_plan") == 1
    assert shown.count("\n                 │") >= 1


def test_foreign_texts_are_escaped(shop, typed):
    """What controls a terminal is shown, in a table and in an error."""
    result = typed(shop / "lake", "SELECT chr(27) || '[31m' AS text;", "SELECT '\x1b" + CTRL_C, CTRL_D)
    assert "\\x1b[31m" in result.out
    assert "\x1b[31m" not in result.out


@pytest.mark.usefixtures("interruptible")
@proof
def test_on_a_real_terminal(shop, tmp_path):
    """In a process of its own, behind a pseudo terminal: Ctrl-C while a statement runs, then an answer, then Ctrl-D."""
    terminal, inside = pty.openpty()
    environment = os.environ | {"XDG_STATE_HOME": str(tmp_path), "TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1"}
    words = [sys.executable, "-c", ON_TERMINAL, "sql", "--lake", str(shop / "lake")]
    process = subprocess.Popen(
        words, stdin=inside, stdout=inside, stderr=inside, start_new_session=True, env=environment
    )
    os.close(inside)
    said = ""

    def until(words):
        nonlocal said
        end = time.monotonic() + 60
        while words not in said:
            assert time.monotonic() < end, said
            if select.select([terminal], [], [], 1)[0]:
                said += os.read(terminal, 65_536).decode(errors="replace")
        said = said.partition(words)[2]

    until("shoplake>")
    os.write(terminal, FOREVER.encode() + b"\r")
    time.sleep(1)
    os.write(terminal, b"\x03")
    until("stopped")
    os.write(terminal, b"SELECT 6 * 7 AS answer;\r")
    until("     42")
    until("shoplake>")
    with process:
        end = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < end:
            with suppress(OSError):  # the other end is closed
                os.write(terminal, b"\x04")  # one that comes before the prompt is ready is lost
                if select.select([terminal], [], [], 0.5)[0]:
                    os.read(terminal, 65_536)
        process.kill()
    assert process.returncode == 0
    os.close(terminal)


def test_without_the_extra(shop, call, monkeypatch):
    """On a terminal the error names what to install; stdin works without it."""
    monkeypatch.setitem(sys.modules, "prompt_toolkit", None)
    monkeypatch.delitem(sys.modules, "shoplake.cli.line_editing")
    monkeypatch.delattr("shoplake.cli.line_editing")
    monkeypatch.setattr(sys, "stdin", Terminal())
    tells(call("sql", "--lake", shop / "lake"), 2, "'.[shell]'")
    monkeypatch.setattr(sys, "stdin", piped("SELECT 1 AS one;"))
    assert call("sql", "--lake", shop / "lake", "--format", "csv").out == "one\n1\n"
