"""Table metadata of Apache Iceberg v2: the JSON document that describes a table with its snapshots.

Only what shoplake's tables need of it: one partition field, no row-level deletes, no schema changes. PyIceberg, Spark and
Trino read what is written here (docs/adr/0017-the-commit-is-our-own.md says why no library writes it).
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any, NotRequired, TypedDict

from shoplake.lake.types import EPOCH, LIST_OF_STRINGS, column_type
from shoplake.tables import Column, Table

SNAPSHOTS_KEPT = 100
METADATA_KEPT = 10
REPLACE = "replace"
"""The operation of a snapshot that stores the rows of its parent otherwise."""

PARTITION_FIELD_ID = 1000  # partition fields count from here, so that their ids never meet those of columns
STATE = "shoplake.state"
"""A table property: the state of the lake that a document was written for, from which a lost catalog can be rebuilt."""

DOCUMENT = ".metadata.json"
"""How the name of a document ends."""

_HISTORY = "shoplake.history"  # a table property; a new value each time that the history is expired
_FOLDERS = {"hour": "%Y-%m-%d-%H", "day": "%Y-%m-%d", "month": "%Y-%m"}

Snapshot = TypedDict(
    "Snapshot",
    {
        "snapshot-id": int,
        "sequence-number": int,
        "timestamp-ms": int,
        "manifest-list": str,
        "summary": dict[str, str],
        "schema-id": int,
        "parent-snapshot-id": NotRequired[int],
    },
)
"""See https://iceberg.apache.org/spec/#snapshots."""

SnapshotLogEntry = TypedDict("SnapshotLogEntry", {"snapshot-id": int, "timestamp-ms": int})
"""When a snapshot became the current one; see ``snapshot-log`` in https://iceberg.apache.org/spec/#table-metadata-fields."""

MetadataLogEntry = TypedDict("MetadataLogEntry", {"metadata-file": str, "timestamp-ms": int})
"""An earlier document; see ``metadata-log`` in https://iceberg.apache.org/spec/#table-metadata-fields."""

SnapshotRef = TypedDict("SnapshotRef", {"snapshot-id": int, "type": str})
"""See https://iceberg.apache.org/spec/#snapshot-references."""


class SchemaField(TypedDict):
    """A column; see https://iceberg.apache.org/spec/#schemas."""

    id: int
    name: str
    required: bool
    type: Any
    doc: str


Schema = TypedDict("Schema", {"type": str, "schema-id": int, "fields": list[SchemaField]})
"""See https://iceberg.apache.org/spec/#schemas."""

PartitionField = TypedDict("PartitionField", {"source-id": int, "field-id": int, "name": str, "transform": str})
"""See https://iceberg.apache.org/spec/#partition-specs."""

PartitionSpec = TypedDict("PartitionSpec", {"spec-id": int, "fields": list[PartitionField]})
"""See https://iceberg.apache.org/spec/#partition-specs."""

TableMetadata = TypedDict(
    "TableMetadata",
    {
        "format-version": int,
        "table-uuid": str,
        "location": str,
        "last-sequence-number": int,
        "last-updated-ms": int,
        "last-column-id": int,
        "current-schema-id": int,
        "schemas": list[Schema],
        "default-spec-id": int,
        "partition-specs": list[PartitionSpec],
        "last-partition-id": int,
        "default-sort-order-id": int,
        "sort-orders": list[dict[str, Any]],
        "properties": dict[str, str],
        "current-snapshot-id": int,
        "refs": dict[str, SnapshotRef],
        "snapshots": list[Snapshot],
        "snapshot-log": list[SnapshotLogEntry],
        "metadata-log": list[MetadataLogEntry],
        "statistics": list[Any],
        "partition-statistics": list[Any],
    },
)
"""See https://iceberg.apache.org/spec/#table-metadata-fields."""


def new_table(table: Table, location: str) -> TableMetadata:
    """The metadata of a table that has no snapshot yet.

    Its current snapshot is -1: https://iceberg.apache.org/spec/#assignment-of-snapshot-ids-and-current-snapshot-id.

    Args:
        table: Its declaration.
        location: The folder of its files.
    """
    column, transform = table.partition
    fields = list(numbered_columns(table))
    partition_field: PartitionField = {
        "source-id": 1 + table.column_names.index(column),
        "field-id": PARTITION_FIELD_ID,
        "name": partition_name(table),
        "transform": transform,
    }
    return {
        "format-version": 2,
        "table-uuid": str(uuid.uuid4()),
        "location": location,
        "last-sequence-number": 0,
        "last-updated-ms": 0,
        "last-column-id": max(element_id or field_id for _, field_id, element_id in fields),
        "current-schema-id": 0,
        "schemas": [{"type": "struct", "schema-id": 0, "fields": [_schema_field(*field) for field in fields]}],
        "default-spec-id": 0,
        "partition-specs": [{"spec-id": 0, "fields": [partition_field]}],
        "last-partition-id": PARTITION_FIELD_ID,
        "default-sort-order-id": 0,
        "sort-orders": [{"order-id": 0, "fields": []}],
        "properties": {"write.parquet.compression-codec": "zstd", "comment": table.grain},
        "current-snapshot-id": -1,
        "refs": {},
        "snapshots": [],
        "snapshot-log": [],
        "metadata-log": [],
        "statistics": [],
        "partition-statistics": [],
    }


