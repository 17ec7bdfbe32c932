"""Numbers as a person reads them."""

from __future__ import annotations

from datetime import timedelta


def count(number: int, one: str, many: str = "") -> str:
    """A number with its noun."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def size(amount: int) -> str:
    """Bytes."""
    value = float(amount)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:,.0f} {unit}" if unit == "B" else f"{value:,.1f} {unit}"
        value /= 1000
    return f"{value:,.1f} TB"


def seconds(value: float) -> str:
    """A duration of work."""
    return f"{value:.2f} s" if value < 60 else str(timedelta(seconds=round(value)))


def ago(value: float) -> str:
    """A time span, by its largest unit."""
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if value >= length:
            return count(int(value // length), unit)
    return count(int(value), "second")
