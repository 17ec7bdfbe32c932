"""Which lines of a file are laid out exactly as one of its first: proven from their bytes, for many lines at once.

SQL's JSON reader forgives and changes, and never shows a key that it was not asked for. But it says how long each value is.
If a line is nothing but the nine keys, in the order and spacing of another line, with values of just these lengths in between,
then nothing is left of it in which something else could be hidden.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from shoplake.contract import EVENT_TYPES, FIELD_NAMES, FIELDS

_Array = np.ndarray[Any, Any]

_TEXTS = frozenset(field.name for field in FIELDS if field.type in {"string", "timestamp"})
_ALWAYS = frozenset(field.name for field in FIELDS if field.present_for == EVENT_TYPES)
_SPACINGS = ((", ", ": "), (",", ":"))
_LONGEST_NUMBER = 8
_BLOCK = 1 << 18  # both stay in the processor's cache
_LINES = 1 << 13
_MASKS = np.array([(1 << 8 * count) - 1 for count in range(_LONGEST_NUMBER + 1)], np.uint64)
_ALL = _MASKS[-1]
_EIGHT_TIMES = 0x0101010101010101
_WORD = 8
_WORDS = -(-max(len(f', "{name}": "') for name in FIELD_NAMES) // _WORD)


class Values(NamedTuple):
    """The values of a field, one a line.

    Attributes:
        sizes: How many bytes each has as text, 0 for null.
        nulls: Which are null.
    """

    sizes: _Array
    nulls: _Array


class Lines:
    """The lines of an inflated file that are not blank.

    Attributes:
        content: The file.
        starts: Where each begins.
        ends: Where its newline is.
        numbers: Its number in the file, from 1.
        form_feeds: Whether the file has a vertical tab or a form feed anywhere.
    """

    def __init__(self, content: memoryview) -> None:
        """Find them.

        Args:
            content: The file, its last line ended by a newline.
        """
        self.content = content
        octets = self.octets = np.frombuffer(content, np.uint8)
        breaks = [np.empty(0, np.int64)]
        for start in range(0, len(octets), _BLOCK):
            block = octets[start : start + _BLOCK]
            breaks.append(np.flatnonzero(block - np.uint8(ord("\n")) < 3) + start)
        ends = np.concatenate(breaks)
        newline = octets[ends] == ord("\n")
        self.form_feeds = not newline.all()
        if self.form_feeds:
            ends = ends[newline]
        starts = np.concatenate([np.zeros(min(1, len(ends)), np.int64), ends[:-1] + 1])
        there = starts < ends
        for place in np.flatnonzero(there)[octets[starts[there]] <= ord(" ")].tolist():
            there[place] = bool(bytes(content[int(starts[place]) : int(ends[place])]).strip())
        self.starts, self.ends, self.numbers = starts[there], ends[there], np.flatnonzero(there) + 1

    def __len__(self) -> int:
        """How many."""
        return len(self.starts)

    def __getitem__(self, place: int) -> bytes:
        """A line, without its newline."""
        return bytes(self.content[int(self.starts[place]) : int(self.ends[place])])

    def some(self, places: _Array) -> Iterator[memoryview]:
        """The lines at some places, with their newlines."""
        for start, end in zip(self.starts[places].tolist(), self.ends[places].tolist(), strict=True):
            yield self.content[start : end + 1]


@dataclass(frozen=True)
class Layout:
    """The order and spacing of the keys in a line that has all of them and no other.

    Attributes:
        pieces: What stands before each value.
        fields: Whose value it is.
    """

    pieces: tuple[bytes, ...]
    fields: tuple[str, ...]

    @classmethod
    def of(cls, line: bytes) -> Layout | None:
        """That of a line, None for one with other keys."""
        pairs: Any = None
        with suppress(ValueError, RecursionError):
            pairs = json.loads(line, object_pairs_hook=list)
        fields = tuple(key for key, _ in pairs) if line.startswith(b"{") and isinstance(pairs, list) else ()
        if sorted(fields) != sorted(FIELD_NAMES):
            return None
        for comma, colon in _SPACINGS:
            pieces = tuple(f'{comma if place else "{"}"{name}"{colon}'.encode() for place, name in enumerate(fields))
            if line.startswith(pieces[0]) and pieces[1] in line:
                return cls(pieces, fields)
        return None

    def fits(self, lines: Lines, values: Mapping[str, Values]) -> _Array:
        """Which lines are certain to be laid out like this, of those that meet the contract.

        Args:
            lines: The lines of a file.
            values: By field, what SQL read in each line.
        """
        fitting = [np.empty(0, bool)]
        for start in range(0, len(lines), _LINES):
            part = slice(start, start + _LINES)
            some = {name: Values(value.sizes[part], value.nulls[part]) for name, value in values.items()}
            fitting.append(self._fit(lines.octets, lines.starts[part], lines.ends[part], some))
        return np.concatenate(fitting)

    def _fit(self, octets: _Array, starts: _Array, ends: _Array, values: Mapping[str, Values]) -> _Array:
        # From left to right: if all before it is as it should be, a key that stands at its place is that key, and its value
        # the one that SQL gave, which takes the first of equal keys. A text without escapes is as long as it says. One with
        # escapes is longer, so that the next piece, or the line's end, is looked for too early and cannot be there: the
        # quote before a key would have to be in the text, where only a backslash can stand before it, or be the quote that
        # ends the text, after which no key can follow. Null is null. A quantity that meets the contract is written as SQL
        # gives it. Only a price may have been written otherwise.
        at = starts.copy()
        other = np.zeros(len(starts), np.uint64)
        fit = np.ones(len(starts), bool)
        for piece, name in zip(self.pieces, self.fields, strict=True):
            sizes, nulls = values[name]
            if name not in _TEXTS:
                other |= _differs(_at(octets, at), piece)
                at += len(piece)
                if name == "price":
                    fit &= nulls | _is_plain_number(_at(octets, at)[:, 0], sizes)
                at += np.where(nulls, 4, sizes)
            elif name in _ALWAYS:
                other |= _differs(_at(octets, at), piece + b'"')
                at += sizes
                at += len(piece) + 2
            else:
                other |= _differs(_at(octets, at), piece + b'"', nulls, piece + b"n")
                at += np.where(nulls, 4, sizes + 2)
                at += len(piece)
        fit &= other == 0
        fit &= at + 1 == ends
        fit &= octets[np.minimum(at, len(octets) - 1)] == ord("}")
        return fit


def _differs(found: _Array, piece: bytes, where: _Array | None = None, instead: bytes = b"") -> _Array:
    """Not 0 where the bytes found are not a piece; in some places, not another piece of the same length instead.

    Words are compared: that takes a third of the time that NumPy needs to compare texts.
    """
    other = np.zeros(len(found), np.uint64)
    for place, (mask, wanted) in enumerate(zip(_words(b"\xff" * len(piece)), _words(piece), strict=True)):
        difference = found[:, place] ^ wanted
        if where is not None and (change := wanted ^ _words(instead)[place]):
            difference ^= where * change
        other |= difference if mask == _ALL else difference & mask
    return other


def _words(octets: bytes) -> _Array:
    """Bytes as words, zeros behind their end."""
    return np.frombuffer(octets + bytes(-len(octets) % _WORD), "<u8")


def _at(octets: _Array, places: _Array) -> _Array:
    """Some words at each place, enough for any piece; at the file's end those before it.

    It is always as many, because NumPy is slower where there are one or two.
    """
    size = _WORD * _WORDS
    everywhere = np.ndarray((max(0, len(octets) - size + 1),), f"S{size}", octets.data, strides=(1,))
    try:
        found = everywhere[places]
    except IndexError:
        found = everywhere[np.minimum(places, len(everywhere) - 1)]
    return found.view("<u8").reshape(-1, _WORDS)


def _is_plain_number(words: _Array, sizes: _Array) -> _Array:
    """Whether the first so many bytes of a word are digits and points, and a digit first."""
    masks = _MASKS[np.minimum(sizes, _LONGEST_NUMBER)]
    zeros = np.uint64(ord("0") * _EIGHT_TIMES)
    digits = (words & masks) | (zeros & ~masks)
    other = digits ^ np.uint64(ord(".") * _EIGHT_TIMES)
    low = np.uint64(0x7F * _EIGHT_TIMES)
    points = ~(((other & low) + low) | other | low)  # 0x80 where the byte is a point
    digits ^= (points >> np.uint64(7)) * np.uint64(ord(".") ^ ord("0"))
    digits ^= zeros
    wrong = (((digits & low) + np.uint64((0x80 - 10) * _EIGHT_TIMES)) | digits) & np.uint64(0x80 * _EIGHT_TIMES)
    plain: _Array = (wrong == 0) & (sizes > 0) & (sizes <= _LONGEST_NUMBER) & ((words & _MASKS[1]) != ord("."))
    return plain
