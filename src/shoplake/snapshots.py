"""Reads Iceberg snapshots without the cost of a table library: catalog row -> metadata -> manifests -> data files.

Commands that only read start at once that way. Everything that writes goes through PyIceberg
(:mod:`shoplake.commits`). Row-level delete files, which shoplake never writes, are refused rather than ignored.
"""

from __future__ import annotations

import json
import sqlite3
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote

import fastavro

from shoplake.errors import FatalError
from shoplake.tables import BY_NAME, TABLES, Table

CATALOG_NAME = "shoplake"
NAMESPACE = "shoplake"
PUBLISHED = "shoplake.tables"
BATCH = "shoplake.batch"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC).replace(tzinfo=None)
_DELETED = 2


@dataclass(frozen=True)
class DataFile:
    """One live data file of a snapshot.

    Attributes:
        path: Absolute path.
        rows: Number of rows.
        bytes: Size in bytes.
        lower: Smallest value of the table's key and of its partitioned column, by name (timestamps naive UTC).
        upper: Largest value likewise.
    """

    path: str
    rows: int
    bytes: int
    lower: dict[str, Any]
    upper: dict[str, Any]


@dataclass(frozen=True)
class TableSnapshot:
    """One table at one snapshot.

    Attributes:
        table: Its declaration.
        metadata: The table's metadata document.
        snapshot: The entry of the snapshot in it, or None for a table that never had a commit.
    """

    table: Table
    metadata: dict[str, Any]
    snapshot: dict[str, Any] | None

    @property
    def snapshot_id(self) -> int | None:
        """The id of the snapshot, None for a table without one."""
        return None if self.snapshot is None else int(self.snapshot["snapshot-id"])

    @property
    def summary(self) -> dict[str, str]:
        """What the commit of the snapshot recorded about itself."""
        return {} if self.snapshot is None else dict(self.snapshot.get("summary", {}))

    def summaries_since(self, ancestor: int | None) -> list[dict[str, str]]:
        """What each commit from this snapshot back to the given one, exclusive, recorded about itself."""
        by_id = {snapshot["snapshot-id"]: snapshot for snapshot in self.metadata.get("snapshots", [])}
        summaries = []
        following = self.snapshot_id
        while following is not None and following != ancestor and following in by_id:
            summaries.append(dict(by_id[following].get("summary", {})))
            following = by_id[following].get("parent-snapshot-id")
        return summaries

    @property
    def snapshot_count(self) -> int:
        """How many snapshots the table keeps."""
        return len(self.metadata.get("snapshots", []))

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
    def files(self) -> tuple[DataFile, ...]:
        """Every live data file."""
        return tuple(self._read_files())

    def _read_files(self) -> Iterator[DataFile]:
        if self.snapshot is None:
            return
        wanted = {
            self.table.key,
            self.table.partition[0],
        }
        fields = self._schema()["fields"]
        names = {field["id"]: (field["name"], field["type"]) for field in fields if field["name"] in wanted}
        for manifest in _read_avro(self.snapshot["manifest-list"]):
            if manifest["content"] != 0:
                raise FatalError(
                    f"table {self.table.name} has row-level delete files, which shoplake never writes",
                    remedy="Rewrite the table's data files with the engine that made them.",
                )
            for entry in _read_avro(manifest["manifest_path"]):
                if entry["status"] != _DELETED:
                    yield _data_file(entry["data_file"], names)

    def _schema(self) -> dict[str, Any]:
        current = self.metadata["current-schema-id"]
        return next(schema for schema in self.metadata["schemas"] if schema["schema-id"] == current)


@dataclass(frozen=True)
class View:
    """One snapshot of every table, together."""

    tables: dict[str, TableSnapshot]

    def __getitem__(self, name: str) -> TableSnapshot:
        """The snapshot of the named table."""
        return self.tables[name]


def current(catalog: Path) -> View:
    """Every table at its newest snapshot, acknowledged or not."""
    metadata = _metadata(catalog)
    return View({table.name: _newest(table, metadata.get(table.name, {})) for table in TABLES})


def published(catalog: Path) -> View:
    """Every table as the last acknowledged batch left it: never a mix of two batches, never half of one.

    The ledger's commit is the last of a batch and names the snapshot of every other table that belongs to it.
    """
    newest = current(catalog)
    ledger = newest["ledger"]
    belongs = json.loads(ledger.summary.get(PUBLISHED, "{}"))
    tables = {}
    for name, table in newest.tables.items():
        if name == "ledger":
            tables[name] = ledger
        else:
            tables[name] = TableSnapshot(table.table, table.metadata, _snapshot(table.metadata, belongs.get(name)))
    return View(tables)


