"""Processes that tests kill, forked from one that has imported what they need: to import it costs each 0.5 s of CPU."""

from __future__ import annotations

import multiprocessing
import os
import signal
import tempfile
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from pathlib import Path

from tests.recovery import driver, erase_driver, replaying

KILLED = -signal.SIGKILL
_SECONDS = 300  # what has not ended then hangs

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload([driver.__name__, erase_driver.__name__, replaying.__name__])


class Process:
    """A process that makes one call, with the present environment. What it writes is kept."""

    def __init__(self, main: Callable[..., object], *words: object, waits: bool = False) -> None:
        """Start it.

        Args:
            main: The call: a function of a module that it can import.
            words: Its arguments, as texts.
            waits: Whether it begins only when it is told to go; it is ready to by then.
        """
        handle, self._said = tempfile.mkstemp()
        os.close(handle)
        self._gate, inside = _context.Pipe()
        self._process = _context.Process(
            target=_call, args=(main, [str(word) for word in words], dict(os.environ), self._said, inside)
        )
        self._process.start()
        inside.close()
        self._gate.recv()
        if not waits:
            self.go()

    def go(self) -> None:
        """Let it begin."""
        self._gate.send(None)

    def runs_for(self, seconds: float) -> bool:
        """Whether it still runs after some seconds; returns sooner if it does not."""
        self._process.join(seconds)
        return self._process.exitcode is None

    def kill(self) -> None:
        """By SIGKILL."""
        self._process.kill()

    def ended(self) -> tuple[int | None, str]:
        """How it ended, a signal as a negative number, and what it wrote; waits for that."""
        self._process.join(_SECONDS)
        code = self._process.exitcode
        self._process.kill()
        self._gate.close()
        said = Path(self._said).read_text("utf-8")
        Path(self._said).unlink()
        return code, said


def _call(
    main: Callable[..., object], words: list[str], environment: Mapping[str, str], said: str, gate: Connection
) -> None:
    os.environ.clear()
    os.environ.update(environment)
    output = os.open(said, os.O_WRONLY)
    os.dup2(output, 1)
    os.dup2(output, 2)
    gate.send(None)
    gate.recv()
    main(*words)
