"""How values and tables are shown to people."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from shoplake.cli import table
from shoplake.text import count


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.00001, "1e-05"),
        (0.00015, "0.00015"),
        (-0.00001, "-1e-05"),
        (0.0, "0.0000"),
        (0.2758, "0.2758"),
        (1e22, "1e+22"),
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        (Decimal("0.00001"), "0.00001"),
        (datetime(1, 1, 1, 5, tzinfo=UTC), "0001-01-01 05:00Z"),
        (None, "-"),
        (True, "true"),
        (1234567, "1,234,567"),
    ],
)
def test_values(value: Any, text: str) -> None:
    """No number is shown as another one."""
    assert table.cell(value) == text


def test_ids_and_times_stay_on_one_line() -> None:
    """At 80 columns headers are folded first, then long texts; ids and times never."""
    columns = ("last batches", "when", "files", "lines", "quarantined", "engine", "seconds of work")
    rows = [
        (
            "159ecc2a0c27",
            datetime(2026, 11, 27, 4, 0, 4, tzinfo=UTC).replace(tzinfo=None),
            12,
            7_762_239,
            1_234_567,
            "duckdb",
            "19.30",
        )
    ]
    lines = list(table.lines(columns, rows, 80))
    assert max(map(len, lines)) <= 80
    assert [line for line in lines if "159ecc2a0c27" in line and "2026-11-27 04:00:04" in line and "19.30" in line]
    long = list(table.lines(("id", "text"), [("159ecc2a0c27", "several words " * 20)], 60))
    assert max(map(len, long)) <= 60
    assert " ".join(" ".join(long[2:]).split()) == "159ecc2a0c27 " + ("several words " * 20).strip()


def test_wide_characters_are_measured() -> None:
    """What takes two columns of a terminal counts as two."""
    first, _, *rows = table.lines(("a", "b"), [("商品", "x"), ("abcd", "y")], None)
    assert first == " a      b"
    assert rows == [" 商品   x", " abcd   y"]


def test_a_later_value_that_is_wider() -> None:
    """It moves the rest of its own row alone, and is not cut."""
    rows = [("a", 1)] * 1000 + [("b" * 50, 2)]
    assert list(table.lines(("text", "n"), rows))[-1].split() == ["b" * 50, "2"]


def test_one_and_many() -> None:
    """One of a thing is one thing."""
    assert [count(number, "line") for number in (0, 1, 2)] == ["0 lines", "1 line", "2 lines"]
