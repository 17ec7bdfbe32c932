"""SIGTERM and SIGHUP interrupt a command like Ctrl-C, so that a run that ends is still reported as ended."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

_ENDINGS = (signal.SIGTERM, signal.SIGHUP)


class EndedError(KeyboardInterrupt):
    """A signal to end arrived.

    Attributes:
        exit_code: What the process exits with, as a shell reports it: 128 and the signal's number.
    """

    def __init__(self, number: int) -> None:
        """Name the signal."""
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number


@contextmanager
def like_ctrl_c() -> Iterator[None]:
    """A block that these signals interrupt; one that is ignored, as SIGHUP is by nohup, stays ignored."""
    ours = []
    if threading.current_thread() is threading.main_thread():
        ours = [number for number in _ENDINGS if signal.getsignal(number) is signal.SIG_DFL]
    for number in ours:
        signal.signal(number, _end)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)


def exit_code(end: BaseException) -> int:
    """What a command that was interrupted exits with: 130 after Ctrl-C."""
    cause = end.__cause__ or end  # click raises its own exception from the interrupt
    return cause.exit_code if isinstance(cause, EndedError) else 130


def _end(number: int, frame: FrameType | None) -> NoReturn:  # noqa: ARG001 - the interface of a handler
    """Interrupt the command, once: service managers send both signals, and the report of the end must not be cut off."""
    for each in _ENDINGS:
        signal.signal(each, signal.SIG_IGN)
    raise EndedError(number)
