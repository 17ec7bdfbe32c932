"""Formats numbers for people and values for JSON."""

from __future__ import annotations

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


def json_value(value: Any) -> Any:  # noqa: PLR0911 - one return a type
    """A query's value for JSON: times as ISO 8601 in UTC, decimals as text, so that nothing is lost."""
    if isinstance(value, datetime):
        text = value.replace(tzinfo=None) if value.tzinfo is None else value.astimezone(UTC).replace(tzinfo=None)
        return text.isoformat() + "Z"
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, list | tuple):
        return [json_value(item) for item in value]
    if isinstance(value, dict):
        return {str(key): json_value(item) for key, item in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return str(value)
