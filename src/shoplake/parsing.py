"""Reads one raw line exactly: strict JSON, numbers as they were written, and what is wrong with a line that is not an object.

Fast readers take the lines that they are sure of. What they leave comes here, one line at a time.
"""

from __future__ import annotations

import codecs
import json
import re
from contextlib import suppress
from decimal import Decimal
from typing import Any, NamedTuple

from shoplake.contract import FIELD_NAMES, INVALID_UTF8, MALFORMED, MAX_DEPTH, TOO_LONG

BOM = b"\xef\xbb\xbf"
FIRST_BYTES = 4096
"""What is kept of a line that is longer than the bound (setting ``max_line_bytes``)."""


class Parsed(NamedTuple):
    """A raw line as the careful reader sees it; a number is a :class:`Number`, its text as it was written.

    Attributes:
        problem: invalid_utf8, malformed_json, line_too_long or None.
        fields: The nine fields as text, all None on a problem.
        nested: The fields that hold an object or an array.
        unknown: The keys that the contract does not know, with their values.
    """

    problem: str | None
    fields: dict[str, str | None]
    nested: tuple[str, ...]
    unknown: dict[str, Any]

    @property
    def extra(self) -> str | None:
        """The unknown keys as JSON text, None for none; null is not a value. Spaced as in the SQL for whole files."""
        kept = [f"{_as_json(name)}: {_as_json(value)}" for name, value in self.unknown.items() if value is not None]
        return f"{{{', '.join(kept)}}}" if kept else None


def without_bom(number: int, raw: bytes) -> bytes:
    """A line, numbered from 1, without the byte order mark that a file may begin with; anywhere else it is not JSON."""
    return raw.removeprefix(BOM) if number == 1 else raw


_SHORTENED = re.compile(rb" \.\.\. \[\d+ bytes in all\]\Z")


def shortened(first: bytes, size: int) -> bytes:
    """What stands for a line that is longer than the bound: its first bytes, and its length in words.

    No whole line can be taken for it and be accepted: what ends like this is no JSON.
    """
    kept = first[:FIRST_BYTES]
    with suppress(UnicodeDecodeError):
        kept = codecs.getincrementaldecoder("utf-8")().decode(kept).encode()  # without a character that is cut off
    return b"%s ... [%d bytes in all]" % (kept, size)


def parse_line(raw: bytes) -> Parsed:
    """Read one raw line as the careful reader does: strict JSON, exact numbers, exact reasons.

    The engine reads nearly every line itself; this reads only those that it turned down or was not sure of.

    Args:
        raw: The line without its newline.
    """
    if raw.endswith(b" bytes in all]") and _SHORTENED.search(raw, max(0, len(raw) - 40)):
        return _nothing(TOO_LONG)
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        return _nothing(INVALID_UTF8)
    brackets = text.count("[") + text.count("{")
    try:
        if brackets > MAX_DEPTH and _is_too_deep(text):
            return _nothing(MALFORMED)
        value = _DECODER.decode(text)
        if not isinstance(value, dict):
            return _nothing(MALFORMED)
        if "\\u" in text:  # a lone surrogate, in a key or a value, is not a character
            json.dumps(value, ensure_ascii=False).encode()
    except ValueError:
        return _nothing(MALFORMED)
    fields = {name: _as_text(value.get(name)) for name in FIELD_NAMES}
    if fields["price"]:
        fields["price"] = _without_exponent(fields["price"])
    nested = tuple(name for name in FIELD_NAMES if isinstance(value.get(name), dict | list)) if brackets > 1 else ()
    return Parsed(None, fields, nested, {name: value[name] for name in sorted(value.keys() - fields.keys())})


def _nothing(problem: str) -> Parsed:
    return Parsed(problem, dict.fromkeys(FIELD_NAMES), (), {})


class Number(str):
    """The text of a JSON number, kept as it was written."""

    __slots__ = ()


_TEXT_OR_BRACKET = re.compile(r'"(?:[^"\\]|\\.)*"?|[\[\]{}]', re.DOTALL)
_WITH_EXPONENT = re.compile(r"(-?)(\d+(?:\.\d+)?)[eE]([+-]?)0*(\d+)", re.ASCII)


def _is_too_deep(text: str) -> bool:
    """Whether objects and arrays are nested deeper than the contract allows: engines give up at different depths."""
    depth = 0
    for found in _TEXT_OR_BRACKET.finditer(text):
        if found[0] in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                return True
        elif found[0] in "]}":
            depth -= 1
    return False


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")


def _first_of_each_key(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return dict(pairs) | dict(reversed(pairs))  # in the order in which they come


# One for all lines: json.loads would make another for each, which takes half as long as reading the line.
_DECODER = json.JSONDecoder(
    parse_int=Number, parse_float=Number, parse_constant=_refuse, object_pairs_hook=_first_of_each_key
)


def _as_text(value: Any) -> str | None:
    if value is None or type(value) is str:
        return value
    return str(value) if isinstance(value, str) else _as_json(value)


def _as_json(value: Any) -> str:
    """A parsed value as compact JSON, its numbers as they were written."""
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, list):
        return f"[{','.join(map(_as_json, value))}]"
    if isinstance(value, dict):
        return "{" + ",".join(f"{_as_json(key)}:{_as_json(one)}" for key, one in value.items()) + "}"
    return json.dumps(value, ensure_ascii=False)


def _without_exponent(text: str) -> str:
    """A number written out, as far as it can be a price."""
    found = _WITH_EXPONENT.fullmatch(text)
    if not found:
        return text
    minus, mantissa, sign, exponent = found.groups()
    if not mantissa.strip("0."):
        return "0"
    if len(exponent) <= 3:
        return f"{Decimal(text):f}"
    return "0" if sign == "-" and not minus else text
