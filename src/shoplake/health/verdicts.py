"""The words that status and doctor share: a check is one thing that was examined, its verdict says how it stands."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """How a check came out; the values are what JSON and the terminal show."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    UNKNOWN = "unknown"
    """It could not be determined from what was given."""
    ABSENT = "-"
    """Optional, and not installed or not configured."""


@dataclass(frozen=True)
class Check:
    """One thing that was examined.

    Attributes:
        name: What was examined, a stable word.
        verdict: How it came out.
        detail: What was seen, for a person.
        remedy: What to do about it; empty where there is nothing to do.
    """

    name: str
    verdict: Verdict
    detail: str
    remedy: str = ""


def worst(checks: Iterable[Check]) -> Verdict:
    """The verdict over all checks: failed, warning or ok."""
    verdicts = {check.verdict for check in checks}
    return next((verdict for verdict in (Verdict.FAILED, Verdict.WARNING) if verdict in verdicts), Verdict.OK)
