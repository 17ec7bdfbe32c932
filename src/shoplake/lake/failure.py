"""How the last run failed, kept beside the lake until a run succeeds: a run that is stopped commits nothing that could tell."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from shoplake.errors import ShoplakeError
from shoplake.lake.catalog import Lake
from shoplake.lake.notes import Note

NOTE = "last-failure"


@dataclass(frozen=True)
class Failure:
    """A failure of the last run.

    Attributes:
        at: When the run ended, UTC.
        since: When the first of the runs in a row that failed ended.
        runs: How many runs in a row have failed.
        error: Why the last one did.
        remedy: What to do, or an empty string.
    """

    at: datetime
    since: datetime
    runs: int
    error: str
    remedy: str


def read(lake: Lake) -> Failure | None:
    """How the last run failed; None if it succeeded.

    Raises:
        FatalError: The note is damaged, or the storage cannot be read.
    """
    return Note(lake, NOTE).read(_parse)


def record(lake: Lake, now: datetime, error: Exception) -> None:
    """Remember that a run failed, if the lake exists and can be read and written; the run's caller gets the run's own error.

    Args:
        lake: The lake.
        now: When the run ended, UTC with a zone.
        error: Why it failed.
    """
    remedy = error.remedy if isinstance(error, ShoplakeError) else ""
    ended = now.astimezone(UTC).replace(tzinfo=None)

    def changed(earlier: Failure | None) -> dict[str, Any]:
        since, runs = (earlier.since, earlier.runs + 1) if earlier else (ended, 1)
        return {
            "at": ended.isoformat() + "Z",
            "since": since.isoformat() + "Z",
            "runs": runs,
            "error": str(error) or type(error).__name__,
            "remedy": remedy,
        }

    with suppress(ShoplakeError, OSError):
        if lake.view().catalog is not None:  # a copy of a lake, which this refuses, stays as it is
            Note(lake, NOTE).change(_parse, changed)


def clear(lake: Lake) -> None:
    """Remember that a run succeeded.

    Raises:
        FatalError: The storage cannot be read or written.
    """
    Note(lake, NOTE).remove()


def _parse(note: Any) -> Failure:
    at, since = (datetime.fromisoformat(note[name]).astimezone(UTC).replace(tzinfo=None) for name in ("at", "since"))
    return Failure(at, since, int(note["runs"]), str(note["error"]), str(note["remedy"]))
