"""Finds the files of a lake that nothing needs: left by killed runs, or named only by snapshots that are not kept any more.

A file is needed if a kept snapshot of a table names it. One that is not named *now* can still become so, by a run in
progress, unless it is older than the catalog: that run began from an older catalog then, and has lost its race already.
So no file younger than the catalog is ever touched; the grace period on top is for readers, and for clocks that differ.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from shoplake.errors import FatalError
from shoplake.lake.catalog import Lake
from shoplake.lake.metadata import SNAPSHOTS_KEPT
from shoplake.lake.snapshots import TableSnapshot
from shoplake.storage.base import StoredFile
from shoplake.tables import TABLES

_READERS = timedelta(hours=1)


@dataclass(frozen=True)
class Garbage:
    """Files that nothing needs.

    Attributes:
        files: By the table in whose folder they are.
        spared: Tables whose history is so short that an open reader may still need such files.
    """

    files: dict[str, list[StoredFile]]
    spared: tuple[str, ...]

    @property
    def all(self) -> list[StoredFile]:
        """The files of all tables."""
        return [file for files in self.files.values() for file in files]

    @property
    def bytes(self) -> int:
        """Their size."""
        return sum(file.bytes for file in self.all)


def find(lake: Lake, now: datetime, grace: timedelta, known: Collection[str] = ()) -> Garbage:
    """The files that can be removed now.

    Args:
        lake: The lake.
        now: The time, UTC with a zone.
        grace: Files that were written later than this ago stay. Less than an hour, or none, only after a commit that
            forgot the history: runs that merge files beside this one then know that theirs may be gone.
        known: Locations that an earlier state of the lake named: they can be removed whatever their age. The clocks of some
            storages count whole seconds.

    Raises:
        UsageError: There is no lake.
        FatalError: A file that the newest snapshots need is missing; nothing should be removed from such a lake.
    """
    catalog = next(
        lake.storage.list(lake.catalog_location), None
    )  # before the view: never younger than what the view shows
    view = lake.need_view()
    if catalog is None:
        return Garbage({}, ())
    before = min(catalog.modified, now - grace)
    files, spared = {}, []
    for table in TABLES:
        snapshot = view[table.name]
        there = {file.location: file for file in lake.storage.list(f"{lake.root}/{table.name}")}
        _need_whole(snapshot, there)
        needed = named(snapshot)
        found = [
            file
            for location, file in there.items()
            if location not in needed and (location in known or file.modified < before)
        ]
        if found and _too_short(snapshot, now, min(grace, _READERS)):
            spared.append(table.name)
        elif found:
            files[table.name] = sorted(found, key=lambda file: file.location)
    return Garbage(files, tuple(spared))


def remove(lake: Lake, garbage: Garbage) -> None:
    """Remove files that nothing needs."""
    lake.storage.delete(file.location for file in garbage.all)


def _too_short(snapshot: TableSnapshot, now: datetime, reach: timedelta) -> bool:
    """Whether snapshots were let go that somebody may have opened less than ``reach`` ago."""
    kept = snapshot.history
    if len(kept) < SNAPSHOTS_KEPT:
        return False
    return datetime.fromtimestamp(min(one["timestamp-ms"] for one in kept) / 1000, UTC) > now - reach


def named(snapshot: TableSnapshot) -> set[str]:
    """The location of every file that the metadata of a table leads to."""
    return {location.removeprefix("file://") for location in _named(snapshot)}


def _named(snapshot: TableSnapshot) -> Iterator[str]:
    if snapshot.location is None or snapshot.metadata is None:
        return
    yield snapshot.location
    for document in snapshot.metadata["metadata-log"]:
        yield document["metadata-file"]
    seen = set()
    for one in snapshot.history:
        yield one["manifest-list"]
        earlier = snapshot.at(one["snapshot-id"])
        for manifest in earlier.manifests:
            if manifest["manifest_path"] not in seen:
                seen.add(manifest["manifest_path"])
                yield manifest["manifest_path"]
                yield from (file.path for file in earlier.files_of(manifest))


def _need_whole(snapshot: TableSnapshot, there: Collection[str]) -> None:
    """Refuse to remove anything from a lake that lacks files: what its metadata names may be elsewhere."""
    missing = [file.path for file in snapshot.files if file.path not in there]
    if missing:
        raise FatalError(
            f"{len(missing):,} data files of table {snapshot.table.name} are missing, for instance {missing[0]}; nothing was"
            " removed",
            remedy="Was the lake moved or copied? Otherwise find out what is lost: shoplake verify.",
        )
