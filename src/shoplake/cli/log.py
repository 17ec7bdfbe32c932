"""Lines on stderr: for a person as they are; in the commands that run unattended each with its time, as text or as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

PLAIN, TEXT, JSON = "plain", "text", "json"


@dataclass
class Log:
    """How a command's lines look; there is one for the process.

    Attributes:
        style: ``plain``, ``text`` (with the time) or ``json``.
        now: The time, UTC with a zone.
    """

    style: str = PLAIN
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def line(self, message: str, remedy: str = "", level: str = "info") -> str:
        """A message with its remedy, as what is to be written.

        Args:
            message: What happened.
            remedy: What to do, or an empty string.
            level: ``info`` or ``error``.
        """
        if self.style == JSON:
            record = {"at": self._time(), "level": level, "message": message}
            return json.dumps(record | ({"remedy": remedy} if remedy else {}))
        return self.stamp() + message + (f"\n  {remedy}" if remedy else "")

    def stamp(self) -> str:
        """What a line begins with where a log is kept: the time and a space."""
        return "" if self.style == PLAIN else f"{self._time()} "

    def _time(self) -> str:
        return f"{self.now():%Y-%m-%dT%H:%M:%SZ}"


LOG = Log()
