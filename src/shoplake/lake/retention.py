"""Retention: what a lake no longer keeps. Days before one are closed: their rows went, their totals stay as they are.

The first day that a table still keeps is a property of the table, set by the commit that removes rows (docs/adr/0023).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from shoplake.lake.ledger import Entry
from shoplake.lake.snapshots import TableSnapshot, View
from shoplake.tables import EVENTS, QUARANTINE

KEPT_FROM = "shoplake.kept-from"
RETENTION = "retention"


def kept_from(table: TableSnapshot) -> datetime | None:
    """The first moment of the first day of which a table keeps its rows, UTC; None if nothing ever went."""
    text = table.metadata["properties"].get(KEPT_FROM) if table.metadata else None
    return datetime.fromisoformat(text) if text else None


def open_hours(view: View, hours: Iterable[datetime]) -> set[datetime]:
    """Those of some hours whose gold may be computed: of a closed one the events are gone, in whole or in part."""
    start = kept_from(view[EVENTS.name])
    return {hour for hour in hours if start is None or hour >= start}


def lacks_events(view: View, entry: Entry) -> bool:
    """Whether events of a source file may be gone."""
    start = kept_from(view[EVENTS.name])
    return start is not None and entry.min_event_time is not None and entry.min_event_time < start


def lacks_lines(view: View, entry: Entry) -> bool:
    """Whether quarantined lines of a source file may be gone."""
    start = kept_from(view[QUARANTINE.name])
    return start is not None and entry.arrived_at < start
