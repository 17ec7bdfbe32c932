"""Gaps that somebody has acknowledged, with the reason: status no longer warns about them. They are kept beside the lake."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from shoplake.errors import UsageError
from shoplake.lake.catalog import Lake
from shoplake.lake.notes import ACKNOWLEDGED, Note
from shoplake.sources.slots import SLOT, Gap
from shoplake.text import json_value


@dataclass(frozen=True)
class Acknowledged:
    """A range of slots in which files may be missing.

    Attributes:
        start: Start of the first slot, UTC.
        end: End of the last.
        reason: Why no file is missed.
        at: When that was said, UTC.
    """

    start: datetime
    end: datetime
    reason: str
    at: datetime

    def as_json(self) -> dict[str, Any]:
        """The range as JSON names it."""
        found = {"from": self.start, "to": self.end, "reason": self.reason, "at": self.at}
        return {name: json_value(value) for name, value in found.items()}


def read(lake: Lake) -> list[Acknowledged]:
    """The acknowledged ranges, in order.

    Raises:
        FatalError: Their note is damaged, or the storage cannot be read.
    """
    return Note(lake, ACKNOWLEDGED).read(_parse) or []


def acknowledge(lake: Lake, start: datetime, end: datetime, reason: str, now: datetime) -> Acknowledged:
    """Acknowledge every gap within a range, those that are still to come included.

    Args:
        lake: The lake.
        start: Start of the range, UTC with a zone; its whole slot counts.
        end: End of the range (exclusive), likewise.
        reason: Why no file is missed.
        now: The time, UTC with a zone.

    Raises:
        UsageError: There is no lake, the range is empty, or there is no reason.
        FatalError: The lake cannot be read or written.
    """
    first, last = _slots(start, end)
    if not reason.strip():
        raise UsageError("a gap is acknowledged for a reason", remedy="Say why no file is missed: --reason TEXT")
    new = Acknowledged(first, last, reason.strip(), now.astimezone(UTC).replace(tzinfo=None, microsecond=0))
    Note(lake.need(), ACKNOWLEDGED).change(_parse, lambda known: _document([*_outside(known or [], first, last), new]))
    return new


def withdraw(lake: Lake, start: datetime, end: datetime) -> None:
    """Take back every acknowledgement within a range, whole.

    Args:
        lake: The lake.
        start: Start of the range, UTC with a zone.
        end: End of the range (exclusive).

    Raises:
        UsageError: There is no lake, the range is empty, or nothing in it was acknowledged.
        FatalError: The lake cannot be read or written.
    """
    first, last = _slots(start, end)
    known = read(lake.need())
    if len(_outside(known, first, last)) == len(known):
        raise UsageError(
            f"no acknowledged gap lies between {first} and {last}",
            remedy="shoplake status --format json lists them under gaps.acknowledged.",
        )
    Note(lake, ACKNOWLEDGED).change(_parse, lambda known: _document(_outside(known or [], first, last)))


def without(gaps: Iterable[Gap], known: Sequence[Acknowledged]) -> list[Gap]:
    """What remains of the gaps when the acknowledged ranges are taken out."""
    remaining = []
    for gap in gaps:
        at = gap.start
        for one in sorted(known, key=lambda one: one.start):
            if at < min(one.start, gap.end):
                remaining.append(Gap(at, min(one.start, gap.end)))
            at = max(at, one.end)
        if at < gap.end:
            remaining.append(Gap(at, gap.end))
    return remaining


def _slots(start: datetime, end: datetime) -> tuple[datetime, datetime]:
    """The range, widened to whole slots, without a zone."""
    low, high = (moment.astimezone(UTC).replace(tzinfo=None) for moment in (start, end))
    if low >= high:
        raise UsageError(
            f"the range from {low} to {high} is empty", remedy="The end is exclusive: an hour is 14:00 to 15:00."
        )
    first = _floor(low)
    return first, first + -(-(high - first) // SLOT) * SLOT


def _floor(moment: datetime) -> datetime:
    return moment.replace(minute=moment.minute - moment.minute % 5, second=0, microsecond=0)


def _outside(known: Sequence[Acknowledged], first: datetime, last: datetime) -> list[Acknowledged]:
    return [one for one in known if not (first <= one.start and one.end <= last)]


def _document(known: Sequence[Acknowledged]) -> dict[str, Any]:
    ordered = sorted(known, key=lambda one: (one.start, one.end))
    return {"id": uuid.uuid4().hex, "gaps": [one.as_json() for one in ordered]}


def _parse(note: Any) -> list[Acknowledged]:
    def moment(text: str) -> datetime:
        return datetime.fromisoformat(text).astimezone(UTC).replace(tzinfo=None)

    return [
        Acknowledged(moment(one["from"]), moment(one["to"]), str(one["reason"]), moment(one["at"]))
        for one in note["gaps"]
    ]
