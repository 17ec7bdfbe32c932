"""Manifests and manifest lists of Apache Iceberg v2: the Avro files that name a snapshot's data files.

Only what shoplake's tables need of them: one partition field, no row-level deletes. A file's bounds are kept of the two
columns that it is looked up by, so that the manifests of a month stay quick to read. Of the optional figures there are the
sizes of columns, without which PyIceberg's ``inspect.entries()`` fails; they cost 7 microseconds a file. Counts of values
would cost as much again, and say no more than the number of rows.
"""

from __future__ import annotations

import io
import json
import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any, NotRequired, TypedDict, cast

import fastavro

from shoplake.errors import FatalError
from shoplake.lake.manifest_schemas import LIST_SCHEMA, manifest_schema
from shoplake.lake.metadata import TableMetadata, partition_name, partition_value
from shoplake.lake.types import EPOCH, encode_bound
from shoplake.tables import Table

EXISTING, ADDED, DELETED = 0, 1, 2
"""The status of an entry; see https://iceberg.apache.org/spec/#manifest-entry-fields."""
DATA = 0
"""The content of a manifest or a file that holds rows rather than row-level deletes."""


class Bound(TypedDict):
    """The smallest or largest value of a column in a file.

    See https://iceberg.apache.org/spec/#binary-single-value-serialization.
    """

    key: int
    value: bytes


class ColumnSize(TypedDict):
    """The bytes of a column in a file, compressed; by the id of its field, for a list that of its elements."""

    key: int
    value: int


class DataFileFields(TypedDict):
    """A data file in a manifest; see https://iceberg.apache.org/spec/#data-file-fields."""

    content: int
    file_path: str
    file_format: str
    partition: dict[str, int | date]
    record_count: int
    file_size_in_bytes: int
    column_sizes: list[ColumnSize] | None
    lower_bounds: list[Bound] | None
    upper_bounds: list[Bound] | None


class ManifestEntry(TypedDict):
    """A data file with what became of it; see https://iceberg.apache.org/spec/#manifest-entry-fields."""

    status: int
    snapshot_id: int | None
    sequence_number: int | None
    file_sequence_number: int | None
    data_file: DataFileFields


class PartitionSummary(TypedDict):
    """The partitions of a manifest's files; see ``field_summary`` in https://iceberg.apache.org/spec/#manifest-lists."""

    contains_null: bool
    contains_nan: bool | None
    lower_bound: bytes | None
    upper_bound: bytes | None


class ManifestFile(TypedDict):
    """A manifest in a manifest list; see https://iceberg.apache.org/spec/#manifest-lists."""

    manifest_path: str
    manifest_length: int
    partition_spec_id: int
    content: int
    sequence_number: int
    min_sequence_number: int
    added_snapshot_id: int
    added_files_count: int
    existing_files_count: int
    deleted_files_count: int
    added_rows_count: int
    existing_rows_count: int
    deleted_rows_count: int
    partitions: NotRequired[list[PartitionSummary] | None]


# -------------------------------------------------------------------------------------------------------------- reading


def read_manifest(content: bytes, location: str = "a manifest") -> list[ManifestEntry]:
    """The entries of a manifest.

    Raises:
        FatalError: It is damaged.
    """
    return cast("list[ManifestEntry]", _read_avro(content, location, ManifestEntry.__required_keys__))


def read_manifest_list(content: bytes, location: str = "a manifest list") -> list[ManifestFile]:
    """The manifests of a snapshot.

    Raises:
        FatalError: It is damaged.
    """
    return cast("list[ManifestFile]", _read_avro(content, location, ManifestFile.__required_keys__))


def _read_avro(content: bytes, location: str, keys: frozenset[str]) -> list[dict[str, Any]]:
    """The records of an Avro file, each with these keys."""
    try:
        records: list[Any] = list(fastavro.reader(io.BytesIO(content)))
    except _NOT_AVRO as error:
        raise _damaged(location, str(error) or type(error).__name__) from error
    if not all(isinstance(record, dict) and keys <= record.keys() for record in records):
        raise _damaged(location, "its records are of another kind")
    return records


def _damaged(location: str, why: str) -> FatalError:
    return FatalError(f"{location} is damaged: {why}", remedy="Restore it from a backup of the lake.")


# What decoding bytes that are not Avro, or are cut, raises, wherever in them it happens.
_NOT_AVRO = (
    ValueError,
    EOFError,
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
    ArithmeticError,
    MemoryError,
    RecursionError,
    StopIteration,
    RuntimeError,
    zlib.error,
    struct.error,
)


def carry_over(manifest: ManifestFile, entries: Iterable[ManifestEntry]) -> list[ManifestEntry]:
    """The live entries of a manifest as another manifest carries them on: existing, with nothing left to inherit.

    See https://iceberg.apache.org/spec/#sequence-number-inheritance.
    """
    carried = []
    for entry in entries:
        if entry["status"] == DELETED:
            continue
        if entry["sequence_number"] is None:
            entry["sequence_number"] = manifest["sequence_number"]
        if entry["file_sequence_number"] is None:
            entry["file_sequence_number"] = manifest["sequence_number"]
        if entry["snapshot_id"] is None:
            entry["snapshot_id"] = manifest["added_snapshot_id"]
        entry["status"] = EXISTING
        carried.append(entry)
    return carried


def live_files(manifest: ManifestFile) -> int:
    """How many live data files a manifest names."""
    return manifest["added_files_count"] + manifest["existing_files_count"]


def partition_range(manifest: ManifestFile) -> tuple[int, int] | None:
    """The smallest and the largest partition of a manifest's files, None where it does not say."""
    for summary in manifest.get("partitions") or ():
        low, high = summary["lower_bound"], summary["upper_bound"]
        return None if low is None or high is None else (struct.unpack("<i", low)[0], struct.unpack("<i", high)[0])
    return None