def unacknowledged(catalog: Path) -> dict[str, int | None]:
    """What a batch left that never was acknowledged.

    Returns:
        The acknowledged snapshot (None: before the first) of each table that is ahead of it by commits of shoplake only.
        A table that another tool has written to since is not among them: its rows are not ours to take back.
    """
    newest, belongs = current(catalog), published(catalog)
    left = {}
    for name, table in newest.tables.items():
        acknowledged = belongs[name].snapshot_id
        if table.snapshot_id != acknowledged and all(
            BATCH in summary for summary in table.summaries_since(acknowledged)
        ):
            left[name] = acknowledged
    return left


def _newest(table: Table, metadata: dict[str, Any]) -> TableSnapshot:
    return TableSnapshot(table, metadata, _snapshot(metadata, metadata.get("current-snapshot-id")))


def _metadata(catalog: Path) -> dict[str, dict[str, Any]]:
    try:
        connection = sqlite3.connect(f"file:{quote(str(catalog))}?mode=ro", uri=True, timeout=30)
        try:
            if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'iceberg_tables'").fetchall():
                if any(catalog.parent.glob("*/metadata")):
                    raise FatalError(f"the catalog {catalog} is empty", remedy="Restore it from a backup of the lake.")
                return {}  # a first run was killed before it had made anything
            rows = connection.execute(
                "SELECT table_name, metadata_location FROM iceberg_tables WHERE catalog_name = ? AND table_namespace = ?",
                (CATALOG_NAME, NAMESPACE),
            ).fetchall()
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise FatalError(
            f"the catalog {catalog} cannot be read: {error}", remedy="Is it a lake made by shoplake, and readable?"
        ) from error
    return {name: json.loads(_read(location)) for name, location in rows if name in BY_NAME}


def _snapshot(metadata: dict[str, Any], snapshot_id: int | None) -> dict[str, Any] | None:
    if snapshot_id is None or snapshot_id == -1:
        return None
    for snapshot in metadata.get("snapshots", []):
        if snapshot["snapshot-id"] == snapshot_id:
            return dict(snapshot)
    raise FatalError(
        f"snapshot {snapshot_id} of {metadata['location']} is gone",
        remedy="Something outside shoplake expired it; restore the table's metadata, or ingest into a new lake.",
    )


def _read(location: str) -> bytes:
    try:
        return Path(local_path(location)).read_bytes()
    except OSError as error:
        raise FatalError(
            f"{location} cannot be read: {error.strerror}", remedy="Was the lake moved or partly deleted?"
        ) from error


def _read_avro(location: str) -> list[Any]:
    try:
        with Path(local_path(location)).open("rb") as stream:
            return list(fastavro.reader(stream))
    except OSError as error:
        raise FatalError(
            f"{location} cannot be read: {error.strerror}", remedy="Was the lake moved or partly deleted?"
        ) from error


def local_path(location: str) -> str:
    """A location of the table format as a path of this machine."""
    return location.removeprefix("file://")


def _data_file(entry: dict[str, Any], names: dict[int, tuple[str, Any]]) -> DataFile:
    return DataFile(
        local_path(entry["file_path"]),
        entry["record_count"],
        entry["file_size_in_bytes"],
        _bounds(entry["lower_bounds"], names),
        _bounds(entry["upper_bounds"], names),
    )


def _bounds(bounds: list[dict[str, Any]] | None, names: dict[int, tuple[str, Any]]) -> dict[str, Any]:
    values = {}
    for bound in bounds or []:
        name, kind = names.get(bound["key"], (None, None))
        if name is not None and kind in _DECODERS:
            values[name] = _DECODERS[kind](bound["value"])
    return values


def _timestamp(value: bytes) -> datetime:
    return _EPOCH + timedelta(microseconds=struct.unpack("<q", value)[0])


def _date(value: bytes) -> date:
    return (_EPOCH + timedelta(days=struct.unpack("<i", value)[0])).date()


_DECODERS: dict[str, Callable[[bytes], Any]] = {
    "timestamp": _timestamp,
    "date": _date,
    "string": lambda value: value.decode("utf-8", "replace"),
}
