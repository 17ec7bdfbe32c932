"""Holds the answers of the contenders against each other: a contender that is fast and wrong fails the run."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

Answers = dict[str, tuple[list[str], list[list[Any]]]]


class DisagreementError(Exception):
    """Two contenders do not answer the same."""


def read(path: Path) -> Answers:
    """A contender's answers by question, their values brought to one form."""
    document = json.loads(path.read_text("utf-8"))
    return {a["name"]: (a["columns"], [[_value(value) for value in row] for row in a["rows"]]) for a in document}


def check(answers: Mapping[str, Answers], events: int) -> dict[str, Any]:
    """Compare every value of every row, and the number of events with what was generated.

    Args:
        answers: By contender.
        events: Generated events; there are no duplicates among them.

    Returns:
        Rows of each question and the totals, which all contenders share.

    Raises:
        DisagreementError: Something differs; the message says what.
    """
    first, *others = answers
    for other in others:
        if answers[other].keys() != answers[first].keys():
            raise DisagreementError(f"{other} answers {list(answers[other])}, {first} {list(answers[first])}")
        for question in answers[first]:
            _compare(question, first, answers[first][question], other, answers[other][question])
    totals = _totals(answers[first])
    if totals["events"] != events:
        raise DisagreementError(f"{first} counts {totals['events']} events, {events} were generated")
    return totals


def _compare(
    question: str, first: str, wanted: tuple[list[str], list[list[Any]]], other: str, got: tuple[list[str], list[Any]]
) -> None:
    if wanted[0] != got[0]:
        raise DisagreementError(f"{question}: {first} has columns {wanted[0]}, {other} {got[0]}")
    if len(wanted[1]) != len(got[1]):
        raise DisagreementError(f"{question}: {first} has {len(wanted[1])} rows, {other} {len(got[1])}")
    for number, (left, right) in enumerate(zip(wanted[1], got[1], strict=True), 1):
        if not all(map(_same, left, right)):
            raise DisagreementError(f"{question}, row {number}: {first} has {left}, {other} {right}")


def _totals(answers: Answers) -> dict[str, Any]:
    def total(question: str, column: str) -> str | int:
        columns, rows = answers[question]
        summed = sum(row[columns.index(column)] for row in rows)
        return str(summed) if summed % 1 else int(summed)

    return {
        "rows": {question: len(rows) for question, (_, rows) in answers.items()},
        "events": total("user_activity", "events"),
        "views": total("conversion_funnel", "views"),
        "revenue": total("hourly_revenue", "revenue"),
        "unique_users": total("user_activity", "unique_users"),
        "unique_sessions": total("user_activity", "unique_sessions"),
    }


def _value(value: Any) -> Any:
    """Numbers as Decimal whatever carried them, times as ISO 8601 in UTC without a zone, text as it is."""
    if isinstance(value, int | float):
        return Decimal(str(value))
    if not isinstance(value, str):
        return value
    try:
        return Decimal(value)
    except InvalidOperation:
        pass
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return value
    return (moment.astimezone(UTC) if moment.tzinfo else moment).replace(tzinfo=None).isoformat()


def _same(left: Any, right: Any) -> bool:
    if isinstance(left, Decimal) and isinstance(right, Decimal):
        # Counts and money are exact; only rates (doubles) may differ in their last digits.
        return left == right or (abs(left) < 100 and left % 1 != 0 and math.isclose(left, right, rel_tol=1e-12))
    return bool(left == right)