# -------------------------------------------------------------------------------------------------------------- writing


def new_entry(snapshot_id: int, data_file: DataFileFields) -> ManifestEntry:
    """The entry of a file that a snapshot adds; it inherits its sequence numbers from the manifest."""
    return {
        "status": ADDED,
        "snapshot_id": snapshot_id,
        "sequence_number": None,
        "file_sequence_number": None,
        "data_file": data_file,
    }


def data_file(
    table: Table,
    path: str,
    rows: int,
    size: int,
    bounds: Mapping[str, tuple[Any, Any]],
    column_sizes: Mapping[int, int],
) -> DataFileFields:
    """What a manifest says of a new data file.

    Args:
        table: The table.
        path: Where it is.
        rows: Its rows.
        size: Its bytes.
        bounds: Smallest and largest value of the table's key and of its partitioned column, by name.
        column_sizes: The bytes of its columns, by field id.
    """
    column, transform = table.partition
    value: int | date = partition_value(table, bounds[column][0])
    if (
        transform == "day"
    ):  # day transforms have dates as results: https://iceberg.apache.org/spec/#partition-transforms
        value = EPOCH.date() + timedelta(days=cast("int", value))
    numbered = enumerate(table.columns, 1)
    columns = [(field_id, each, bounds[each.name]) for field_id, each in numbered if each.name in bounds]
    return {
        "content": DATA,
        "file_path": path,
        "file_format": "PARQUET",
        "partition": {partition_name(table): value},
        "record_count": rows,
        "file_size_in_bytes": size,
        "column_sizes": [ColumnSize(key=key, value=value) for key, value in column_sizes.items()],
        "lower_bounds": [Bound(key=key, value=encode_bound(each.type, low)) for key, each, (low, _) in columns],
        "upper_bounds": [Bound(key=key, value=encode_bound(each.type, high)) for key, each, (_, high) in columns],
    }


def write_manifest(
    table: Table, metadata: TableMetadata, entries: Iterable[ManifestEntry], marker: bytes = b""
) -> bytes:
    """A manifest.

    Its header describes the table as https://iceberg.apache.org/spec/#manifests requires.

    Args:
        table: The table.
        metadata: Its document.
        entries: Its entries.
        marker: 16 bytes that separate its blocks, with which equal entries become equal bytes; random ones by default.
    """
    schema = metadata["schemas"][0]
    header = {
        "schema": json.dumps(schema),
        "schema-id": str(schema["schema-id"]),
        "partition-spec": json.dumps(metadata["partition-specs"][0]["fields"]),
        "partition-spec-id": "0",
        "format-version": "2",
        "content": "data",
    }
    return _write_avro(manifest_schema(table), entries, header, marker)


def manifest_file(
    table: Table, path: str, length: int, entries: Sequence[ManifestEntry], snapshot_id: int, sequence_number: int
) -> ManifestFile:
    """What a manifest list says of a new manifest.

    Args:
        table: The table.
        path: Where it is.
        length: Its bytes.
        entries: Its entries.
        snapshot_id: Of the commit that wrote it.
        sequence_number: Of that commit.
    """
    counts: dict[int, tuple[int, int]] = {}
    for status in (ADDED, EXISTING, DELETED):
        rows = [entry["data_file"]["record_count"] for entry in entries if entry["status"] == status]
        counts[status] = len(rows), sum(rows)
    live_numbers = [entry["sequence_number"] for entry in entries if entry["status"] != DELETED]
    partitions = [_as_number(entry["data_file"]["partition"][partition_name(table)]) for entry in entries]
    return {
        "manifest_path": path,
        "manifest_length": length,
        "partition_spec_id": 0,
        "content": DATA,
        "sequence_number": sequence_number,
        "min_sequence_number": min((number for number in live_numbers if number is not None), default=sequence_number),
        "added_snapshot_id": snapshot_id,
        "added_files_count": counts[ADDED][0],
        "existing_files_count": counts[EXISTING][0],
        "deleted_files_count": counts[DELETED][0],
        "added_rows_count": counts[ADDED][1],
        "existing_rows_count": counts[EXISTING][1],
        "deleted_rows_count": counts[DELETED][1],
        "partitions": [
            {
                "contains_null": False,
                "contains_nan": False,
                "lower_bound": struct.pack("<i", min(partitions)),
                "upper_bound": struct.pack("<i", max(partitions)),
            }
        ],
    }


def write_manifest_list(
    manifests: Iterable[ManifestFile],
    snapshot_id: int,
    parent: int | None,
    sequence_number: int,
    marker: bytes = b"",
) -> bytes:
    """The list of a snapshot's manifests.

    Args:
        manifests: The manifests.
        snapshot_id: The snapshot.
        parent: The one before it, None for the first.
        sequence_number: Of the commit that makes it.
        marker: As for :func:`write_manifest`.
    """
    header = {
        "snapshot-id": str(snapshot_id),
        "parent-snapshot-id": "null" if parent is None else str(parent),
        "sequence-number": str(sequence_number),
        "format-version": "2",
    }
    return _write_avro(LIST_SCHEMA, manifests, header, marker)


def _write_avro(schema: Any, records: Iterable[Any], header: dict[str, str], marker: bytes) -> bytes:
    stream = io.BytesIO()
    fastavro.writer(stream, schema, records, codec="deflate", metadata=header, sync_marker=marker)
    return stream.getvalue()


def _as_number(partition: int | date) -> int:
    return (partition - EPOCH.date()).days if isinstance(partition, date) else partition
