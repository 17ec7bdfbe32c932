"""The write side of a lake: new snapshots of any number of tables, made visible together by one swap of the catalog.

One operation serves every table: *replace the rows of these keys by these files*.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, date, datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from shoplake.errors import ShoplakeError, TransientError, UnknownOutcomeError
from shoplake.lake import metadata, parquet
from shoplake.lake.catalog import Lake
from shoplake.lake.lookup import KeyLookup
from shoplake.lake.metadata import TableMetadata
from shoplake.lake.parquet import NewFile
from shoplake.lake.snapshots import DataFile, TableSnapshot, View, keys_location
from shoplake.lake.staging import SnapshotWriter, Staged
from shoplake.tables import Table

if TYPE_CHECKING:
    import pyarrow as pa

SAME_ROWS = {"operation": metadata.REPLACE}
"""Properties of a commit that stores the same rows otherwise, as compaction does."""


class LostRaceError(TransientError):
    """Someone else changed the lake since this commit's view of it was read; nothing was changed."""


class Commit:
    """Changes to a lake that become visible together, or not at all.

    As a context manager it removes what it wrote if it ends unpublished. If it is unknown whether it was published, because
    the storage did not respond or the process was interrupted, everything stays: maintenance finds files that no table
    names, and those that a table names must be there.
    """

    def __init__(self, lake: Lake, base: View, now: datetime, properties: Mapping[str, str]) -> None:
        """Begin.

        Args:
            lake: The lake; it exists.
            base: The view that the changes start from. If the lake has changed since, publishing fails.
            now: The time, UTC without a zone.
            properties: Recorded in the summary of every new snapshot.
        """
        self.base = base
        self._lake = lake
        self._now_ms = int(now.replace(tzinfo=UTC).timestamp() * 1000)
        self._properties = dict(properties)
        self._lookup = KeyLookup()
        self._staged: dict[str, Staged] = {}
        self._written: list[str] = []
        self._expires = False
        self._keep = False

    # -------------------------------------------------------------------------------------------------------- data files

    def write(
        self,
        table: Table,
        partition: date,
        rows: pa.Table,
        order: Sequence[str] | None = None,
        *,
        keys: bytes | None = None,
    ) -> NewFile:
        """Write a data file for rows of one partition; no table names it before it is given to :meth:`replace`.

        May be called from several threads.

        Args:
            table: The table.
            partition: A value of the partitioned column: all rows lie in the partition that it lies in.
            rows: Its rows.
            order: Columns to sort them by, if not by the table's own order; with none they stay as they are.
            keys: What lies beside the file: its units as keys.
        """
        location = self.new_location(table, partition)
        if keys is not None:
            self._written.append(keys_location(location))
            self._lake.storage.write(keys_location(location), keys)
        return parquet.write(self._lake.storage, location, table, rows, order)

    def adopt(self, files: Iterable[NewFile]) -> None:
        """Take over data files that were written elsewhere: they are removed along with this commit's own."""
        self._written += [location for file in files for location in (file.path, keys_location(file.path))]

    def new_location(self, table: Table, partition: date) -> str:
        """A location for a new data file; nothing is made there."""
        location = parquet.new_location(self.base[table.name].folder, table, partition)
        self._written.append(location)
        return location

    # ----------------------------------------------------------------------------------------------------------- staging

    def replace(
        self,
        table: Table,
        keys: Collection[Any],
        new: Sequence[NewFile],
        *,
        merge: Collection[str] = (),
        properties: Mapping[str, str] | None = None,
    ) -> None:
        """Replace all rows of the given keys by the given files; does nothing if nothing would change.

        Data files that hold only such rows are dropped by their statistics; files that also hold others are rewritten
        without them.

        Args:
            table: The table; at most once in a commit.
            keys: Values of the table's key column whose rows go.
            new: Files with the rows that come.
            merge: Paths of files to drop whole: the rows of theirs that stay are part of ``new``.
            properties: Recorded in the snapshot's summary, beside the commit's own.
        """
        base = self.base[table.name]
        removed = self.files_with(table, keys, merge)
        rewritten = self._without_keys(table, keys, removed)
        if merge:
            removed += [file for file in base.files if file.path in merge]
        if removed or new:
            writer = SnapshotWriter(base, lambda name, content: self._write_metadata(base, name, content), self._time)
            recorded = self._properties | dict(properties or {})
            self._staged[table.name] = writer.stage(removed, [*rewritten, *new], recorded)

    @property
    def _time(self) -> int:
        """When this commit happens, in milliseconds since 1970: later than all before it, whatever the clock says.

        So a time names one state of all tables (see :mod:`shoplake.lake.history`).
        """
        documents = [table.metadata for table in self.base.tables.values() if table.metadata]
        return max([self._now_ms, *(1 + document["last-updated-ms"] for document in documents)])

    def set_property(self, table: Table, name: str, value: str) -> None:
        """Set a property of a table that has changes staged."""
        staged = self._staged[table.name]
        properties = staged.metadata["properties"] | {name: value}
        self._staged[table.name] = replace(staged, metadata=staged.metadata | {"properties": properties})

    def files_with(self, table: Table, keys: Collection[Any], besides: Collection[str] = ()) -> list[DataFile]:
        """The data files of the base that have rows of the given keys.

        Args:
            table: The table.
            keys: Values of its key column.
            besides: Paths of files to leave out.
        """
        return self._lookup.files(self.base[table.name], keys, besides)

    def expire_snapshots(self) -> None:
        """Keep no earlier snapshot of any table: publishing leaves only the newest ones.

        What the others named can then be removed at once, by ``operations.maintain.vacuum`` without a grace period.
        """
        self._expires = True

    def rebase(self, view: View) -> bool:
        """Continue from a newer view of the lake: nothing is staged, and files that were written can still be used.

        Returns:
            Whether that is possible. It is not when the lake's history was expired since: the files may have been removed.
        """
        for name, base in self.base.tables.items():
            if metadata.history_id(base.metadata) != metadata.history_id(view[name].metadata):
                return False
        self.base = view
        self._staged.clear()
        return True

    def staged(self) -> View:
        """The lake as it will be with what is staged so far; to read from, not to change."""
        changed = {name: replace(self.base[name], metadata=staged.metadata) for name, staged in self._staged.items()}
        return View(self.base.tables | changed, self.base.catalog, self.base.version)

    def snapshot_id(self, name: str) -> int | None:
        """The snapshot of a table that this commit makes, or the one that it leaves as it is."""
        staged = self._staged.get(name)
        return (staged and staged.snapshot_id) or self.base[name].snapshot_id

    # -------------------------------------------------------------------------------------------------------- publishing

    def publish(self) -> View:
        """Make the changes visible, all at once.

        Returns:
            The lake as it is then.

        Raises:
            LostRaceError: Someone else changed the lake first; nothing was changed.
            UnknownOutcomeError: The storage did not respond.
        """
        if self._expires:
            self._stage_expiry()
        locations = {name: _new_document(self.base[name], staged) for name, staged in self._staged.items()}
        state = self._lake.state(self.base, locations)
        changed = {
            name: self._write_document(self.base[name], staged, locations[name], state)
            for name, staged in self._staged.items()
        }
        self._keep = True  # from here on the changes may be visible, whatever interrupts what follows
        try:
            catalog = self._lake.swap(self.base, {name: str(table.location) for name, table in changed.items()})
        except UnknownOutcomeError:
            raise
        except (ShoplakeError, OSError):
            self._keep = False
            raise
        if catalog is None:
            self._keep = False
            raise _lost()
        for name, staged in self._staged.items():
            self._clean_up(_dropped_documents(self.base[name], staged.metadata))
        return View(self.base.tables | changed, catalog, self.base.version + 1)

    def _stage_expiry(self) -> None:
        for name, base in self.base.tables.items():
            staged = self._staged.get(name) or (Staged(base.metadata) if base.metadata else None)
            if staged and base.location is not None:
                self._staged[name] = replace(staged, metadata=metadata.without_history(staged.metadata))

    def _write_document(self, base: TableSnapshot, staged: Staged, location: str, state: str) -> TableSnapshot:
        """Write a table's next metadata; returns the table as it will be."""
        document = metadata.with_state(staged.metadata, state)
        self._written.append(location)
        self._lake.storage.write(location, json.dumps(document).encode())
        known = {path: files for path, files in base.files_by_manifest.items() if path in staged.manifests}
        return TableSnapshot(base.table, base.storage, location, document, known)

    def _without_keys(self, table: Table, keys: Collection[Any], files: Sequence[DataFile]) -> list[NewFile]:
        """Rewrite data files without the rows of the given keys, those that also have others."""
        import pyarrow.compute as pc

        column, rewritten = table.key, []
        for file in files:
            if file.lower[column] == file.upper[column]:
                continue
            with parquet.reading(file.path):
                rows = parquet.read_together(table, [self._lake.storage.read(file.path)])
            rest = rows.filter(pc.invert(parquet.among(rows.column(column), keys)))
            if rest.num_rows:
                rewritten.append(self.write(table, file.lower[table.partition[0]], rest, ()))
        return rewritten

    def _write_metadata(self, base: TableSnapshot, name: str, content: bytes) -> str:
        location = f"{base.folder}/metadata/{name}"
        self._written.append(location)
        self._lake.storage.write(location, content)
        return location

    def __enter__(self) -> Self:
        """The commit itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove what was written if it was not published."""
        if not self._keep:
            self._clean_up(self._written)

    def _clean_up(self, locations: Sequence[str]) -> None:
        """Remove files that no table names; maintenance finds those that cannot be removed now."""
        with suppress(ShoplakeError, OSError):
            self._lake.storage.delete(locations)


def _new_document(base: TableSnapshot, staged: Staged) -> str:
    """A location for a table's next metadata."""
    return f"{base.folder}/metadata/{staged.metadata['last-sequence-number']:05d}-{uuid.uuid4()}{metadata.DOCUMENT}"


def _dropped_documents(base: TableSnapshot, after: TableMetadata) -> list[str]:
    """The metadata documents of a table's past, its present one included, that its next one does not name."""
    past = [entry["metadata-file"] for entry in base.metadata["metadata-log"]] if base.metadata else []
    named = {entry["metadata-file"] for entry in after["metadata-log"]}
    return [path for path in (*past, base.location) if path and path not in named]


def _lost() -> LostRaceError:
    return LostRaceError(
        "another run changed the lake during this one, of which nothing was kept",
        remedy="Run the same command again: it plans from what the lake holds now.",
    )
