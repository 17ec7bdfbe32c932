"""Tables for people: columns as wide as their values, amounts to the right, and every row as soon as it is there."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from itertools import chain, islice
from typing import Any

from shoplake.text import decimals, visible

_AMOUNT = re.compile(r"-|nan|-?inf|[+-]?[\d,]+(\.\d+)?(e[+-]\d+)?(%| [kMGT]?B| s)?")
_GAP = "   "
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
    widths = _widths(names, first, width)
    yield from _row(names, widths, to_the_right, fold=True)
    yield " " + "─" * (sum(widths) + len(_GAP) * (len(widths) - 1))
    for row in chain(first, cells):
        yield from _row(row, widths, to_the_right, fold=width is not None)


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


def _are_amounts(values: Sequence[str]) -> bool:
    return any(value != "-" for value in values) and all(_AMOUNT.fullmatch(value) for value in values)


def _widths(names: Sequence[str], rows: Sequence[Sequence[str]], width: int | None) -> list[int]:
    values = [max((_length(row[place]) for row in rows), default=0) for place in range(len(names))]
    if width is None:
        return [min(max(_length(name), wide), _WIDEST) for name, wide in zip(names, values, strict=True)]
    room = width - 1 - len(_GAP) * (len(names) - 1)
    least = [max(_longest_word(name), min(wide, _NARROWEST)) for name, wide in zip(names, values, strict=True)]
    found = [min(max(_length(name), wide), max(room, 1)) for name, wide in zip(names, values, strict=True)]
    for slack in (  # first a header is folded between its words, then the longest texts
        [max(_longest_word(name), wide) for name, wide in zip(names, values, strict=True)],
        least,
    ):
        while sum(found) > room:
            place = max(range(len(found)), key=lambda each: (found[each] > slack[each], found[each]))
            if found[place] <= slack[place]:
                break
            found[place] -= 1
    return found


def _row(cells: Sequence[str], widths: Sequence[int], to_the_right: Sequence[bool], *, fold: bool) -> Iterator[str]:
    if all(_length(text) <= width for text, width in zip(cells, widths, strict=True)) or not fold:
        folded = [[text] for text in cells]
    else:
        folded = [_folded(text, width) for text, width in zip(cells, widths, strict=True)]
    for line in range(max(map(len, folded))):
        parts = [part[line] if line < len(part) else "" for part in folded]
        padded = (
            " " * (width - _length(part)) + part if right else part + " " * (width - _length(part))
            for part, width, right in zip(parts, widths, to_the_right, strict=True)
        )
        yield f" {_GAP.join(padded)}".rstrip()


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


def _longest_word(text: str) -> int:
    return max(map(_length, text.split(" ")))


def _length(text: str) -> int:
    """How many columns of a terminal a text takes."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)
