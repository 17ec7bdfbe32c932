"""What DuckDB does otherwise than the contract says, with the examples of docs/engine-quirks.md.

What shoplake makes of such lines is tested in test_contract.py. If one of these fails with a new DuckDB, a workaround may go.
"""

from datetime import datetime

import duckdb
import pytest

HIDDEN_HOUR, NEXT_DAY = datetime(2025, 11, 18, 4, 23, 45, 123000), datetime(2025, 11, 19)  # noqa: DTZ001 - UTC


@pytest.fixture
def database():
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        yield connection


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("CAST('2025-11-19T17:44:54+02:00' AS TIMESTAMP)", datetime(2025, 11, 19, 17, 44, 54)),  # noqa: DTZ001
        ("TRY_CAST('2.5' AS INTEGER)", 3),
        ("make_timestamp(epoch_us(TRY_CAST('2025-11-18T 4:23:45.123Z' AS TIMESTAMPTZ)))", HIDDEN_HOUR),
        ("make_timestamp(epoch_us(TRY_CAST('2025-11-18T24:00:00Z' AS TIMESTAMPTZ)))", NEXT_DAY),
        *((f"CAST(TRY_CAST('{text}' AS DECIMAL(12,2)) AS INTEGER)", 1) for text in ("+1", " 1", "1.")),
        ("CAST(TRY_CAST('1_0' AS DECIMAL(12,2)) AS INTEGER)", 10),
        ("CAST(TRY_CAST('.5' AS DECIMAL(12,2)) AS VARCHAR)", "0.50"),
        ("TRY_CAST('123456789012e-2' AS DECIMAL(12,2))", None),
    ],
)
def test_casts(database, expression, value):
    assert database.sql(f"SELECT {expression}").fetchall() == [(value,)]


@pytest.mark.parametrize(
    ("expression", "error"),
    [
        ("CAST(2147483647 AS INTEGER) * CAST(9999999999.99 AS DECIMAL(12,2))", duckdb.OutOfRangeException),
        ("regexp_like('a', 'a')", duckdb.CatalogException),
        ("xxhash64('a')", duckdb.CatalogException),
    ],
)
def test_failures(database, expression, error):
    with pytest.raises(error):
        database.sql(f"SELECT {expression}").fetchall()


def lists(depth):
    return b'{"a": ' + b"[" * depth + b"]" * depth + b"}\n"


@pytest.mark.parametrize(
    ("content", "values"),
    [
        (b'{"a": "1"}\n{\n\n{"a": "2"}\n', ["1", None, "2"]),
        (b"{", []),
        (b"{\n", [None]),
        (b'{"a": 12345678901234567890.123}\n{"a": 1.50}\n', ["1.2345678901234567e+19", "1.5"]),
        (b'{"a": "u",}\n', ["u"]),
        (b'{"a": NaN}\n', ["NaN"]),
        (b'\x0b{"a": "u"}\x0c\n', ["u"]),
        (lists(127), ["[" * 127 + "]" * 127]),
    ],
)
def test_json(database, tmp_path, content, values):
    assert [value for (value,) in read(database, tmp_path, content)] == values


def test_deep_json(database, tmp_path):
    with pytest.raises(duckdb.InvalidInputException, match="depth"):
        read(database, tmp_path, b'{"a": "1"}\n' + lists(128))


def read(database, folder, content):
    (folder / "lines").write_bytes(content)
    return database.sql(
        f"SELECT a FROM read_json('{folder / 'lines'}', format = 'newline_delimited', ignore_errors = true,"
        " columns = {a: 'VARCHAR'})"
    ).fetchall()
