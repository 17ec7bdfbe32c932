"""Earlier versions of a lake: which ones its tables still keep, and the view of one of them.

Every commit has a time later than all before it, the same in all tables that it changes. The lake at a time is therefore
each table's newest snapshot of that time or before: never a mix of two versions. A version is left as long as every table
keeps its snapshot of it (see ``SNAPSHOTS_KEPT``); an erasure removes all earlier ones.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from shoplake.errors import UsageError
from shoplake.lake.metadata import REPLACE, SNAPSHOTS_KEPT
from shoplake.lake.snapshots import BATCH, TableSnapshot, View

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Version:
    """A version of a lake that can be read.

    Attributes:
        at: When it was committed, UTC with a zone.
        batch: The batch that made it; None for maintenance, which stores the same rows otherwise.
        snapshots: The snapshots that it made, by table; the other tables stayed as they were.
    """

    at: datetime
    batch: str | None
    snapshots: Mapping[str, int]


def versions(view: View) -> list[Version]:
    """The versions of a lake that can be read, newest first."""
    oldest = _oldest(view)
    changes: defaultdict[int, dict[str, int]] = defaultdict(dict)
    batches: dict[int, str | None] = {}
    for name, table in view.tables.items():
        for snapshot in table.history:
            at, summary = snapshot["timestamp-ms"], snapshot["summary"]
            if at >= oldest:
                changes[at][name] = snapshot["snapshot-id"]
                batches[at] = None if summary["operation"] == REPLACE else summary.get(BATCH)
    return [Version(_moment(at), batches[at], changes[at]) for at in sorted(changes, reverse=True)]


def as_of(view: View, at: datetime | int) -> View:
    """The lake as it was.

    Args:
        view: The lake as it is.
        at: A time with a zone, which names the last version committed until then; or the id of a snapshot of any table,
            which names the version that made it.

    Raises:
        UsageError: That version is not kept, or was before the lake's first one.
    """
    moment = _committed(view, at) if isinstance(at, int) else (at - _EPOCH) // timedelta(milliseconds=1)
    oldest = _oldest(view)
    if moment < oldest:
        raise UsageError(
            f"the lake {_place(view)} no longer keeps its version of {_text(moment)}",
            remedy=f"{_oldest_left(view)} Each table keeps its last {SNAPSHOTS_KEPT} snapshots, and an erasure removes all"
            " earlier ones.",
        )
    tables = {name: _table_as_of(table, moment) for name, table in view.tables.items()}
    if all(table.snapshot_id is None for table in tables.values()):
        raise UsageError(f"the lake {_place(view)} had no data at {_text(moment)}", remedy=_oldest_left(view))
    return View(tables, view.catalog, view.version)


def _table_as_of(table: TableSnapshot, moment: int) -> TableSnapshot:
    if table.metadata is None:
        return table
    kept = [snapshot["snapshot-id"] for snapshot in table.history if snapshot["timestamp-ms"] <= moment]
    return table.at(kept[-1]) if kept else replace(table, metadata=table.metadata | {"current-snapshot-id": -1})


def _committed(view: View, snapshot_id: int) -> int:
    for table in view.tables.values():
        for snapshot in table.history:
            if snapshot["snapshot-id"] == snapshot_id:
                return snapshot["timestamp-ms"]
    raise UsageError(
        f"no table of the lake {_place(view)} keeps a snapshot {snapshot_id}",
        remedy=f"{_oldest_left(view)} Give a time, or the id of a snapshot: shoplake.open(lake).versions lists them.",
    )


def _oldest(view: View) -> int:
    """The time from which on every table keeps its snapshots; those that keep even their first one set no limit."""
    cut = [table.history[0] for table in view.tables.values() if table.history]
    return max((first["timestamp-ms"] for first in cut if "parent-snapshot-id" in first), default=0)


def _oldest_left(view: View) -> str:
    left = versions(view)
    return (
        f"The oldest version left is of {_text(round(left[-1].at.timestamp() * 1000))}." if left else "It has none yet."
    )


def _moment(milliseconds: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=milliseconds)


def _text(milliseconds: int) -> str:
    return _moment(milliseconds).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _place(view: View) -> str:
    return next(iter(view.tables.values())).storage.root
