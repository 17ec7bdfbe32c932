"""What a run did: typed figures, batch by batch and in all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from shoplake.engines.base import UNAVAILABLE
from shoplake.lake.ledger import bounded
from shoplake.sources.listing import LeftOut


@dataclass(frozen=True)
class BatchReport:
    """The figures of one batch that was published, and of the files that were set aside on the way to it.

    Attributes:
        published: 1, or 0 if every file of the batch was set aside, so that nothing had to be published.
        files: As in :class:`RunReport`, and so are the others.
    """

    published: int = 0
    files: int = 0
    replaced: int = 0
    failures: Mapping[str, str] = field(default_factory=dict)
    lines: int = 0
    accepted: int = 0
    duplicates: int = 0
    quarantined: int = 0
    erased: int = 0
    reasons: Mapping[str, int] = field(default_factory=dict)
    unknown_keys: Mapping[str, int] = field(default_factory=dict)
    bytes: int = 0
    hours: int = 0


@dataclass
class RunReport:
    """The figures of one ingest run; ``lines = accepted + duplicates + quarantined + erased`` always holds.

    Attributes:
        files: Source files ingested, replaced ones included.
        replaced: Those among them whose earlier version was replaced.
        failures: Files that could not be read whole, with the reason; each once.
        lines: Lines that are not blank.
        accepted: Lines that became events.
        duplicates: Lines equal to an event counted already.
        quarantined: Lines that break the contract.
        erased: Lines about erased people, of which nothing else is kept.
        reasons: Quarantined lines by reason code (a line may have several).
        unknown_keys: Lines by key that the contract does not know, of the most frequent ones; the values are in
            ``events.extra``.
        batches: Batches committed.
        bytes: Compressed bytes read.
        hours: Hours of the gold tables that were published again.
        left_out: What else the source has.
        seconds: Wall time of the run.
    """

    files: int = 0
    replaced: int = 0
    failures: list[dict[str, str]] = field(default_factory=list)
    lines: int = 0
    accepted: int = 0
    duplicates: int = 0
    quarantined: int = 0
    erased: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    unknown_keys: dict[str, int] = field(default_factory=dict)
    batches: int = 0
    bytes: int = 0
    hours: int = 0
    left_out: tuple[LeftOut, ...] = ()
    seconds: float = 0.0

    def add(self, batch: BatchReport) -> None:
        """Count a batch. A file that was set aside before is named once, with its latest reason."""
        self.batches += batch.published
        for name in ("files", "replaced", "lines", "accepted", "duplicates", "quarantined", "erased", "bytes", "hours"):
            setattr(self, name, getattr(self, name) + getattr(batch, name))
        for total, more in ((self.reasons, batch.reasons), (self.unknown_keys, batch.unknown_keys)):
            for key, number in more.items():
                total[key] = total.get(key, 0) + number
        self.unknown_keys = bounded(self.unknown_keys)
        failures = {failure["file"]: failure["error"] for failure in self.failures} | dict(batch.failures)
        self.failures = [{"file": file, "error": error} for file, error in failures.items()]

    @property
    def unavailable(self) -> list[str]:
        """The files that could not be read now; the next run tries them again."""
        return [failure["file"] for failure in self.failures if failure["error"].startswith(UNAVAILABLE)]

    @property
    def events_per_second(self) -> float:
        """Lines judged per second of wall time."""
        return self.lines / self.seconds if self.seconds else 0.0

    def as_json(self) -> dict[str, Any]:
        """The figures as the fixed JSON interface names them."""
        left_out = [each.as_json() for each in self.left_out]
        figures = {
            **vars(self),
            "failed_files": len(self.failures),
            "unavailable": self.unavailable,
            "left_out": left_out,
        }
        return {**figures, "seconds": round(self.seconds, 3), "events_per_second": round(self.events_per_second)}
