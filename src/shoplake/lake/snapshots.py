"""The tables of a lake as they were after one batch: catalog -> metadata -> manifests -> data files.

Row-level delete files, which shoplake never writes, are refused rather than ignored.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cached_property
from typing import Any

from shoplake.errors import FatalError
from shoplake.lake import manifests
from shoplake.lake.manifests import DELETED, Bound, DataFileFields, ManifestFile
from shoplake.lake.metadata import Snapshot, TableMetadata, partition_value
from shoplake.lake.types import decode_bound
from shoplake.storage.base import Storage
from shoplake.tables import TABLES, Table

BATCH = "shoplake.batch"
"""In the summary of a snapshot: the id of its batch."""

SECONDS = "shoplake.seconds"
"""In the summary of a snapshot of the ledger: how long the whole batch took."""

_KEYS = ".keys"


def keys_location(path: str) -> str:
    """Where the units of a data file lie as keys (see :mod:`shoplake.engines.unit_keys`), if they do."""
    return path + _KEYS


def owner(location: str) -> str:
    """The data file that a file of a table's folder belongs to; the file itself unless it holds keys."""
    return location.removesuffix(_KEYS)


def may_be_written(location: str, root: str) -> bool:
    """Whether a file below a lake's root is where the lake writes its tables: no other is ever deleted as not needed."""
    table, _, below = location.removeprefix(f"{root}/").partition("/")
    return any(table == each.name for each in TABLES) and below.startswith(("data/", "metadata/"))


@dataclass(frozen=True)
class DataFile:
    """One live data file of a snapshot.

    Attributes:
        path: Absolute path.
        rows: Number of rows.
        bytes: Size in bytes.
        lower: Smallest value of the table's key and of its partitioned column, by name (timestamps naive UTC).
        upper: Largest value likewise.
        manifest: The manifest that names it.
    """

    path: str
    rows: int
    bytes: int
    lower: dict[str, Any]
    upper: dict[str, Any]
    manifest: str

    def may_hold(self, column: str, values: Sequence[Any]) -> bool:
        """Whether it can hold one of some values of the table's key or partitioned column, by its statistics.

        Args:
            column: The column.
            values: Sorted, so that many files can be checked against many values.
        """
        position = bisect_left(values, self.lower[column])
        return position < len(values) and bool(values[position] <= self.upper[column])