def hint_location(folder: str) -> str:
    """Where a table of a local lake names its newest document for readers that know no catalog.

    Args:
        folder: The table's own location.
    """
    return f"{folder}/metadata/version-hint.text"


def numbered_columns(table: Table) -> Iterator[tuple[Column, int, int | None]]:
    """Each column with its field id and, if it is a list, the id of its elements.

    Columns count from 1 and elements follow after the last column, as Iceberg assigns ids to a new schema: level by level
    (https://iceberg.apache.org/spec/#nested-types).
    """
    element_id = len(table.columns)
    for field_id, column in enumerate(table.columns, 1):
        is_list = column.type == LIST_OF_STRINGS
        element_id += is_list
        yield column, field_id, element_id if is_list else None


def _schema_field(column: Column, field_id: int, element_id: int | None) -> SchemaField:
    kind: Any = column_type(column.type).iceberg
    if element_id is not None:
        kind = {"type": "list", "element-id": element_id, "element": kind, "element-required": False}
    return {"id": field_id, "name": column.name, "required": False, "type": kind, "doc": column.doc}


# ------------------------------------------------------------------------------------------------------------ snapshots


def with_snapshot(metadata: TableMetadata, snapshot: Snapshot, location: str | None) -> TableMetadata:
    """The metadata with one more snapshot, which is the current one; drops the oldest snapshots and log entries.

    Of several snapshots in a row that store the same rows otherwise, only the last stays: maintenance must not push the
    batches out of the history.

    Args:
        metadata: As it was.
        snapshot: The new one.
        location: Where the document as it was is; None if it was never written.
    """
    earlier = metadata["snapshots"]
    if earlier and all(each["summary"]["operation"] == REPLACE for each in (earlier[-1], snapshot)):
        earlier = earlier[:-1]
    snapshots = [*earlier, snapshot][-SNAPSHOTS_KEPT:]
    kept = {each["snapshot-id"] for each in snapshots}
    snapshot_log = [
        *metadata["snapshot-log"],
        SnapshotLogEntry({"snapshot-id": snapshot["snapshot-id"], "timestamp-ms": snapshot["timestamp-ms"]}),
    ]
    metadata_log = metadata["metadata-log"]
    if location:
        entry: MetadataLogEntry = {"metadata-file": location, "timestamp-ms": metadata["last-updated-ms"]}
        metadata_log = [*metadata_log, entry]
    return metadata | {
        "last-sequence-number": snapshot["sequence-number"],
        "last-updated-ms": snapshot["timestamp-ms"],
        "current-snapshot-id": snapshot["snapshot-id"],
        "refs": {"main": {"snapshot-id": snapshot["snapshot-id"], "type": "branch"}},
        "snapshots": snapshots,
        "snapshot-log": [entry for entry in snapshot_log if entry["snapshot-id"] in kept],
        "metadata-log": metadata_log[-METADATA_KEPT:],
    }


def without_history(metadata: TableMetadata) -> TableMetadata:
    """The metadata with the current snapshot alone, and no earlier document; marked as expired."""
    alone = current_alone(metadata)
    return alone | {"properties": alone["properties"] | {_HISTORY: uuid.uuid4().hex}}


def current_alone(metadata: TableMetadata) -> TableMetadata:
    """The metadata with the current snapshot alone, and no earlier document."""
    current = metadata["current-snapshot-id"]
    return metadata | {
        "snapshots": [each for each in metadata["snapshots"] if each["snapshot-id"] == current],
        "snapshot-log": [entry for entry in metadata["snapshot-log"] if entry["snapshot-id"] == current],
        "metadata-log": [],
    }


def with_state(metadata: TableMetadata, state: str) -> TableMetadata:
    """The metadata with the state of the lake that it is part of, as JSON."""
    return metadata | {"properties": metadata["properties"] | {STATE: state}}


def history_id(metadata: TableMetadata | None) -> str | None:
    """Changes each time that a table's history is expired."""
    return metadata["properties"].get(_HISTORY) if metadata else None


# ----------------------------------------------------------------------------------------------------------- partitions


def partition_name(table: Table) -> str:
    """The name of a table's partition field."""
    return "_".join(table.partition)


def partition_value(table: Table, value: date) -> int:
    """The partition that a value of the partitioned column lies in: hours, days or months since 1970.

    See https://iceberg.apache.org/spec/#partition-transforms.
    """
    transform = table.partition[1]
    if transform == "month":
        return 12 * (value.year - EPOCH.year) + value.month - 1
    moment = value if isinstance(value, datetime) else datetime(value.year, value.month, value.day)  # noqa: DTZ001 - UTC
    return (moment - EPOCH) // (timedelta(hours=1) if transform == "hour" else timedelta(days=1))


def partition_folder(table: Table, value: date) -> str:
    """The folder of the partition that a value lies in, by Iceberg's convention: ``event_time_hour=2025-11-18-14``."""
    return f"{partition_name(table)}={value:{_FOLDERS[table.partition[1]]}}"
