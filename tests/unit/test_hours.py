"""Hours: which ones a span of time touches."""

from __future__ import annotations

from datetime import datetime

import pytest

from shoplake.lake.hours import hours_between


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        ("14:00", "14:00", ["14:00"]),
        ("14:59:59.999999", "15:00", ["14:00", "15:00"]),
        ("14:30", "16:10", ["14:00", "15:00", "16:00"]),
        ("14:30", "14:40", ["14:00"]),
    ],
)
def test_a_span_touches_every_hour_from_its_first_to_its_last(first: str, last: str, expected: list[str]) -> None:
    def at(time: str) -> datetime:
        return datetime.fromisoformat(f"2025-11-18T{time}")

    assert hours_between(at(first), at(last)) == [at(hour) for hour in expected]
