"""The time that an experiment covers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Self

from shoplake.errors import UsageError
from shoplake.lake.hours import start_of_hour
from shoplake.lake.reader import OpenLake
from shoplake.text import as_datetime

HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Window:
    """A time in whole hours, UTC without a zone.

    Attributes:
        start: Its start (inclusive).
        end: Its end (exclusive).
    """

    start: datetime
    end: datetime

    def days(self) -> list[Self]:
        """Its days, the first and the last of which may be shorter than a day."""
        found, start = [], self.start
        while start < self.end:
            midnight = datetime(start.year, start.month, start.day) + timedelta(days=1)  # noqa: DTZ001 - UTC without a zone
            found.append(replace(self, start=start, end=min(midnight, self.end)))
            start = midnight
        return found

    def parts(self, most: int) -> list[Self]:
        """At most so many parts of about the same length, in whole hours."""
        hours = (self.end - self.start) // HOUR
        ends = [self.start + hours * number // most * HOUR for number in range(most + 1)]
        return [replace(self, start=start, end=end) for start, end in pairwise(ends) if start < end]

    def before(self, length: timedelta) -> Self:
        """The time of a length that ends where this one starts."""
        return replace(self, start=self.start - length, end=self.start)


def whole(opened: OpenLake) -> Window:
    """The hours that the lake has events of.

    Raises:
        UsageError: It has none.
    """
    first, last = opened.sql("SELECT min(event_hour), max(event_hour) FROM user_hourly").fetchall()[0]
    if first is None:
        raise UsageError("the lake has no events", remedy="Ingest some first: shoplake ingest --help")
    return Window(first, last + HOUR)


def settle(opened: OpenLake, start: date | None, end: date | None, cuped: timedelta | None) -> Window:
    """The window of an experiment; with CUPED it begins later than the lake, so that there is a time before it."""
    lake = whole(opened)
    window = Window(
        _hour(start, "start") if start else lake.start + (cuped or timedelta(0)), _hour(end, "end") if end else lake.end
    )
    if cuped and (window.start <= lake.start or (start is None and window.start >= window.end)):
        raise UsageError(
            f"CUPED needs a time before the window, and the lake has only {lake.start} to {lake.end}",
            remedy="Give a start that is later than the lake's first hour, and fewer days for CUPED, or leave it out.",
        )
    if window.start >= window.end:
        raise UsageError(
            f"the start {window.start} is not before the end {window.end}", remedy="Give a window of at least an hour."
        )
    return window


def _hour(day_or_hour: date, what: str) -> datetime:
    moment = as_datetime(day_or_hour)
    moment = moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
    if moment != start_of_hour(moment):
        raise UsageError(
            f"the {what} {moment} is not a whole hour", remedy="The tables of users and sessions are by the hour."
        )
    return moment
