"""The write side of a lake: new snapshots of any number of tables, made visible together by one swap of the catalog.

One operation serves every table: *replace the rows of these keys by these files*.
"""

from __future__ import annotations

import json
import secrets
import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from types import TracebackType
from typing import Any, Self

import pyarrow as pa
import pyarrow.compute as pc

from shoplake.errors import FatalError, ShoplakeError, TransientError, UnknownOutcomeError
from shoplake.lake import iceberg, parquet
from shoplake.lake.catalog import Lake
from shoplake.lake.iceberg import ADDED, DELETED, EXISTING, Record
from shoplake.lake.parquet import NewFile
from shoplake.lake.snapshots import DataFile, TableSnapshot, View
from shoplake.tables import Table

SNAPSHOTS_KEPT = 100
METADATA_KEPT = 10
MERGE_MANIFESTS = 16
SAME_ROWS = {"operation": "replace"}
"""Properties of a commit that stores the same rows otherwise. Of several of these in a row only the last keeps its snapshot,
so that maintenance does not push the batches out of the history."""

_HISTORY = "shoplake.history"  # a table property, another one each time the history is forgotten


class LostRaceError(TransientError):
    """Somebody else changed the lake since this commit's view of it was read; nothing was changed."""


class Commit:
    """Changes to a lake that become visible together, or not at all.

    As a context manager it removes what it wrote if it ends without having been published. When it is not known whether it
    was, because the storage did not answer or the process was interrupted, everything stays: what is not named by a table
    is found later, what is named must be there.
    """

    def __init__(self, lake: Lake, base: View, now: datetime, properties: Mapping[str, str]) -> None:
        """Begin.

        Args:
            lake: The lake; it exists.
            base: The view that the changes are made from. If the lake is not at it any more, publishing fails.
            now: The time.
            properties: Recorded in the summary of every new snapshot.
        """
        self.base = base
        self._lake = lake
        self._now_ms = int(now.replace(tzinfo=UTC).timestamp() * 1000)
        self._properties = dict(properties)
        self._staged: dict[str, _Staged] = {}
        self._written: list[str] = []
        self._held: dict[tuple[str, tuple[Any, ...]], bool] = {}
        self._history = True
        self._keep = False

    def write(self, table: Table, partition: date, rows: pa.Table, order: Sequence[str] | None = None) -> NewFile:
        """Write a data file for rows of one partition; no table names it before it is given to :meth:`replace`.

        May be called from several threads.

        Args:
            table: The table.
            partition: A value of the partitioned column: all rows lie in the partition that it lies in.
            rows: Its rows.
            order: Columns to sort them by, if not by the table's own order; with none they stay as they are.
        """
        return parquet.write(self._lake.storage, self.new_location(table, partition), table, rows, order)

    def took(self, files: Iterable[NewFile]) -> None:
        """Take responsibility for data files that were written elsewhere: they are removed with this commit's own."""
        self._written += [file.path for file in files]

    def new_location(self, table: Table, partition: date) -> str:
        """A location for a new data file; nothing is made there."""
        location = parquet.new_location(self._table_location(table), table, partition)
        self._written.append(location)
        return location

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
            merge: Paths of files that go whole: as far as their rows stay, they are part of ``new``.
            properties: Recorded in the snapshot's summary, beside the commit's own.
        """
        base = self.base[table.name]
        removed, kept = self._stale(base, keys, merge)
        if merge:
            removed += [file for file in base.files if file.path in merge]
        if removed or new or kept:
            self._staged[table.name] = self._stage(base, removed, [*kept, *new], properties or {})

    def holding(self, table: Table, keys: Collection[Any], besides: Collection[str] = ()) -> list[DataFile]:
        """The data files of the base that hold rows of the given keys; where statistics cannot tell, by a look at the key.

        Args:
            table: The table.
            keys: Values of its key column.
            besides: Paths of files that are not looked at.
        """
        base, column, wanted = self.base[table.name], table.key, sorted(keys)
        if not wanted:
            return []
        candidates = base.within(wanted[0], wanted[-1]) if column == table.partition[0] else base.files
        return [
            file
            for file in candidates
            if file.path not in besides and file.may_hold(column, wanted) and self._holds(table, file, wanted)
        ]

    def rebase(self, view: View) -> bool:
        """Continue from a newer view of the lake: nothing is staged, and files that were written can still be used.

        Returns:
            Whether that is possible. It is not when the lake's history was expired since: the files may have been removed.
        """
        if any(_history(base) != _history(view[name]) for name, base in self.base.tables.items()):
            return False
        self.base = view
        self._staged.clear()
        return True

    def staged(self) -> View:
        """The lake as it will be with what is staged so far; to read from, not to change."""
        tables = dict(self.base.tables)
        for name, staged in self._staged.items():
            base = tables[name]
            tables[name] = TableSnapshot(base.table, base.storage, base.location, staged.metadata, base.read)
        return View(tables, self.base.catalog, self.base.version)

    def forget_history(self) -> None:
        """Keep no earlier snapshot of any table: publishing leaves only the newest ones.

        What the others named can then be removed at once, by ``operations.maintain.vacuum`` without a grace period.
        """
        self._history = False

    def snapshot_id(self, name: str) -> int | None:
        """The snapshot of a table that this commit makes, or the one that it leaves as it is."""
        staged = self._staged.get(name)
        return staged.snapshot_id if staged else self.base[name].snapshot_id

    def publish(self) -> View:
        """Make the changes visible, all at once.

        Returns:
            The lake as it is then.

        Raises:
            LostRaceError: The lake changed meanwhile; nothing was changed.
            UnknownOutcomeError: The storage did not answer.
        """
        tables, forgotten = dict(self.base.tables), []
        if not self._history:
            for name, base in self.base.tables.items():
                if base.location is not None:
                    self._staged.setdefault(name, _Staged(base.metadata)).forget(base.location)
        for name, staged in self._staged.items():
            base = self.base[name]
            location = self._write(
                base,
                f"metadata/{staged.metadata['last-sequence-number']:05d}-{uuid.uuid4()}.metadata.json",
                json.dumps(staged.metadata).encode(),
            )
            read = {path: files for path, files in base.read.items() if path in staged.manifests}
            tables[name] = TableSnapshot(base.table, base.storage, location, staged.metadata, read)
            forgotten += staged.forgotten
        self._keep = True  # from here on the changes may be visible, whatever interrupts what follows
        try:
            catalog = self._lake.swap(self.base, {name: str(tables[name].location) for name in self._staged})
        except UnknownOutcomeError:
            raise
        except (ShoplakeError, OSError):
            self._keep = False
            raise
        if catalog is None:
            self._keep = False
            raise _lost()
        self._clean_up(forgotten)
        return View(tables, catalog, self.base.version + 1)

    def __enter__(self) -> Self:
        """The commit itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove what was written for nothing."""
        if not self._keep:
            self._clean_up(self._written)

    def _clean_up(self, locations: Sequence[str]) -> None:
        """Remove objects that no table names; those that cannot be removed now are found by maintenance."""
        with suppress(ShoplakeError, OSError):
            self._lake.storage.delete(locations)

    # ---------------------------------------------------------------------------------------------------------- staging

    def _stage(
        self, base: TableSnapshot, removed: Sequence[DataFile], added: Sequence[NewFile], properties: Mapping[str, str]
    ) -> _Staged:
        table = base.table
        metadata = base.metadata or iceberg.new_table(table, self._table_location(table))
        staged = _Staged(metadata, secrets.randbits(62), metadata["last-sequence-number"] + 1)
        manifests = self._without(base, removed, staged)
        if added:
            entries = [_added(table, file, staged.snapshot_id) for file in added]
            manifests.append(self._write_manifest(base, entries, staged))
        manifests = self._merged(base, manifests, staged)
        listing = iceberg.write_manifest_list(manifests, staged.snapshot_id, base.snapshot_id, staged.sequence_number)
        where = self._write(base, f"metadata/snap-{staged.snapshot_id}-0-{uuid.uuid4()}.avro", listing)
        snapshot = {
            "snapshot-id": staged.snapshot_id,
            "sequence-number": staged.sequence_number,
            "timestamp-ms": max(self._now_ms, metadata["last-updated-ms"]),
            "manifest-list": where,
            "summary": _summary(base, removed, added) | self._properties | dict(properties),
            "schema-id": metadata["current-schema-id"],
        }
        if base.snapshot_id is not None:
            snapshot["parent-snapshot-id"] = base.snapshot_id
        staged.add(snapshot, base.location)
        staged.manifests = frozenset(manifest["manifest_path"] for manifest in manifests)
        return staged

    def _without(self, base: TableSnapshot, removed: Sequence[DataFile], staged: _Staged) -> list[Record]:
        """The manifests of the base, those that name files to be removed rewritten without them."""
        touched = {file.manifest for file in removed}
        paths = {file.path for file in removed}
        kept = []
        for manifest in base.manifests:
            if manifest["manifest_path"] not in touched:
                if _live(manifest):
                    kept.append(manifest)
                continue
            entries = self._entries(base, manifest)
            for entry in entries:
                if entry["data_file"]["file_path"].removeprefix("file://") in paths:
                    entry |= {"status": DELETED, "snapshot_id": staged.snapshot_id}
            kept.append(self._write_manifest(base, entries, staged))
        return kept

    def _merged(self, base: TableSnapshot, manifests: list[Record], staged: _Staged) -> list[Record]:
        """The manifests, with those of like size merged where there are many of them.

        Every entry is rewritten once each time its manifest grows sixteenfold: few manifests to read, little to rewrite.
        """
        while True:
            tiers: dict[int, list[Record]] = {}
            for manifest in manifests:
                tells_of_this = manifest["added_files_count"] or manifest["deleted_files_count"]
                if manifest["added_snapshot_id"] != staged.snapshot_id or not tells_of_this:
                    tiers.setdefault((_live(manifest) - 1).bit_length() // 4, []).append(manifest)
            crowded = next((tier for _, tier in sorted(tiers.items()) if len(tier) >= MERGE_MANIFESTS), None)
            if crowded is None:
                return manifests
            entries = [entry for manifest in crowded for entry in self._entries(base, manifest)]
            rest = [manifest for manifest in manifests if manifest not in crowded]
            manifests = [*rest, self._write_manifest(base, entries, staged)]

    def _entries(self, base: TableSnapshot, manifest: Record) -> list[Record]:
        """The live entries of a manifest, as they are carried over to another one."""
        content = base.storage.read(manifest["manifest_path"])
        carried = []
        for entry in iceberg.read_avro(content):
            if entry["status"] == DELETED:
                continue
            for name in ("sequence_number", "file_sequence_number"):
                if entry[name] is None:  # inherited from the manifest
                    entry[name] = manifest["sequence_number"]
            if entry["snapshot_id"] is None:
                entry["snapshot_id"] = manifest["added_snapshot_id"]
            carried.append(entry | {"status": EXISTING})
        return carried

    def _write_manifest(self, base: TableSnapshot, entries: list[Record], staged: _Staged) -> Record:
        content = iceberg.write_manifest(base.table, staged.metadata, entries)
        path = self._write(base, f"metadata/{uuid.uuid4()}-m0.avro", content)
        of = {"snapshot_id": staged.snapshot_id, "sequence_number": staged.sequence_number}
        return iceberg.manifest_file(base.table, path, len(content), entries, **of)

    def _write(self, base: TableSnapshot, name: str, content: bytes) -> str:
        location = f"{self._table_location(base.table)}/{name}"
        self._written.append(location)
        self._lake.storage.write(location, content)
        return location

    def _stale(
        self, base: TableSnapshot, keys: Collection[Any], merge: Collection[str]
    ) -> tuple[list[DataFile], list[NewFile]]:
        table, column = base.table, base.table.key
        removed, kept = [], []
        for file in self.holding(table, keys, merge):
            removed.append(file)
            if file.lower[column] == file.upper[column]:
                continue
            rows = parquet.read_together(table, [self._lake.storage.read(file.path)])
            rest = rows.filter(pc.invert(parquet.among(rows.column(column), keys)))
            if rest.num_rows:
                kept.append(self.write(table, file.lower[table.partition[0]], rest, ()))
        return removed, kept

    def _holds(self, table: Table, file: DataFile, keys: Sequence[Any]) -> bool:
        column = table.key
        if file.lower[column] == file.upper[column]:
            return True
        asked = file.path, tuple(keys)
        if asked not in self._held:
            try:
                with self._lake.storage.open(file.path) as stream:
                    values = parquet.read_together(table, [stream], [column]).column(column)
            except OSError as error:
                raise FatalError(
                    f"{file.path} cannot be read: {error.strerror or error}",
                    remedy="Find out what is lost: shoplake verify.",
                ) from error
            self._held[asked] = bool(pc.any(parquet.among(values, keys)).as_py())
        return self._held[asked]

    def _table_location(self, table: Table) -> str:
        return str(self.base[table.name].metadata.get("location") or f"{self._lake.root}/{table.name}")


@dataclass
class _Staged:
    """A table's next metadata; without a snapshot of its own it says less about the past.

    Attributes:
        metadata: The document.
        snapshot_id: Of its own snapshot, 0 without one.
        sequence_number: Of its own snapshot.
        manifests: Where those of its own snapshot are.
        forgotten: Documents of the past that it names no more.
    """

    metadata: Record
    snapshot_id: int = 0
    sequence_number: int = 0
    manifests: frozenset[str] = frozenset()
    forgotten: list[str] = field(default_factory=list)

    def add(self, snapshot: Record, previous: str | None) -> None:
        """Make a snapshot the current one; let go of the oldest ones and of the oldest metadata documents."""
        old = self.metadata
        earlier = old["snapshots"]
        if earlier and all(one["summary"]["operation"] == SAME_ROWS["operation"] for one in (earlier[-1], snapshot)):
            earlier = earlier[:-1]
        snapshots = [*earlier, snapshot][-SNAPSHOTS_KEPT:]
        kept = {one["snapshot-id"] for one in snapshots}
        at = snapshot["timestamp-ms"]
        log = [*old["snapshot-log"], {"snapshot-id": self.snapshot_id, "timestamp-ms": at}]
        documents = old["metadata-log"]
        if previous:
            documents = [*documents, {"metadata-file": previous, "timestamp-ms": old["last-updated-ms"]}]
        self.forgotten = [document["metadata-file"] for document in documents[:-METADATA_KEPT]]
        self.metadata = old | {
            "last-sequence-number": self.sequence_number,
            "last-updated-ms": at,
            "current-snapshot-id": self.snapshot_id,
            "refs": {"main": {"snapshot-id": self.snapshot_id, "type": "branch"}},
            "snapshots": snapshots,
            "snapshot-log": [entry for entry in log if entry["snapshot-id"] in kept],
            "metadata-log": documents[-METADATA_KEPT:],
        }

    def forget(self, previous: str) -> None:
        """Let go of every snapshot but the current one, and of every earlier metadata document."""
        current = self.metadata["current-snapshot-id"]
        self.forgotten += [previous, *(document["metadata-file"] for document in self.metadata["metadata-log"])]
        self.metadata = self.metadata | {
            "snapshots": [one for one in self.metadata["snapshots"] if one["snapshot-id"] == current],
            "snapshot-log": [one for one in self.metadata["snapshot-log"] if one["snapshot-id"] == current],
            "metadata-log": [],
            "properties": self.metadata["properties"] | {_HISTORY: uuid.uuid4().hex},
        }


def _history(table: TableSnapshot) -> str | None:
    return dict(table.metadata.get("properties", {})).get(_HISTORY)


def _lost() -> LostRaceError:
    return LostRaceError(
        "another run changed the lake during this one, of which nothing was kept",
        remedy="Run the same command again: it plans from what the lake holds now.",
    )


def _live(manifest: Record) -> int:
    return int(manifest["added_files_count"] + manifest["existing_files_count"])


def _added(table: Table, file: NewFile, snapshot_id: int) -> Record:
    bounds = parquet.bounds(table, file.metadata)
    return {
        "status": ADDED,
        "snapshot_id": snapshot_id,
        "sequence_number": None,
        "file_sequence_number": None,
        "data_file": iceberg.data_file(table, file.path, file.rows, file.bytes, bounds),
    }


def _summary(base: TableSnapshot, removed: Sequence[DataFile], added: Sequence[NewFile]) -> dict[str, str]:
    def figures(files: Sequence[DataFile] | Sequence[NewFile]) -> tuple[int, int, int]:
        return len(files), sum(file.rows for file in files), sum(file.bytes for file in files)

    totals = [base.file_count, base.rows, base.bytes]
    summary = {"operation": "overwrite" if removed else "append"}
    names = ("data-files", "records", "files-size")
    for verbs, files, sign in (
        (("added", "added", "added"), added, 1),
        (("deleted", "deleted", "removed"), removed, -1),
    ):
        for position, (verb, name, figure) in enumerate(zip(verbs, names, figures(files), strict=True)):
            totals[position] += sign * figure
            if figure:
                summary[f"{verb}-{name}"] = str(figure)
    summary |= {f"total-{name}": str(figure) for name, figure in zip(names, totals, strict=True)}
    return summary | {"total-delete-files": "0", "total-position-deletes": "0", "total-equality-deletes": "0"}
