"""The Avro schemas of manifests and manifest lists, as Apache Iceberg v2 numbers their fields."""

from __future__ import annotations

from typing import Any

import fastavro

from shoplake.lake.metadata import PARTITION_FIELD_ID, partition_name
from shoplake.tables import Table


def _field(field_id: int, name: str, kind: Any, **more: Any) -> dict[str, Any]:
    return {"field-id": field_id, "name": name, "type": kind} | more


def _optional(field_id: int, name: str, kind: Any) -> dict[str, Any]:
    return _field(field_id, name, ["null", kind], default=None)


def _map(key_id: int, value_id: int, value: str) -> dict[str, Any]:
    """A map whose keys are no strings is an array of pairs: https://iceberg.apache.org/spec/#avro."""
    pair = {"type": "record", "name": f"k{key_id}_v{value_id}"}
    fields = [_field(key_id, "key", "int"), _field(value_id, "value", value)]
    return {"type": "array", "logicalType": "map", "items": {**pair, "fields": fields}}


def manifest_schema(table: Table) -> Any:
    """The schema of a table's manifests, as https://iceberg.apache.org/spec/#manifest-entry-fields numbers the fields."""
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
# As https://iceberg.apache.org/spec/#manifest-lists numbers the fields.
LIST_SCHEMA = fastavro.parse_schema(
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
