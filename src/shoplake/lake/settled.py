"""Up to which path a source is settled: what a run between two sweeps need not look at (docs/adr/0027).

A run that has looked at the whole source and left nothing undone says so in a property of the ledger, in the swap that
publishes its last batch. So the ledger and what is said of it never disagree, whatever is killed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from shoplake.lake.snapshots import TableSnapshot

_PROPERTY = "shoplake.settled"


@dataclass(frozen=True)
class Settled:
    """What a sweep found, and left behind it.

    Attributes:
        path: Every source file whose path is this one or sorts before it is in the ledger, in the version that was there.
        at: When the sweep began to look, UTC with a zone.
    """

    path: str
    at: datetime

    def until(self, minutes: float) -> datetime:
        """When the next sweep is due, if there is one every so many minutes."""
        return self.at + timedelta(minutes=minutes)

    def holds(self, now: datetime, minutes: float) -> bool:
        """Whether no sweep is due; one is if the clock has gone back, too."""
        return self.at <= now < self.until(minutes)


def read(ledger: TableSnapshot) -> Settled | None:
    """What the last sweep left; None where every run has to look at everything."""
    text = ledger.metadata["properties"].get(_PROPERTY) if ledger.metadata else None
    if not text:
        return None
    document = json.loads(text)
    return Settled(document["path"], datetime.fromisoformat(document["at"]).astimezone(UTC))


def as_property(known: Settled | None, to_do: Iterable[str]) -> dict[str, str]:
    """The property of the ledger's table.

    Args:
        known: What is settled.
        to_do: Paths of files that are to be ingested again: no run may pass over them.
    """
    if known is None or any(path <= known.path for path in to_do):
        return {_PROPERTY: ""}
    return {_PROPERTY: json.dumps({"path": known.path, "at": known.at.isoformat()})}
