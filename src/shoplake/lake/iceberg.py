"""The table format, Apache Iceberg v2: its metadata documents, manifests and manifest lists as bytes.

Only what shoplake's tables need of it: one partition field, no row-level deletes, no schema changes yet. PyIceberg, Spark
and Trino read what is written here (docs/adr/0008-one-swap-commits-a-batch.md says why no library writes it).
"""

from __future__ import annotations

import io
import json
import struct
import uuid
from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from typing import Any

import fastavro

from shoplake.lake.types import EPOCH, LIST_OF_STRINGS, column_type, encode_bound
from shoplake.tables import Table

ADDED, EXISTING, DELETED = 1, 0, 2
_HOUR = timedelta(hours=1)
_FOLDERS = {"hour": "%Y-%m-%d-%H", "day": "%Y-%m-%d", "month": "%Y-%m"}
PARTITION_FIELD_ID = 1000

Record = dict[str, Any]


# ------------------------------------------------------------------------------------------------------------- metadata


def new_table(table: Table, location: str) -> Record:
    """The metadata document of a table that has no snapshot yet."""
    column, transform = table.partition
    source_id = 1 + table.column_names.index(column)
    return {
        "format-version": 2,
        "table-uuid": str(uuid.uuid4()),
        "location": location,
        "last-sequence-number": 0,
        "last-updated-ms": 0,
        "last-column-id": len(table.columns) + sum(column.type == LIST_OF_STRINGS for column in table.columns),
        "current-schema-id": 0,
        "schemas": [_schema(table)],
        "default-spec-id": 0,
        "partition-specs": [{"spec-id": 0, "fields": [_partition_field(table, source_id, transform)]}],
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


def _schema(table: Table) -> Record:
    nested = len(table.columns)
    fields = []
    for field_id, column in enumerate(table.columns, 1):
        kind: Any = column_type(column.type).iceberg
        if column.type == LIST_OF_STRINGS:
            nested += 1
            kind = {"type": "list", "element-id": nested, "element": kind, "element-required": False}
        fields.append({"id": field_id, "name": column.name, "required": False, "type": kind, "doc": column.doc})
    return {"type": "struct", "schema-id": 0, "fields": fields}


def _partition_field(table: Table, source_id: int, transform: str) -> Record:
    return {
        "source-id": source_id,
        "field-id": PARTITION_FIELD_ID,
        "name": partition_name(table),
        "transform": transform,
    }


# ----------------------------------------------------------------------------------------------------------- partitions


def partition_name(table: Table) -> str:
    """The name of a table's partition field."""
    return "_".join(table.partition)


def partition_value(table: Table, value: date) -> int:
    """The partition that a value of the partitioned column lies in: hours, days or months since 1970."""
    transform = table.partition[1]
    if transform == "month":
        return 12 * (value.year - EPOCH.year) + value.month - 1
    moment = value if isinstance(value, datetime) else datetime(value.year, value.month, value.day)  # noqa: DTZ001 - UTC
    return (moment - EPOCH) // (_HOUR if transform == "hour" else timedelta(days=1))


def partition_folder(table: Table, value: date) -> str:
    """The folder of the partition that a value lies in, as the table format names it."""
    return f"{partition_name(table)}={value:{_FOLDERS[table.partition[1]]}}"


# ------------------------------------------------------------------------------------------------------------ manifests


def _field(field_id: int, name: str, kind: Any, **more: Any) -> Record:
    return {"field-id": field_id, "name": name, "type": kind} | more


def _optional(field_id: int, name: str, kind: Any) -> Record:
    return _field(field_id, name, ["null", kind], default=None)


def _map(key_id: int, value_id: int, value: str) -> Record:
    pair = {"type": "record", "name": f"k{key_id}_v{value_id}"}
    fields = [_field(key_id, "key", "int"), _field(value_id, "value", value)]
    return {"type": "array", "logicalType": "map", "items": {**pair, "fields": fields}}


def _manifest_schema(table: Table) -> Any:
    kind: Any = {"type": "int", "logicalType": "date"} if table.partition[1] == "day" else "int"
    partition = [_optional(PARTITION_FIELD_ID, partition_name(table), kind)]
    data_file = [
        _field(134, "content", "int"),
        _field(100, "file_path", "string"),
        _field(101, "file_format", "string"),
        _field(102, "partition", {"type": "record", "name": "r102", "fields": partition}),
        _field(103, "record_count", "long"),
        _field(104, "file_size_in_bytes", "long"),
        _optional(108, "column_sizes", _map(117, 118, "long")),
        _optional(109, "value_counts", _map(119, 120, "long")),
        _optional(110, "null_value_counts", _map(121, 122, "long")),
        _optional(137, "nan_value_counts", _map(138, 139, "long")),
        _optional(125, "lower_bounds", _map(126, 127, "bytes")),
        _optional(128, "upper_bounds", _map(129, 130, "bytes")),
        _optional(131, "key_metadata", "bytes"),
        _optional(132, "split_offsets", {"type": "array", "items": "long", "element-id": 133}),
        _optional(135, "equality_ids", {"type": "array", "items": "int", "element-id": 136}),
        _optional(140, "sort_order_id", "int"),
    ]
    fields = [
        _field(0, "status", "int"),
        _optional(1, "snapshot_id", "long"),
        _optional(3, "sequence_number", "long"),
        _optional(4, "file_sequence_number", "long"),
        _field(2, "data_file", {"type": "record", "name": "r2", "fields": data_file}),
    ]
    return fastavro.parse_schema({"type": "record", "name": "manifest_entry", "fields": fields})


_SUMMARY = {
    "type": "record",
    "name": "r508",
    "fields": [
        _field(509, "contains_null", "boolean"),
        _optional(518, "contains_nan", "boolean"),
        _optional(510, "lower_bound", "bytes"),
        _optional(511, "upper_bound", "bytes"),
    ],
}
_LIST_SCHEMA = fastavro.parse_schema(
    {
        "type": "record",
        "name": "manifest_file",
        "fields": [
            _field(500, "manifest_path", "string"),
            _field(501, "manifest_length", "long"),
            _field(502, "partition_spec_id", "int"),
            _field(517, "content", "int"),
            _field(515, "sequence_number", "long"),
            _field(516, "min_sequence_number", "long"),
            _field(503, "added_snapshot_id", "long"),
            _field(504, "added_files_count", "int"),
            _field(505, "existing_files_count", "int"),
            _field(506, "deleted_files_count", "int"),
            _field(512, "added_rows_count", "long"),
            _field(513, "existing_rows_count", "long"),
            _field(514, "deleted_rows_count", "long"),
            _optional(507, "partitions", {"type": "array", "items": _SUMMARY, "element-id": 508}),
            _optional(519, "key_metadata", "bytes"),
        ],
    }
)


def read_avro(content: bytes) -> list[Any]:
    """The records of a manifest or a manifest list."""
    return list(fastavro.reader(io.BytesIO(content)))


def write_manifest(table: Table, metadata: Mapping[str, Any], entries: Iterable[Record]) -> bytes:
    """A manifest."""
    schema = metadata["schemas"][0]
    about = {
        "schema": json.dumps(schema),
        "schema-id": str(schema["schema-id"]),
        "partition-spec": json.dumps(metadata["partition-specs"][0]["fields"]),
        "partition-spec-id": "0",
        "format-version": "2",
        "content": "data",
    }
    return _write_avro(_manifest_schema(table), entries, about)


def write_manifest_list(
    manifests: Iterable[Record], snapshot_id: int, parent: int | None, sequence_number: int
) -> bytes:
    """The list of a snapshot's manifests."""
    about = {
        "snapshot-id": str(snapshot_id),
        "parent-snapshot-id": "null" if parent is None else str(parent),
        "sequence-number": str(sequence_number),
        "format-version": "2",
    }
    return _write_avro(_LIST_SCHEMA, manifests, about)


def _write_avro(schema: Any, records: Iterable[Record], about: dict[str, str]) -> bytes:
    stream = io.BytesIO()
    fastavro.writer(stream, schema, records, codec="deflate", metadata=about)
    return stream.getvalue()


def data_file(table: Table, path: str, rows: int, size: int, bounds: Mapping[str, tuple[Any, Any]]) -> Record:
    """A manifest's record of a new data file.

    Args:
        table: The table.
        path: Where it is.
        rows: Its rows.
        size: Its bytes.
        bounds: Smallest and largest value of the table's key and of its partitioned column, by name. No others: manifests
            of a month stay quick to read.
    """
    column, transform = table.partition
    value: Any = partition_value(table, bounds[column][0])
    ids = {name: 1 + table.column_names.index(name) for name in bounds}
    kinds = {entry.name: entry.type for entry in table.columns}

    def ends(which: int) -> list[Record]:
        return [
            {"key": ids[name], "value": encode_bound(kinds[name], both[which])}
            for name, both in sorted(bounds.items(), key=lambda item: ids[item[0]])
        ]

    return {
        "content": 0,
        "file_path": path,
        "file_format": "PARQUET",
        "partition": {partition_name(table): EPOCH.date() + timedelta(days=value) if transform == "day" else value},
        "record_count": rows,
        "file_size_in_bytes": size,
        "lower_bounds": ends(0),
        "upper_bounds": ends(1),
    }


def manifest_file(table: Table, path: str, length: int, entries: Iterable[Record], **of: int) -> Record:
    """A manifest list's record of a new manifest.

    Args:
        table: The table.
        path: Where it is.
        length: Its bytes.
        entries: Its entries.
        of: ``snapshot_id`` and ``sequence_number`` of the commit that wrote it.
    """
    entries = list(entries)
    figures: dict[str, int] = {}
    for name, status in (("added", ADDED), ("existing", EXISTING), ("deleted", DELETED)):
        rows = [entry["data_file"]["record_count"] for entry in entries if entry["status"] == status]
        figures |= {f"{name}_files_count": len(rows), f"{name}_rows_count": sum(rows)}
    partitions = [_as_number(entry["data_file"]["partition"][partition_name(table)]) for entry in entries]
    return {
        "manifest_path": path,
        "manifest_length": length,
        "partition_spec_id": 0,
        "content": 0,
        "sequence_number": of["sequence_number"],
        "min_sequence_number": min(
            (
                entry["sequence_number"]
                for entry in entries
                if entry["sequence_number"] is not None and entry["status"] != DELETED
            ),
            default=of["sequence_number"],
        ),
        "added_snapshot_id": of["snapshot_id"],
        **figures,
        "partitions": [
            {
                "contains_null": False,
                "contains_nan": False,
                "lower_bound": struct.pack("<i", min(partitions)),
                "upper_bound": struct.pack("<i", max(partitions)),
            }
        ],
    }


def manifest_range(manifest: Record) -> tuple[int, int] | None:
    """The smallest and the largest partition of a manifest's files, None where it does not say."""
    summary = (manifest.get("partitions") or [{}])[0]
    low, high = summary.get("lower_bound"), summary.get("upper_bound")
    return None if low is None or high is None else (struct.unpack("<i", low)[0], struct.unpack("<i", high)[0])


def _as_number(partition: Any) -> int:
    return (partition - EPOCH.date()).days if isinstance(partition, date) else int(partition)
