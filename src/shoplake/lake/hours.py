"""Hours, the grain of gold. Times are UTC without a zone."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, datetime, timedelta

ONE_HOUR = timedelta(hours=1)


def start_of_hour(moment: datetime) -> datetime:
    """The start of the hour that a time lies in."""
    return moment.replace(minute=0, second=0, microsecond=0)


def hours_between(first: datetime, last: datetime) -> list[datetime]:
    """The start of every hour from that of the first time to that of the last, both included, in order."""
    start = start_of_hour(first)
    return [start + number * ONE_HOUR for number in range((last - start) // ONE_HOUR + 1)]


def literals(moments: Collection[datetime] | Collection[date]) -> str:
    """Times or days as SQL literals, for ``IN``."""
    kind = "TIMESTAMP" if any(isinstance(moment, datetime) for moment in moments) else "DATE"
    return ", ".join(f"{kind} '{moment.isoformat()}'" for moment in sorted(moments))
