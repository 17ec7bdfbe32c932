"""Prints results, for people (tables) or programs (json, csv)."""

from __future__ import annotations

import codecs
import io
import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import TYPE_CHECKING, Any

import click

from shoplake.api import Observer
from shoplake.cli import table
from shoplake.cli.log import JSON, LOG
from shoplake.text import count, json_text, json_value, seconds, size, visible

if TYPE_CHECKING:  # every command imports this module, few need what these stand on
    from shoplake.ingestion.plan import Plan
    from shoplake.ingestion.report import RunReport
    from shoplake.sources.listing import LeftOut

_TO_QUOTE = re.compile(r'[",\r\n]')
FORMATS = ("table", "json", "csv")


def as_json(value: Any) -> None:
    """Write one JSON document on one line."""
    write(in_json(value) + "\n")


def in_json(value: Any) -> str:
    """A value as JSON that stdout can show, whatever its encoding."""
    return json_text(value) if _writes_utf8() else json.dumps(value)


def _writes_utf8() -> bool:
    return codecs.lookup(getattr(sys.stdout, "encoding", None) or "utf-8").name == "utf-8"


def as_csv(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, utc: bool = True) -> None:
    """Write rows as CSV (RFC 4180) with a header, each as it comes: NULL is nothing, an empty text is ``""``.

    A pipe or a file gets every text as it is; on a terminal unprintable characters are escaped.

    Args:
        columns: The names of the columns.
        rows: The values.
        utc: Whether times without a zone are UTC.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="strict")  # an escape could not be told from a text that looks like one
    for line in csv_lines(columns, rows, shown=visible if sys.stdout.isatty() else str, utc=utc):
        write(line)


def csv_lines(
    columns: Sequence[str], rows: Iterable[Sequence[Any]], *, shown: Callable[[str], str] = str, utc: bool = True
) -> Iterator[str]:
    """Rows as lines of CSV, the header first.

    Args:
        columns: The names of the columns.
        rows: The values.
        shown: How a text is shown.
        utc: Whether times without a zone are UTC.
    """
    for row in chain((columns,), rows):
        yield ",".join(_csv_field(value, shown, utc) for value in row) + "\n"


def _csv_field(value: Any, shown: Callable[[str], str], utc: bool) -> str:
    if value is None:
        return ""
    text = shown(str(json_value(value, utc=utc)))
    return '"' + text.replace('"', '""') + '"' if not text or _TO_QUOTE.search(text) else text


def as_table(
    columns: Sequence[str], rows: Iterable[Sequence[Any]], title: str = "", verdicts: Sequence[str] = ()
) -> None:
    """Write rows as a table for people, each as it comes; amounts are right-aligned, with separators.

    On a terminal long texts are folded to its width; in a pipe or a file each row is one line.

    Args:
        columns: The names of the columns.
        rows: The values.
        title: A line above.
        verdicts: Words at the end of a row that are shown in colour.
    """
    terminal = sys.stdout.isatty()
    if title:
        for line in _wrapped(visible(title), 3) if terminal else (visible(title),):
            _heading(line, terminal)
    width = shutil.get_terminal_size().columns if terminal else None
    heading = True
    for line in table.lines(columns, rows, width):
        if heading and not line.startswith(" ─"):
            _heading(line, terminal)
        else:
            heading = False
            last = next((word for word in verdicts if line.endswith(f" {word}")), "")
            write((f"{line.removesuffix(last)}{_coloured(last)}" if last else line) + "\n")
    write("\n")


def _heading(text: str, terminal: bool) -> None:
    write((click.style(text, bold=True) if terminal else text) + "\n")


def note(text: str, remedy: str = "", level: str = "info") -> None:
    """Print a remark to stderr, beside the result; in commands that keep a log, as a line of it.

    What is unprintable in it is escaped, line breaks too. On a terminal it is wrapped between words.

    Args:
        text: What happened.
        remedy: What to do about it, or an empty string.
        level: ``info`` or ``error``.
    """
    line = LOG.line(visible(text), visible(remedy), level)
    if LOG.style != JSON and sys.stderr.isatty():
        line = "\n".join(piece for part in line.split("\n") for piece in _wrapped(part, 2))
    click.echo(line, err=True)


def say(text: str = "", *, hang: int | None = None, verdict: str = "") -> None:
    """Print a line of the result to stdout. What is unprintable in it is escaped, line breaks too.

    On a terminal it is wrapped between words, and its verdict is shown in colour.

    Args:
        text: The line.
        hang: Spaces before what is wrapped; two more than before the line by default.
        verdict: A word of the line.
    """
    line = visible(text)
    if not sys.stdout.isatty():
        click.echo(line)
        return
    first, *more = _wrapped(line, hang)
    click.echo("\n".join([first.replace(verdict, _coloured(verdict), 1) if verdict else first, *more]))


def _wrapped(line: str, hang: int | None) -> list[str]:
    indent = len(line) - len(line.lstrip())
    return table.wrapped(line, shutil.get_terminal_size().columns, indent + 2 if hang is None else hang)


_COLOURS = {"ok": "green", "warning": "yellow", "failed": "red", "differ": "red"}


def _coloured(verdict: str) -> str:
    """A verdict in its colour, unless stdout is not a terminal that shows colours (https://no-color.org)."""
    colour = _COLOURS.get(verdict.lower())
    plain = not sys.stdout.isatty() or bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"
    return verdict if plain or colour is None else click.style(verdict, fg=colour)


def write(text: str) -> None:
    """Write a piece of the result to stdout as it is."""
    sys.stdout.write(text)


def failure(message: str, remedy: str = "") -> None:
    """Print an error with its remedy to stderr; further lines of a message are indented, so none looks like ours."""
    first, *more = [message] if LOG.style == JSON else message.split("\n")
    note(f"shoplake: {first}", "" if more else remedy, "error")
    for line in (*more, remedy) if more else ():
        note(f"  {line}", level="error")


def plan(todo: Plan, output: str) -> None:
    """Show what a run would do."""
    if output == "json":
        as_json(
            {
                "files": todo.files,
                "replaced": len(todo.replaced),
                "bytes": todo.bytes,
                "known": todo.known,
                "left_out": [each.as_json() for each in todo.left_out],
                "batches": [
                    [
                        {"path": file.path, "bytes": file.bytes, "replaces": file.path in batch.replaced}
                        for file in batch.files
                    ]
                    for batch in todo.batches
                ],
            }
        )
        return
    rows = [
        (number, file.path, file.bytes, "replaces" if file.path in batch.replaced else "new")
        for number, batch in enumerate(todo.batches, 1)
        for file in batch.files
    ]
    if output == "csv":
        as_csv(("batch", "path", "bytes", "kind"), rows)
        return
    left_out(todo.left_out)
    if not rows:
        say(f"Nothing new: {count(todo.known, 'source file')} already ingested.")
    else:
        as_table(("batch", "source file", "bytes", ""), rows)
        say(
            f"Would ingest {count(todo.files, 'file')} ({size(todo.bytes)}) in "
            f"{count(len(todo.batches), 'batch', 'batches')}; {todo.known:,} already ingested. Nothing was changed."
        )


def left_out(entries: Sequence[LeftOut]) -> None:
    """Name on stderr what a source has besides source files."""
    if entries:
        note(f"left out of the source: {'; '.join(map(str, entries))}")


def report(done: RunReport, output: str, verb: str = "Ingested", stamp: str = "") -> None:
    """Show what a run did, with the reconciliation of its lines; for a log, with a stamp before it."""
    if output == "json":
        as_json(done.as_json())
        return
    if output == "csv":
        figures = {key: value for key, value in done.as_json().items() if not isinstance(value, list | dict)}
        as_csv(list(figures), [list(figures.values())])
        return
    for failure in done.failures:
        became = "not read" if failure["file"] in done.unavailable else "set aside"
        note(f"{became}: {failure['file']}: {failure['error']}")
    left_out(done.left_out)
    if not done.files and not done.failures:
        say(f"{stamp}Nothing new ({seconds(done.seconds)}).")
        return
    replaced = f", {done.replaced:,} of them replaced" if done.replaced else ""
    say(
        f"{stamp}{verb} {count(done.files, 'file')}{replaced}: {count(done.lines, 'line')} in {seconds(done.seconds)} "
        f"({done.events_per_second:,.0f} per second)."
    )
    say(
        f"  {count(done.lines, 'line')} = {done.accepted:,} accepted + {count(done.duplicates, 'duplicate')}"
        f" + {done.quarantined:,} quarantined{erased(done.erased)}"
    )
    if done.reasons:
        ranked = sorted(done.reasons.items(), key=lambda item: (-item[1], item[0]))
        say("  quarantined for: " + ", ".join(f"{code} {number:,}" for code, number in ranked[:8]))
    if done.unknown_keys:
        ranked = sorted(done.unknown_keys.items(), key=lambda item: (-item[1], item[0]))
        listed = ", ".join(f"{key} {number:,}" for key, number in ranked[:8])
        say(f"  drift: unknown keys (kept in events.extra): {listed}")
    if done.failures:
        damaged = len(done.failures) - len(done.unavailable)
        if damaged:
            say(f"  {count(damaged, 'file')} set aside as unreadable; read again when replaced")
        if done.unavailable:
            say(f"  {count(len(done.unavailable), 'file')} could not be read now; the next run tries again")


def erased(lines: int) -> str:
    """The fourth term of a sum of lines, if any line was erased."""
    return f" + {lines:,} erased" if lines else ""


@contextmanager
def progress(label: str, unit: str, *, shown: bool) -> Iterator[Observer]:
    """A progress bar on stderr, as the observer that feeds it.

    Args:
        label: What is being done.
        unit: What is counted per second.
        shown: False keeps it silent; so does a stderr that is not a terminal.
    """
    if not shown or not sys.stderr.isatty():
        yield Observer(note=note)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(compact=True),
        console=Console(stderr=True),
        transient=True,
    )
    task = bar.add_task(label, total=None, rate="")
    units_done = 0

    def advance(amount: int, units: int) -> None:
        nonlocal units_done
        units_done += units
        elapsed = bar.tasks[0].elapsed or 0.0
        rate = f"{units_done / elapsed:,.0f} {unit}/s" if elapsed > 0.2 else ""
        bar.update(task, advance=amount, rate=rate)

    with bar:
        yield Observer(lambda total: bar.update(task, total=total), advance, note)


def so_far(observer: Observer) -> Callable[[int, int], None]:
    """Feeds an observer from ``(done, total)``: the units done until then and all there are."""
    before = 0

    def report(done: int, total: int) -> None:
        nonlocal before
        observer.total(total)
        observer.advance(done - before, done - before)
        before = done

    return report
