"""Finds and removes the orphans of a lake: files that killed runs left behind, or that only expired snapshots refer to.

A file is needed if a kept snapshot of a table refers to it. A file that nothing refers to *now* may belong to a run in
progress, unless it is older than the catalog: that run then started from an older catalog and has already lost its race. So
no file younger than the catalog is ever removed; the grace period on top is for readers and for clocks that differ.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from shoplake.errors import FatalError
from shoplake.lake.catalog import Lake
from shoplake.lake.metadata import SNAPSHOTS_KEPT, hint_location
from shoplake.lake.snapshots import TableSnapshot, may_be_written, owner
from shoplake.storage.base import StoredFile
from shoplake.tables import TABLES

_LONGEST_READ = timedelta(hours=1)


@dataclass(frozen=True)
class Orphans:
    """Files that no kept snapshot refers to.

    Attributes:
        files: By the table in whose folder they are.
        retained: Tables whose orphans stay, because their history is so short that an open reader may still need them.
    """

    files: dict[str, list[StoredFile]]
    retained: tuple[str, ...]

    @property
    def all(self) -> list[StoredFile]:
        """The files of all tables."""
        return [file for files in self.files.values() for file in files]

    @property
    def bytes(self) -> int:
        """Their size."""
        return sum(file.bytes for file in self.all)


def find(lake: Lake, now: datetime, grace: timedelta, expired: Collection[str] = ()) -> Orphans:
    """The orphans that can be removed now.

    Args:
        lake: The lake.
        now: The time, UTC with a zone.
        grace: Files younger than this stay. Less than an hour, or zero, only after a commit that expired the history: runs
            that are merging files at the same time then know that theirs may be gone.
        expired: Locations that an earlier state of the lake referred to, removable at any age, because some storages record
            whole seconds only.

    Raises:
        UsageError: There is no lake.
        FatalError: A file that the newest snapshots need is missing; nothing should be removed from such a lake.
    """
    catalog = next(
        lake.storage.list(lake.catalog_location), None
    )  # before the view: never younger than what the view shows
    view = lake.need_view()
    if catalog is None:
        return Orphans({}, ())
    before = min(catalog.modified, now - grace)
    files, retained = {}, []
    for table in TABLES:
        snapshot = view[table.name]
        found = lake.storage.list(f"{lake.root}/{table.name}")
        stored = {file.location: file for file in found if may_be_written(file.location, lake.root)}
        _need_all_files(snapshot, stored)
        needed = referenced(snapshot)
        orphans = [
            file
            for location, file in stored.items()
            if owner(location) not in needed and (owner(location) in expired or file.modified < before)
        ]
        if orphans and _expired_within(snapshot, now, min(grace, _LONGEST_READ)):
            retained.append(table.name)
        elif orphans:
            files[table.name] = sorted(orphans, key=lambda file: file.location)
    return Orphans(files, tuple(retained))


def remove(lake: Lake, orphans: Orphans) -> None:
    """Remove orphans; no hint is left that names one of them."""
    lake.hint()
    lake.storage.delete(file.location for file in orphans.all)


def _expired_within(snapshot: TableSnapshot, now: datetime, reach: timedelta) -> bool:
    """Whether snapshots have expired that a reader may have opened less than ``reach`` ago."""
    kept = snapshot.history
    if len(kept) < SNAPSHOTS_KEPT:
        return False
    return datetime.fromtimestamp(min(earlier["timestamp-ms"] for earlier in kept) / 1000, UTC) > now - reach


def referenced(snapshot: TableSnapshot) -> set[str]:
    """The location of every file that the metadata of a table refers to, directly or through its manifests."""
    return {location.removeprefix("file://") for location in _referenced(snapshot)}


def _referenced(snapshot: TableSnapshot) -> Iterator[str]:
    if snapshot.location is None or snapshot.metadata is None:
        return
    yield snapshot.location
    yield hint_location(snapshot.folder)
    for document in snapshot.metadata["metadata-log"]:
        yield document["metadata-file"]
    seen = set()
    for kept in snapshot.history:
        yield kept["manifest-list"]
        earlier = snapshot.at(kept["snapshot-id"])
        for manifest in earlier.manifests:
            if manifest["manifest_path"] not in seen:
                seen.add(manifest["manifest_path"])
                yield manifest["manifest_path"]
                yield from (file.path for file in earlier.files_of(manifest))


def _need_all_files(snapshot: TableSnapshot, stored: Collection[str]) -> None:
    """Refuse to remove anything from a lake that lacks files: what its metadata refers to may be elsewhere."""
    missing = [file.path for file in snapshot.files if file.path not in stored]
    if missing:
        raise FatalError(
            f"{len(missing):,} data files of table {snapshot.table.name} are missing, such as {missing[0]}; nothing was"
            " removed",
            remedy="Was the lake moved or copied? If not, find out what is lost: shoplake verify",
        )
