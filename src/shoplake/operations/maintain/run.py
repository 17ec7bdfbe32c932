"""Keeps a lake fast and small: merges the files of closed hours, days and months, and removes orphans.

It works beside running ingests. Merged files are written without blocking anything; the lake's lock is taken only to
publish a day of them. A group is published only if all of its files are still current; others are planned again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from shoplake.engines import memory
from shoplake.engines.base import Progress, ignore
from shoplake.errors import FatalError, TransientError
from shoplake.lake.catalog import Lake
from shoplake.lake.commits import SAME_ROWS, Commit
from shoplake.lake.parquet import NewFile
from shoplake.lake.snapshots import View, keys_location
from shoplake.lake.transact import transact, unwritable
from shoplake.operations.maintain import compact, retain, space, vacuum
from shoplake.operations.maintain.compact import Group
from shoplake.operations.maintain.retain import Expired
from shoplake.storage.base import StoredFile
from shoplake.tables import TABLES

MAX_PASSES = 5
# Half of the shortest time after which another maintenance removes files that no table refers to yet.
_LONGEST = timedelta(minutes=30)


@dataclass(frozen=True)
class MaintenanceRequest:
    """What maintenance is asked to do.

    Attributes:
        lake: The lake.
        closed_after: An hour, day or month is closed when it ended this long ago.
        older_than: Orphans are removed when they were written at least this long ago.
        keep_days: Days of which rows are kept; 0 keeps all.
        most_stored: Bytes stored per byte in use beyond which nothing is merged, since what is merged is stored twice until its
            old files may be removed; infinite merges all.
        now: The time, UTC with a zone.
        progress: Called with the bytes and the files that are done.
        planned: Called with the bytes to be merged, and again when it turns out to be more.
        note: Called with a sentence worth showing.
    """

    lake: Lake
    closed_after: timedelta = timedelta(hours=2)
    older_than: timedelta = timedelta(hours=24)
    keep_days: float = 0.0
    most_stored: float = math.inf
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    progress: Progress = ignore
    planned: Callable[[int], None] = ignore
    note: Callable[[str], None] = ignore


@dataclass
class MergedTable:
    """What was merged in one table; a dry run does not know the size afterwards."""

    partitions: list[str] = field(default_factory=list)
    files_before: int = 0
    files_after: int = 0
    bytes_before: int = 0
    bytes_after: int | None = None


@dataclass
class MaintenanceReport:
    """What was done, or for a dry run: what would be.

    Attributes:
        merged: By table.
        removed: The orphans that were removed.
        retained: Tables whose orphans stay, because an open reader may still need them.
        expired: Rows that were removed because they are older than the lake keeps, by table.
        kept_from: The first day that is kept, None if nothing was removed.
        commits: Commits published.
        dry_run: Nothing was changed.
    """

    merged: dict[str, MergedTable] = field(default_factory=dict)
    removed: list[StoredFile] = field(default_factory=list)
    retained: tuple[str, ...] = ()
    expired: dict[str, int] = field(default_factory=dict)
    kept_from: date | None = None
    commits: int = 0
    dry_run: bool = False

    @property
    def removed_bytes(self) -> int:
        """The size of the orphans."""
        return sum(file.bytes for file in self.removed)

    def add(self, group: Group, new: NewFile | None) -> None:
        """Count a group; without a new file it is only planned."""
        figures = self.merged.setdefault(group.table.name, MergedTable())
        if group.partition not in figures.partitions:
            figures.partitions.append(group.partition)
        figures.files_before += len(group.files)
        figures.bytes_before += group.bytes
        figures.files_after += 1
        if new:
            figures.bytes_after = (figures.bytes_after or 0) + new.bytes

    def expire(self, expired: Expired | None) -> None:
        """Count what retention removed."""
        if expired:
            self.expired, self.kept_from = expired.rows, expired.before.date()

    def as_json(self) -> dict[str, Any]:
        """The figures as the fixed JSON interface names them."""
        return {
            "dry_run": self.dry_run,
            "merged": {name: vars(table) for name, table in self.merged.items()},
            "commits": self.commits,
            "expired": self.expired,
            "kept_from": None if self.kept_from is None else self.kept_from.isoformat(),
            "removed_files": len(self.removed),
            "removed_bytes": self.removed_bytes,
            "removed": [file.location for file in self.removed],
            "spared": list(self.retained),
        }


def preview(request: MaintenanceRequest) -> MaintenanceReport:
    """What :func:`maintain` would do now; changes nothing."""
    now = request.now()
    orphans = vacuum.find(request.lake, now, request.older_than)
    report = MaintenanceReport(removed=orphans.all, retained=orphans.retained, dry_run=True)
    report.expire(retain.find(request.lake.view(), now.replace(tzinfo=None), request.keep_days))
    for groups in _plan(request).values():
        for group in groups:
            report.add(group, None)
    return report


def maintain(request: MaintenanceRequest) -> MaintenanceReport:
    """Remove orphans and what is older than the lake keeps, then merge what is closed. Safe beside ingests and readers.

    Raises:
        TransientError: Other runs changed the lake faster than this one could; what was done until then stays.
        FatalError: The lake cannot be read or written, or is damaged.
    """
    report = MaintenanceReport()
    try:
        # First, so that files that this very run replaces stay for another while.
        orphans = vacuum.find(request.lake, request.now(), request.older_than)
        vacuum.remove(request.lake, orphans)
        report.removed, report.retained = orphans.all, orphans.retained
        expired = retain.retain(request.lake, request.now, request.keep_days, request.note)
        report.expire(expired)
        report.commits += bool(expired)
        _merge_all(request, report)
    except OSError as error:
        raise unwritable(request.lake, error) from error
    return report


def _plan(request: MaintenanceRequest) -> dict[date, list[Group]]:
    now, view = request.now().replace(tzinfo=None), request.lake.view()
    days = compact.plan(view, now, request.closed_after)
    if not days or math.isinf(request.most_stored):
        return days
    return space.within(space.Room(request.lake, view, request.most_stored), days)


def _merge_all(request: MaintenanceRequest, report: MaintenanceReport) -> None:
    total = 0
    for _ in range(MAX_PASSES):
        days = _plan(request)
        total += sum(group.bytes for groups in days.values() for group in groups)
        request.planned(total)
        lost = 0
        for groups in days.values():
            lost += merge_groups(request, groups, report)
        if not lost:
            return
        request.note(f"{lost} groups of files were changed by other runs; planning again")
    raise TransientError(
        f"after {MAX_PASSES} plans there was still something to merge",
        remedy="Other runs change old hours all the time. What was merged so far stays; run it again later.",
    )


def merge_groups(request: MaintenanceRequest, groups: Sequence[Group], report: MaintenanceReport) -> int:
    """Merge the groups of one day in one commit; returns how many of them were changed by others during it."""
    lake, started = request.lake, request.now()
    memory.give_back()  # of a batch, or of another day
    with Commit(lake, lake.view(), started.replace(tzinfo=None), SAME_ROWS) as commit:
        new = _write(request, groups, commit)

        def publish(view: View) -> list[Group]:
            kept = _stage(commit, new) if commit.rebase(view) else []
            if kept:
                commit.publish()
            return kept

        if request.now() - started > _LONGEST:
            return len(groups)
        with lake.lock(request.note):
            kept = transact(lake, publish, doing="publish merged files", note=request.note)
        lake.storage.delete(file.path for group, file in new.items() if group not in kept)
        # Keys are derived: who still reads the old files, makes them from the texts.
        lake.storage.delete(keys_location(path) for group in kept if group.table.unit for path in group.paths)
        for group in kept:
            report.add(group, new[group])
        report.commits += bool(kept)
        return len(groups) - len(kept)


def _write(request: MaintenanceRequest, groups: Sequence[Group], commit: Commit) -> dict[Group, NewFile]:
    new = {}
    for group in groups:
        try:
            if compact.is_current(group, commit.base):
                new[group] = compact.merge(group, request.lake.storage, commit)
        except FatalError:
            if compact.is_current(group, request.lake.view()):
                raise
            # Another run has replaced the file that could not be read.
        request.progress(group.bytes, len(group.files))
    return new


def _stage(commit: Commit, new: dict[Group, NewFile]) -> list[Group]:
    """Replace files by what they were merged into, group by group, where all of them are still current."""
    kept = [group for group in new if compact.is_current(group, commit.base)]
    for table in TABLES:
        of_table = [group for group in kept if group.table is table]
        if of_table:
            paths = {path for group in of_table for path in group.paths}
            commit.replace(table, (), [new[group] for group in of_table], merge=paths)
    return kept
