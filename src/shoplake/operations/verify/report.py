"""What a verification reports: audits with their differences, and notes about what is not damage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from shoplake.text import json_value

FIRST = 5

FROM_BACKUP = "Restore it from a backup of the lake, or ingest the source into a new lake."
REBUILD = "Rebuild it from events: shoplake verify --repair"


def replay(paths: Sequence[str]) -> str:
    """The remedy for source files whose rows in the lake are wrong."""
    more = f" (and {len(paths) - FIRST:,} more)" if len(paths) > FIRST else ""
    return f"Re-ingest it from the raw object: shoplake replay --files {' '.join(paths[:FIRST])}{more}"


@dataclass(frozen=True)
class Difference:
    """One thing that is not as it should be.

    Attributes:
        what: A stable word for its kind.
        where: Exactly one data file (below the lake), source file, hour or day.
        message: What is there and what should be.
        remedy: What repairs it.
        more: Figures for scripts, by stable names.
    """

    what: str
    where: str
    message: str
    remedy: str
    more: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The difference as the fixed JSON interface names it."""
        basics = {"what": self.what, "where": self.where, "message": self.message, "remedy": self.remedy}
        return basics | {key: json_value(value) for key, value in self.more.items()}


@dataclass
class Audit:
    """One question about many units of a lake.

    Attributes:
        name: A stable word.
        question: What is compared.
        unit: What ``checked`` counts, in the plural.
        checked: How many were examined.
        skipped: How many were not: outside the sample, or unreadable.
        differences: What is not as it should be.
    """

    name: str
    question: str
    unit: str
    checked: int = 0
    skipped: int = 0
    differences: list[Difference] = field(default_factory=list)

    def differs(self, what: str, where: str, message: str, remedy: str, **more: Any) -> None:
        """Note a difference."""
        self.differences.append(Difference(what, where, message, remedy, more))

    def as_json(self) -> dict[str, Any]:
        """The audit as the fixed JSON interface names it."""
        return {
            "name": self.name,
            "question": self.question,
            "ok": not self.differences,
            "unit": self.unit,
            "checked": self.checked,
            "skipped": self.skipped,
            "differences": [difference.as_json() for difference in self.differences],
        }


@dataclass(frozen=True)
class Note:
    """Something worth knowing that is not damage.

    Attributes:
        what: A stable word for its kind.
        message: A sentence.
        more: Figures for scripts, by stable names.
    """

    what: str
    message: str
    more: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The note as the fixed JSON interface names it."""
        return {"what": self.what, "message": self.message} | {key: json_value(v) for key, v in self.more.items()}


@dataclass
class VerifyReport:
    """The result of a verification.

    Attributes:
        lake: The lake's location.
        source: The source's location, None without one.
        version: The version of the lake's catalog that was examined.
        share: The share of hours, days and files that was examined, 1 for all.
        seed: Determines which ones.
        checks: The audits, in the order they were made.
        notes: What is worth knowing.
        repaired: What ``--repair`` rebuilt (hours, days), None if it was not asked for.
        seconds: Wall time.
    """

    lake: str
    source: str | None
    version: int
    share: float
    seed: int
    checks: list[Audit] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    repaired: dict[str, Any] | None = None
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether nothing differs."""
        return not any(audit.differences for audit in self.checks)

    @property
    def differences(self) -> list[Difference]:
        """Every difference of every audit."""
        return [difference for audit in self.checks for difference in audit.differences]

    def as_json(self) -> dict[str, Any]:
        """The report as the fixed JSON interface names it."""
        return {
            "ok": self.ok,
            "lake": self.lake,
            "source": self.source,
            "version": self.version,
            "sample": None if self.share >= 1 else {"share": self.share, "seed": self.seed},
            "checks": [audit.as_json() for audit in self.checks],
            "notes": [note.as_json() for note in self.notes],
            "repaired": json_value(self.repaired),
            "seconds": round(self.seconds, 3),
        }
