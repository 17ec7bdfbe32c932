"""Formats numbers for people and values for JSON, and escapes what must not reach a terminal."""

from __future__ import annotations

import json
import math
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any


def count(number: int, one: str, many: str = "") -> str:
    """A number with its noun: ``1 file``, ``2 files``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def size(amount: int) -> str:
    """An amount of bytes."""
    value = float(amount)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:,.0f} {unit}" if unit == "B" else f"{value:,.1f} {unit}"
        value /= 1000
    return f"{value:,.1f} TB"


def seconds(value: float) -> str:
    """A duration in seconds, or as H:MM:SS from a minute on."""
    return f"{value:.2f} s" if value < 60 else str(timedelta(seconds=round(value)))


def ago(value: float) -> str:
    """A time span in seconds, in its largest unit."""
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if value >= length:
            return count(int(value // length), unit)
    return count(int(value), "second")


def as_datetime(moment: date) -> datetime:
    """A day as its first moment; a time as it is."""
    return moment if isinstance(moment, datetime) else datetime.combine(moment, time.min)


def decimals(value: float) -> str:
    """A fraction: with four decimals, or with four digits where those would hide it."""
    if value and not 0.001 <= abs(value) < 1e15:
        return f"{value:.4g}"
    return f"{value:.4f}"


def is_utf8(text: str) -> bool:
    """Whether a text can be written as UTF-8: one from the command line or the environment may have come from other bytes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def visible(text: str) -> str:
    r"""An untrusted text with its unprintable characters escaped, so that it cannot control a terminal.

    Bytes that are not UTF-8 (as ``surrogateescape`` reads them) and characters up to U+00FF become ``\xNN``, others
    ``\u{N}``.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escaped(ord(char)) for char in text)


def _escaped(number: int) -> str:
    if 0xDC80 <= number <= 0xDCFF:
        number -= 0xDC00
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{{{number:x}}}"


def json_text(value: Any) -> str:
    """A value as JSON on one line, in which characters that could control a terminal are escaped as JSON does it."""
    text = json.dumps(value, ensure_ascii=False)
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else json.dumps(char)[1:-1] for char in text)


def json_value(value: Any, *, utc: bool = True) -> Any:  # noqa: PLR0911 - one return a type
    """A query's value for JSON: times as ISO 8601, decimals as text, so that nothing is lost.

    Args:
        value: The value.
        utc: Whether a time without a zone is UTC, as all times of a lake are: it gets a Z, as those with a zone do.
    """
    if isinstance(value, datetime):
        if value.tzinfo is not None:
            value, utc = value.astimezone(UTC).replace(tzinfo=None), True
        return value.isoformat() + "Z" * utc
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, list | tuple):
        return [json_value(item, utc=utc) for item in value]
    if isinstance(value, dict):
        return {str(key): json_value(item, utc=utc) for key, item in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return str(value)