@dataclass(frozen=True)
class TableSnapshot:
    """One table at one snapshot.

    Attributes:
        table: Its declaration.
        storage: Where its files are.
        location: Where its metadata document is; None for a table that was never written.
        metadata: That document; None for a table that was never written.
        files_by_manifest: The data files of manifests that were read before; shared from snapshot to snapshot.
    """

    table: Table
    storage: Storage
    location: str | None
    metadata: TableMetadata | None
    files_by_manifest: dict[str, tuple[DataFile, ...]] = field(default_factory=dict)

    def at(self, snapshot_id: int) -> TableSnapshot:
        """The table at another snapshot that its metadata keeps."""
        if self.metadata is None:
            raise KeyError(snapshot_id)
        return replace(self, metadata=self.metadata | {"current-snapshot-id": snapshot_id})

    @property
    def uuid(self) -> str:
        """The table's own id, empty for a table that was never written."""
        return self.metadata["table-uuid"] if self.metadata else ""

    @property
    def folder(self) -> str:
        """Where the table's files are, or will be."""
        return self.metadata["location"] if self.metadata else f"{self.storage.root}/{self.table.name}"

    @property
    def history(self) -> list[Snapshot]:
        """Every snapshot that the table keeps, oldest first."""
        return self.metadata["snapshots"] if self.metadata else []

    @cached_property
    def snapshot(self) -> Snapshot | None:
        """The metadata's entry of the snapshot, None for a table that never had a commit."""
        if self.metadata is None or self.metadata["current-snapshot-id"] == -1:
            return None
        current = self.metadata["current-snapshot-id"]
        for snapshot in self.history:
            if snapshot["snapshot-id"] == current:
                return snapshot
        raise FatalError(
            f"{self.location} does not contain its own current snapshot {current}",
            remedy="The lake is damaged; restore it from a backup, or ingest into a new one.",
        )

    @property
    def snapshot_id(self) -> int | None:
        """The id of the snapshot, None for a table without one."""
        return self.snapshot["snapshot-id"] if self.snapshot else None

    @property
    def summary(self) -> dict[str, str]:
        """What the commit of the snapshot recorded about itself."""
        return self.snapshot["summary"] if self.snapshot else {}

    @property
    def rows(self) -> int:
        """Rows of the snapshot, from its summary."""
        return int(self.summary.get("total-records", 0))

    @property
    def bytes(self) -> int:
        """Bytes of its data files, from its summary."""
        return int(self.summary.get("total-files-size", 0))

    @property
    def file_count(self) -> int:
        """Number of its data files, from its summary."""
        return int(self.summary.get("total-data-files", 0))

    @cached_property
    def manifests(self) -> tuple[ManifestFile, ...]:
        """The manifest list."""
        if self.snapshot is None:
            return ()
        location = self.snapshot["manifest-list"]
        return tuple(manifests.read_manifest_list(self.storage.read(location), location))

    @property
    def files(self) -> tuple[DataFile, ...]:
        """Every live data file."""
        return tuple(file for manifest in self.manifests for file in self.files_of(manifest))

    def newest(self, partitions: int) -> tuple[DataFile, ...]:
        """The data files of the newest partitions, empty ones counted; reads the manifests of these alone."""
        spreads = {manifest["manifest_path"]: manifests.partition_range(manifest) for manifest in self.manifests}
        first = max((spread[1] for spread in spreads.values() if spread), default=0) - partitions + 1
        column = self.table.partition[0]
        return tuple(
            file
            for manifest in self.manifests
            if (spread := spreads[manifest["manifest_path"]]) and spread[1] >= first
            for file in self.files_of(manifest)
            if partition_value(self.table, file.upper[column]) >= first
        )

    def within(self, low: date, high: date) -> tuple[DataFile, ...]:
        """The data files whose range of the partitioned column meets the given one, both ends included.

        Reads only the manifests of those partitions: the cost does not grow with the age of the lake.
        """
        return tuple(self._within(low, high))

    def _within(self, low: date, high: date) -> Iterator[DataFile]:
        column = self.table.partition[0]
        first, last = (partition_value(self.table, value) for value in (low, high))
        for manifest in self.manifests:
            spread = manifests.partition_range(manifest)
            if spread is None or (spread[0] <= last and spread[1] >= first):
                for file in self.files_of(manifest):
                    if file.lower[column] <= high and file.upper[column] >= low:
                        yield file

    def files_of(self, manifest: ManifestFile) -> tuple[DataFile, ...]:
        """The live data files that one manifest of the list names."""
        path = manifest["manifest_path"]
        if path not in self.files_by_manifest:
            if manifest["content"] != manifests.DATA:
                raise FatalError(
                    f"table {self.table.name} has row-level delete files, which shoplake never writes",
                    remedy="Rewrite the table's data files with the engine that made them.",
                )
            self.files_by_manifest[path] = tuple(
                _data_file(entry["data_file"], self._bounded_columns, path)
                for entry in manifests.read_manifest(self.storage.read(path), path)
                if entry["status"] != DELETED
            )
        return self.files_by_manifest[path]

    @cached_property
    def _bounded_columns(self) -> dict[int, tuple[str, str]]:
        """Name and type, by field id, of the columns whose bounds are kept."""
        names = {self.table.key, self.table.partition[0]}
        return {
            field_id: (column.name, column.type)
            for field_id, column in enumerate(self.table.columns, 1)
            if column.name in names
        }


@dataclass(frozen=True)
class View:
    """Every table as one batch left it: never a mix of two batches, never half of one.

    Attributes:
        tables: By name.
        catalog: The catalog's content that names them, None where there is no lake yet.
        version: Number of batches and other changes since the lake was made.
    """

    tables: dict[str, TableSnapshot]
    catalog: bytes | None
    version: int

    def __getitem__(self, name: str) -> TableSnapshot:
        """The snapshot of the named table."""
        return self.tables[name]


def _data_file(entry: DataFileFields, columns: dict[int, tuple[str, str]], manifest: str) -> DataFile:
    return DataFile(
        entry["file_path"].removeprefix("file://"),
        entry["record_count"],
        entry["file_size_in_bytes"],
        _bounds(entry["lower_bounds"], columns),
        _bounds(entry["upper_bounds"], columns),
        manifest,
    )


def _bounds(bounds: list[Bound] | None, columns: dict[int, tuple[str, str]]) -> dict[str, Any]:
    values = {}
    for bound in bounds or []:
        if bound["key"] in columns:
            name, type_name = columns[bound["key"]]
            values[name] = decode_bound(type_name, bound["value"])
    return values
