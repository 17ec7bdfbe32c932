"""What a lake holds, how fresh it is, and what is waiting."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shoplake import ledger, plan
from shoplake.discover import Source
from shoplake.lake import Lake
from shoplake.reports import json_value
from shoplake.settings import Settings
from shoplake.tables import TABLES


@dataclass(frozen=True)
class Status:
    """The state of a lake.

    Attributes:
        lake: Its folder.
        tables: Per table: rows, files, bytes, snapshots.
        ledger: Totals over the source files: files, unreadable, lines, accepted, duplicates, quarantined.
        newest_event: The latest event, UTC; None in an empty lake.
        newest_arrival: When the newest batch was ingested, UTC.
        freshness_seconds: Now minus the newest arrival.
        fresh: Whether that is within the objective.
        unreadable: The files that could not be read, with the reason.
        waiting: Files and bytes that the source holds and the lake does not, None when no source is given.
    """

    lake: str
    tables: dict[str, dict[str, int]]
    ledger: dict[str, int]
    newest_event: datetime | None
    newest_arrival: datetime | None
    freshness_seconds: float | None
    fresh: bool
    unreadable: list[dict[str, str]]
    waiting: dict[str, int] | None

    def as_json(self) -> dict[str, Any]:
        """The state as the fixed JSON interface names it."""
        return {key: json_value(value) for key, value in vars(self).items()}


def read(lake: Lake, source: Source | None, settings: Settings, now: datetime) -> Status:
    """Look at a lake.

    Args:
        lake: The lake.
        source: Where its files come from, to tell what is waiting.
        settings: The freshness objective and the size of batches.
        now: The time, UTC with a zone.
    """
    view = lake.need().view()
    entries = ledger.read(view["ledger"])
    totals: Counter[str] = Counter(files=0, unreadable=0, lines=0, accepted=0, duplicates=0, quarantined=0)
    for entry in entries.values():
        totals.update(
            files=1,
            unreadable=entry.status == ledger.UNREADABLE,
            lines=entry.lines,
            accepted=entry.accepted,
            duplicates=entry.duplicates,
            quarantined=entry.quarantined,
        )
    arrivals = [entry.arrived_at for entry in entries.values()]
    age = (now.replace(tzinfo=None) - max(arrivals)).total_seconds() if arrivals else None
    todo = plan.make(source.list(), ledger.known(view["ledger"]), settings.batch_bytes) if source else None
    return Status(
        lake=lake.root,
        tables={
            table.name: {
                "rows": view[table.name].rows,
                "files": view[table.name].file_count,
                "bytes": view[table.name].bytes,
                "snapshots": view[table.name].snapshot_count,
            }
            for table in TABLES
        },
        ledger=dict(totals),
        newest_event=max((entry.max_event_time for entry in entries.values() if entry.max_event_time), default=None),
        newest_arrival=max(arrivals, default=None),
        freshness_seconds=None if age is None else round(age, 3),
        fresh=age is not None and age <= settings.freshness_minutes * 60,
        unreadable=[
            {"file": entry.source_file, "error": entry.error or ""}
            for entry in entries.values()
            if entry.status == ledger.UNREADABLE
        ],
        waiting={"files": todo.files, "bytes": todo.bytes} if todo else None,
    )
