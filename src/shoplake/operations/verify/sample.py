"""Which hours, days and files to examine: all of them, or a seeded random share."""

from __future__ import annotations

import math
import random
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, TypeVar

_T = TypeVar("_T", bound=Any)


@dataclass(frozen=True)
class Sample:
    """A share of each kind of thing.

    Attributes:
        share: Above 0, and 1 for all.
        seed: Determines the choice: the same seed picks the same things out of the same things.
    """

    share: float = 1.0
    seed: int = 0

    @property
    def whole(self) -> bool:
        """Whether everything is examined."""
        return self.share >= 1

    def of(self, kind: str, things: Collection[_T]) -> set[_T]:
        """The things of a kind to examine, at least one if there are any."""
        if self.whole or not things:
            return set(things)
        count = math.ceil(self.share * len(things))
        return set(random.Random(f"{self.seed} {kind}").sample(sorted(things), count))  # noqa: S311 - a sample, not a secret
