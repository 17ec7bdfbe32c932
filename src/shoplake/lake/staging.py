"""The next state of one table: its new snapshot with the manifests and the manifest list, written but named by nothing yet."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from shoplake.lake import manifests, parquet
from shoplake.lake.manifests import DELETED, ManifestEntry, ManifestFile
from shoplake.lake.metadata import Snapshot, TableMetadata, new_table, with_snapshot
from shoplake.lake.parquet import NewFile
from shoplake.lake.snapshots import DataFile, TableSnapshot

MERGE_MANIFESTS = 16


@dataclass(frozen=True)
class Staged:
    """A table's next metadata.

    Attributes:
        metadata: The document.
        snapshot_id: The snapshot that was made for it; None if it only drops others.
        manifests: Where the manifests of that snapshot are.
    """

    metadata: TableMetadata
    snapshot_id: int | None = None
    manifests: frozenset[str] = frozenset()


class SnapshotWriter:
    """Writes one snapshot of a table: its base without some data files and with others."""

    def __init__(self, base: TableSnapshot, write: Callable[[str, bytes], str], now_ms: int) -> None:
        """Nothing is written yet.

        Args:
            base: The table as it is.
            write: Writes a file of the given name in the table's metadata folder; returns where it is.
            now_ms: When it is committed, in milliseconds since 1970; not before the snapshots that the base has.
        """
        self._base, self._write, self._now_ms = base, write, now_ms
        self._metadata = base.metadata or new_table(base.table, base.folder)
        self._snapshot_id = secrets.randbits(62)
        self._sequence_number = self._metadata["last-sequence-number"] + 1

    def stage(self, removed: Sequence[DataFile], added: Sequence[NewFile], properties: Mapping[str, str]) -> Staged:
        """Write the snapshot.

        Args:
            removed: Data files of the base that it has no more.
            added: Data files that it has in addition.
            properties: Recorded in its summary.
        """
        listed = self._without(removed)
        if added:
            listed.append(self._write_manifest([self._added(file) for file in added]))
        listed = self._merged(listed)
        parent = self._base.snapshot_id
        content = manifests.write_manifest_list(listed, self._snapshot_id, parent, self._sequence_number)
        snapshot: Snapshot = {
            "snapshot-id": self._snapshot_id,
            "sequence-number": self._sequence_number,
            "timestamp-ms": self._now_ms,
            "manifest-list": self._write(f"snap-{self._snapshot_id}-0-{uuid.uuid4()}.avro", content),
            "summary": summary(self._base, removed, added) | dict(properties),
            "schema-id": self._metadata["current-schema-id"],
        }
        if parent is not None:
            snapshot["parent-snapshot-id"] = parent
        return Staged(
            with_snapshot(self._metadata, snapshot, self._base.location),
            self._snapshot_id,
            frozenset(manifest["manifest_path"] for manifest in listed),
        )

    def _without(self, removed: Sequence[DataFile]) -> list[ManifestFile]:
        """The manifests of the base; those that name removed files are rewritten."""
        touched = {file.manifest for file in removed}
        paths = {file.path for file in removed}
        kept = []
        for manifest in self._base.manifests:
            if manifest["manifest_path"] not in touched:
                if manifests.live_files(manifest):
                    kept.append(manifest)
                continue
            entries = self._carried_over(manifest)
            for entry in entries:
                if entry["data_file"]["file_path"].removeprefix("file://") in paths:
                    entry["status"] = DELETED
                    entry["snapshot_id"] = self._snapshot_id
            kept.append(self._write_manifest(entries))
        return kept

    def _merged(self, listed: list[ManifestFile]) -> list[ManifestFile]:
        """The manifests, with those of similar size merged where there are many of them.

        An entry is rewritten once each time its manifest grows sixteenfold: few manifests to read, little to rewrite.
        """
        while True:
            tiers: dict[int, list[ManifestFile]] = {}
            for manifest in listed:
                if not self._records_changes(manifest):
                    tiers.setdefault((manifests.live_files(manifest) - 1).bit_length() // 4, []).append(manifest)
            crowded = next((tier for _, tier in sorted(tiers.items()) if len(tier) >= MERGE_MANIFESTS), None)
            if crowded is None:
                return listed
            entries = [entry for manifest in crowded for entry in self._carried_over(manifest)]
            rest = [manifest for manifest in listed if manifest not in crowded]
            listed = [*rest, self._write_manifest(entries)]

    def _records_changes(self, manifest: ManifestFile) -> bool:
        """Whether readers find in a manifest what this very snapshot changed; merging would lose that."""
        changes = manifest["added_files_count"] or manifest["deleted_files_count"]
        return bool(changes) and manifest["added_snapshot_id"] == self._snapshot_id

    def _carried_over(self, manifest: ManifestFile) -> list[ManifestEntry]:
        content = self._base.storage.read(manifest["manifest_path"])
        return manifests.carry_over(manifest, manifests.read_manifest(content))

    def _added(self, file: NewFile) -> ManifestEntry:
        table = self._base.table
        bounds, sizes = parquet.bounds(table, file.metadata), parquet.column_sizes(table, file.metadata)
        return manifests.new_entry(
            self._snapshot_id, manifests.data_file(table, file.path, file.rows, file.bytes, bounds, sizes)
        )

    def _write_manifest(self, entries: list[ManifestEntry]) -> ManifestFile:
        table = self._base.table
        content = manifests.write_manifest(table, self._metadata, entries)
        path = self._write(f"{uuid.uuid4()}-m0.avro", content)
        return manifests.manifest_file(table, path, len(content), entries, self._snapshot_id, self._sequence_number)


def summary(base: TableSnapshot, removed: Sequence[DataFile], added: Sequence[NewFile]) -> dict[str, str]:
    """What a snapshot says of itself: its operation, what it changed, and totals.

    See https://iceberg.apache.org/spec/#snapshots and https://iceberg.apache.org/spec/#optional-snapshot-summary-fields.
    """
    totals = [base.file_count, base.rows, base.bytes]
    fields = {"operation": "overwrite" if removed else "append"}
    names = ("data-files", "records", "files-size")
    for verbs, counts, sign in (
        (("added", "added", "added"), _counts(added), 1),
        (("deleted", "deleted", "removed"), _counts(removed), -1),
    ):
        for position, (verb, name, count) in enumerate(zip(verbs, names, counts, strict=True)):
            totals[position] += sign * count
            if count:
                fields[f"{verb}-{name}"] = str(count)
    fields |= {f"total-{name}": str(total) for name, total in zip(names, totals, strict=True)}
    return fields | {"total-delete-files": "0", "total-position-deletes": "0", "total-equality-deletes": "0"}


def _counts(files: Sequence[DataFile] | Sequence[NewFile]) -> tuple[int, int, int]:
    return len(files), sum(file.rows for file in files), sum(file.bytes for file in files)
