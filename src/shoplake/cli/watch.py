"""Watching: a run, a pause, a run. A run that fails is reported and tried again, after pauses that grow."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn, TypeVar

from shoplake.errors import ShoplakeError, UsageError

_T = TypeVar("_T")

LONGEST = 300.0
"""Seconds to which the pauses after failures grow, unless the pauses between runs are longer anyway."""


@dataclass(frozen=True)
class Watch:
    """How to watch.

    Attributes:
        every: Seconds from the end of a run to the beginning of the next.
        sleep: Waits for so many seconds.
        draw: A random number from 0 to 1: watchers that failed together do not try again together.
    """

    every: float
    sleep: Callable[[float], object] = time.sleep
    draw: Callable[[], float] = random.random

    def forever(
        self,
        run: Callable[[], _T],
        show: Callable[[_T], None],
        failed: Callable[[ShoplakeError | OSError, float], None],
    ) -> NoReturn:
        """Run until the process is interrupted.

        Args:
            run: One run.
            show: Receives what it did.
            failed: Receives why it failed instead, and after how many seconds it is tried again.

        Raises:
            UsageError: The first run cannot work. Once a run has succeeded, even this passes: a folder may be away for a while.
            Exception: A programming error.
        """
        failures, succeeded = 0, False
        while True:
            try:
                done = run()
            except (ShoplakeError, OSError) as error:
                if isinstance(error, UsageError) and not succeeded:
                    raise
                failures += 1
                pause = self.pause_after(failures)
                failed(error, pause)
            else:
                failures, succeeded = 0, True
                show(done)
                pause = self.every
            self.sleep(pause)

    def pause_after(self, failures: int) -> float:
        """Seconds to wait after so many failures in a row: twice as long each time, up to a bound, with jitter."""
        pause = min(max(self.every, 1.0) * 2.0 ** min(failures - 1, 20), max(self.every, LONGEST))
        return pause * (0.5 + self.draw() / 2)
