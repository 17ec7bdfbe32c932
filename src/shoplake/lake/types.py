"""The types of columns and what each system calls them: the only place where a type is spelled out."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

EPOCH = datetime(1970, 1, 1, tzinfo=UTC).replace(tzinfo=None)
LIST_OF_STRINGS = "list<string>"
_DECIMAL = re.compile(r"decimal\((\d+),(\d+)\)")


@dataclass(frozen=True)
class ColumnType:
    """A type that a column of :mod:`shoplake.tables` declares, by its name in each system.

    Attributes:
        name: In :mod:`shoplake.tables`.
        iceberg: In a `schema <https://iceberg.apache.org/spec/#primitive-types>`__; of a list, its elements' type.
        duckdb: In DuckDB's SQL.
        spark: In Spark's SQL.
        hive: In the Glue Data Catalog and in Athena's DDL.
        trino: In Trino's SQL.
    """

    name: str
    iceberg: str
    duckdb: str
    spark: str
    hive: str
    trino: str

    @property
    def arrow(self) -> pa.DataType:
        """In Arrow, and so in Parquet."""
        import pyarrow as pa

        if self.name == LIST_OF_STRINGS:
            return pa.list_(pa.string())
        if size := _DECIMAL.fullmatch(self.name):
            return pa.decimal128(int(size[1]), int(size[2]))
        return pa.type_for_alias(_ARROW.get(self.name, self.name))


_NAMES = (
    #           Iceberg      DuckDB       Spark            Hive         Trino
    ("string", "string", "VARCHAR", "string", "string", "varchar"),
    ("int", "int", "INTEGER", "int", "int", "int"),
    ("long", "long", "BIGINT", "bigint", "bigint", "bigint"),
    ("double", "double", "DOUBLE", "double", "double", "double"),
    ("date", "date", "DATE", "date", "date", "date"),
    ("timestamp", "timestamp", "TIMESTAMP", "timestamp_ntz", "timestamp", "timestamp(6)"),
    (LIST_OF_STRINGS, "string", "VARCHAR[]", "array<string>", "array<string>", "array(varchar)"),
)
_ARROW = {"int": "int32", "long": "int64", "date": "date32", "timestamp": "timestamp[us]"}
_TYPES = {names[0]: ColumnType(*names) for names in _NAMES}


def column_type(name: str) -> ColumnType:
    """The type of that name.

    Args:
        name: As a column of :mod:`shoplake.tables` declares it, such as ``"long"`` or ``"decimal(12,2)"``.

    Raises:
        KeyError: There is no such type.
    """
    size = _DECIMAL.fullmatch(name)
    if not size:
        return _TYPES[name]
    return ColumnType(name, f"decimal({size[1]}, {size[2]})", name.upper(), name, name, name)


# --------------------------------------------------------------------------------------------------------------- bounds


def encode_bound(type_name: str, value: Any) -> bytes:
    """A value of type timestamp, date or string as a manifest stores it among a file's bounds.

    See https://iceberg.apache.org/spec/#binary-single-value-serialization.
    """
    if type_name == "timestamp":
        return struct.pack("<q", (value - EPOCH) // timedelta(microseconds=1))
    if type_name == "date":
        return struct.pack("<i", (value - EPOCH.date()).days)
    return str(value).encode()


def decode_bound(type_name: str, content: bytes) -> Any:
    """The value that :func:`encode_bound`, or another writer, stored; timestamps are naive UTC."""
    return _DECODERS[type_name](content)


def _timestamp(content: bytes) -> datetime:
    return EPOCH + timedelta(microseconds=struct.unpack("<q", content)[0])


def _date(content: bytes) -> date:
    return (EPOCH + timedelta(days=struct.unpack("<i", content)[0])).date()


_DECODERS: dict[str, Callable[[bytes], Any]] = {
    "timestamp": _timestamp,
    "date": _date,
    "string": lambda content: content.decode("utf-8", "replace"),
}
