"""Column types: every system's name for one means the same type."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from pyiceberg.conversions import to_bytes
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.schema import Schema
from pyiceberg.types import DateType, StringType, TimestampType

from shoplake.lake.types import LIST_OF_STRINGS, column_type, decode_bound, encode_bound
from shoplake.tables import TABLES

NAMES = sorted({column.type for table in TABLES for column in table.columns})
PRIMITIVES = [name for name in NAMES if name != LIST_OF_STRINGS]


@pytest.mark.parametrize("name", NAMES)
def test_duckdb_gives_a_column_its_arrow_type(name: str) -> None:
    with duckdb.connect() as connection:
        made = connection.sql(f"SELECT CAST(NULL AS {column_type(name).duckdb}) AS x").to_arrow_table()
    assert made.schema.field("x").type == column_type(name).arrow


@pytest.mark.parametrize("name", PRIMITIVES)
def test_pyiceberg_gives_a_column_its_arrow_type(name: str) -> None:
    field = {"id": 1, "name": "x", "required": False, "type": column_type(name).iceberg}
    made = schema_to_pyarrow(Schema.model_validate({"fields": [field]})).field("x").type
    assert (pa.string() if made == pa.large_string() else made) == column_type(name).arrow


@pytest.mark.parametrize(
    ("name", "value", "type_"),
    [
        ("string", "naïve", StringType()),
        ("date", date(1969, 12, 31), DateType()),
        ("timestamp", datetime.fromisoformat("2025-11-18T14:00:00.411003"), TimestampType()),
    ],
)
def test_bounds_are_encoded_as_pyiceberg_encodes_them(name: str, value: Any, type_: Any) -> None:
    assert encode_bound(name, value) == to_bytes(type_, value)
    assert decode_bound(name, encode_bound(name, value)) == value
