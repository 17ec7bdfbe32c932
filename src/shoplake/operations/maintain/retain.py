"""Retention: removes the rows of days that are older than the lake keeps. Totals stay, and the days are closed for good."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, time, timedelta

from shoplake.lake import retention
from shoplake.lake.catalog import Lake
from shoplake.lake.commits import Commit
from shoplake.lake.snapshots import DataFile, View
from shoplake.lake.transact import transact
from shoplake.tables import EVENTS, QUARANTINE, UNIT_TABLES, Table

TABLES = (EVENTS, *UNIT_TABLES, QUARANTINE)
"""The tables that hold people: of these rows go."""


@dataclass(frozen=True)
class Expired:
    """What retention removes.

    Attributes:
        before: The first day that is kept, its first moment, UTC.
        files: The data files that go, by table.
    """

    before: datetime
    files: dict[Table, list[DataFile]]

    @property
    def rows(self) -> dict[str, int]:
        """Rows that go, by table."""
        return {table.name: sum(file.rows for file in files) for table, files in self.files.items() if files}


def find(view: View, now: datetime, keep_days: float) -> Expired | None:
    """What is older than the lake keeps; None if nothing is, or it keeps everything.

    Whole days go, so that a day's totals are computed from all of its events or not at all. No data file spans two days.

    Args:
        view: The lake.
        now: The time, UTC without a zone.
        keep_days: Days to keep before today; 0 keeps all.
    """
    if not keep_days:
        return None
    before = datetime.combine((now - timedelta(days=keep_days)).date(), time())
    files = {
        table: [file for file in view[table.name].files if file.upper[table.partition[0]] < before] for table in TABLES
    }
    return Expired(before, files) if any(files.values()) else None


def retain(lake: Lake, now: Callable[[], datetime], keep_days: float, note: Callable[[str], None]) -> Expired | None:
    """Remove what is older than the lake keeps, by one commit; returns what went.

    Raises:
        TransientError: Other runs changed the lake faster than this one could; nothing was changed.
    """

    def remove(view: View) -> Expired | None:
        moment = now().replace(tzinfo=None)
        expired = find(view, moment, keep_days)
        if expired is None:
            return None
        with Commit(lake, view, moment, {"shoplake.operation": retention.RETENTION}) as commit:
            for table, files in expired.files.items():
                if files:
                    commit.replace(table, (), (), merge={file.path for file in files})
                    commit.set_property(table, retention.KEPT_FROM, expired.before.isoformat())
            commit.publish()
        return expired

    if find(lake.view(), now().replace(tzinfo=None), keep_days) is None:
        return None
    with lake.lock(note):
        return transact(lake, remove, doing="remove what is older than the lake keeps", note=note)
