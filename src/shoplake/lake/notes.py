"""Notes beside a lake's catalog: small JSON documents for what is not rows, such as how the last run failed.

They change without a commit, so a run that was stopped can leave one. No table depends on them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

from shoplake.errors import FatalError, TransientError
from shoplake.lake.catalog import Lake

DEMO = "demo"
"""The name of the note of a lake that was made to look at: nothing arrives there on its own."""

ACKNOWLEDGED = "acknowledged-gaps"
"""The name of the note of the gaps in which no file is missed."""

_T = TypeVar("_T")
_ATTEMPTS = 5


class Note:
    """One note of a lake."""

    def __init__(self, lake: Lake, name: str) -> None:
        """Name it; nothing is read yet."""
        self._storage = lake.storage
        self.location = f"{lake.root}/{name}.json"

    def read(self, parse: Callable[[Any], _T]) -> _T | None:
        """What the note says, None if there is none.

        Args:
            parse: Makes it of the JSON document; raises KeyError, TypeError or ValueError if it cannot.

        Raises:
            FatalError: It is damaged, or the storage cannot be read.
        """
        return self._parsed(self._storage.read_if_there(self.location), parse)

    def change(self, parse: Callable[[Any], _T], changed: Callable[[_T | None], Any]) -> None:
        """Change the note, whoever else does at the same time.

        Args:
            parse: As for :meth:`read`.
            changed: The JSON document of the new note, made from what the old one says; called again if somebody else was
                first. It differs from all earlier ones.

        Raises:
            FatalError: It is damaged, or the storage cannot be read or written.
            TransientError: Others kept changing it.
        """
        for _ in range(_ATTEMPTS):
            before = self._storage.read_if_there(self.location)
            content = json.dumps(changed(self._parsed(before, parse)), indent=1).encode()
            if self._storage.swap(self.location, before, content):
                return
        raise TransientError(f"{self.location} could not be changed: others kept changing it", remedy="Try again.")

    def remove(self) -> None:
        """Remove the note, if there is one.

        Raises:
            FatalError: The storage cannot be read or written.
        """
        if self._storage.read_if_there(self.location) is not None:
            self._storage.delete([self.location])

    def _parsed(self, content: bytes | None, parse: Callable[[Any], _T]) -> _T | None:
        if content is None:
            return None
        try:
            return parse(json.loads(content))
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise FatalError(
                f"{self.location} is damaged: {error}", remedy="Delete it: no table depends on it."
            ) from error
