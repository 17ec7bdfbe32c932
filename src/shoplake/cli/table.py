"""Tables for people: columns as wide as their values, amounts to the right, and every row as soon as it is there."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from itertools import chain, islice
from typing import Any

from shoplake.text import decimals, visible

_AMOUNT = re.compile(r"-|nan|-?inf|[+-]?[\d,]+(\.\d+)?(e[+-]\d+)?(%| [kMGT]?B| s)?")
_COMMAND = "shoplake "
_GAPS = (3, 2, 1)  # spaces between columns: fewer where a terminal is narrow
_ROWS_MEASURED = 1000
_WIDEST = 200  # a column of a piped table; a longer value moves only the rest of its own row
_NARROWEST = 20  # columns are not folded below this, so that times and ids stay on one line


def lines(columns: Sequence[str], rows: Iterable[Sequence[Any]], width: int | None = None) -> Iterator[str]:
    """The lines of a table. The first rows decide how wide a column is; no more rows than these are in memory.

    Args:
        columns: The names of the columns.
        rows: The values.
        width: Characters of the terminal, to which long texts are folded; None for none.
    """
    cells = ([cell(value) for value in row] for row in rows)
    first = list(islice(cells, _ROWS_MEASURED))
    names = [visible(column) for column in columns]
    to_the_right = [_are_amounts([row[place] for row in first]) for place in range(len(names))]
    layout = _layout(names, first, width)
    yield from _row(names, layout, to_the_right, fold=True, pieces=_folded_name)
    yield " " + "─" * layout.width
    for row in chain(first, cells):
        yield from _row(row, layout, to_the_right, fold=width is not None)


def cell(value: Any) -> str:  # noqa: PLR0911 - one return a type
    """A value as a person reads it. A time with a zone is shown in UTC, with a Z."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return decimals(value)
    if isinstance(value, Decimal):
        return f"{value:,f}"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, datetime):
        if value.tzinfo is not None:
            return cell(value.astimezone(UTC).replace(tzinfo=None)) + "Z"
        return value.isoformat(" ", "seconds").removesuffix(":00")
    return visible(str(value))


def wrapped(text: str, width: int, hang: int) -> list[str]:
    """A line of prose, cut between words into lines of a width where it can be.

    A command that the text ends with stays on one line, so that it can be copied.

    Args:
        text: The line; spaces at its start and between columns stay.
        width: Characters of the terminal.
        hang: Spaces before every line but the first.
    """
    lines: list[str] = []
    start = text.rfind(" ", 0, max(text.find(_COMMAND), 0))  # a quote or a parenthesis before the command stays with it
    words = [*text[:start].split(" "), text[start + 1 :]] if start > 0 else text.split(" ")
    for word in words:
        if lines and _length(lines[-1]) + 1 + _length(word) <= width:
            lines[-1] += f" {word}"
        elif lines and lines[-1].strip():
            lines[-1] = lines[-1].rstrip()
            lines.append(" " * hang + word)
        else:
            lines = [f"{lines[0]} {word}"] if lines else [word]
    return lines


def _are_amounts(values: Sequence[str]) -> bool:
    return any(value != "-" for value in values) and all(_AMOUNT.fullmatch(value) for value in values)


@dataclass(frozen=True)
class _Layout:
    """How wide the columns are, and the spaces between them."""

    widths: list[int]
    gap: int

    @property
    def width(self) -> int:
        """Of a whole row."""
        return sum(self.widths) + self.gap * (len(self.widths) - 1)


def _layout(names: Sequence[str], rows: Sequence[Sequence[str]], width: int | None) -> _Layout:
    values = [max((_length(row[place]) for row in rows), default=0) for place in range(len(names))]
    natural = [max(_length(name), wide) for name, wide in zip(names, values, strict=True)]
    if width is None:
        return _Layout([min(wide, _WIDEST) for wide in natural], _GAPS[0])
    # First headers are folded between their words and after underscores, then the longest texts.
    without_headers = [max(_longest_part(name), wide) for name, wide in zip(names, values, strict=True)]
    least = [max(_longest_part(name), min(wide, _NARROWEST)) for name, wide in zip(names, values, strict=True)]
    found = _Layout(least, _GAPS[-1])
    for gap in _GAPS:
        room = width - 1 - gap * (len(names) - 1)
        widths = _narrowed(_narrowed([min(wide, max(room, 1)) for wide in natural], without_headers, room), least, room)
        found = _Layout(widths, gap)
        if sum(widths) <= room:
            break
    return found


def _narrowed(widths: list[int], least: Sequence[int], room: int) -> list[int]:
    """Columns that are narrowed, the widest first and none below its least, until they fit."""
    widths = list(widths)
    while sum(widths) > room:
        place = max(range(len(widths)), key=lambda each: (widths[each] > least[each], widths[each]))
        if widths[place] <= least[place]:
            break
        widths[place] -= 1
    return widths


def _row(
    cells: Sequence[str],
    layout: _Layout,
    to_the_right: Sequence[bool],
    *,
    fold: bool,
    pieces: Callable[[str, int], list[str]] | None = None,
) -> Iterator[str]:
    widths, gap = layout.widths, " " * layout.gap
    if all(_length(text) <= width for text, width in zip(cells, widths, strict=True)) or not fold:
        folded = [[text] for text in cells]
    else:
        folded = [(pieces or _folded)(text, width) for text, width in zip(cells, widths, strict=True)]
    for line in range(max(map(len, folded))):
        parts = [part[line] if line < len(part) else "" for part in folded]
        padded = (
            " " * (width - _length(part)) + part if right else part + " " * (width - _length(part))
            for part, width, right in zip(parts, widths, to_the_right, strict=True)
        )
        yield f" {gap.join(padded)}".rstrip()


def _folded(text: str, width: int) -> list[str]:
    """A text in pieces of at most this width, cut between words where it can be."""
    from rich.cells import chop_cells

    pieces: list[str] = []
    for word in text.split(" "):
        if pieces and _length(pieces[-1]) + 1 + _length(word) <= width:
            pieces[-1] += f" {word}"
        else:
            pieces += chop_cells(word, width) if _length(word) > width else [word]
    return pieces


def _folded_name(name: str, width: int) -> list[str]:
    """The name of a column in pieces of at most this width, cut between words and after underscores."""
    pieces: list[str] = []
    for word in name.split(" "):
        start = " " if pieces else ""
        for part in _parts(word):
            if pieces and _length(pieces[-1]) + _length(start + part) <= width:
                pieces[-1] += start + part
            else:
                pieces.append(part)
            start = ""
    return pieces


def _parts(word: str) -> list[str]:
    return re.findall(r"_*[^_]+_*|_+", word) or [word]


def _longest_part(name: str) -> int:
    return max(_length(part) for word in name.split(" ") for part in _parts(word))


def _length(text: str) -> int:
    """How many columns of a terminal a text takes."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)
