"""Runs a whole command and says what it cost: wall time, CPU time of its process tree, memory of its largest process.

Linux. Processes that outlive the command (Spark's Java machine does, by a moment) are adopted and counted too. What
no process waits for is not: PySpark's daemon ignores SIGCHLD, so the kernel forgets the time of its Python workers.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36
_MEBI = 1 << 20


class CommandError(Exception):
    """A measured command failed; the message holds the end of what it wrote."""


@dataclass(frozen=True)
class Cost:
    """What a command cost.

    Attributes:
        wall: Seconds from its start to its end.
        cpu: Seconds of user and system time, of the command and of every process below it.
        peak_mib: Resident memory of the largest process at its peak, MiB. Not the sum of a tree: getrusage has none.
    """

    wall: float
    cpu: float
    peak_mib: float


def adopt_orphans() -> None:
    """Become the parent of processes whose own parent ends before them, so that their cost can be read."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def command(arguments: Sequence[str | Path], *, cwd: Path, log: Path, env: Mapping[str, str], timeout: float) -> Cost:
    """Run a command to its end.

    Args:
        arguments: The program and its arguments.
        cwd: Its working directory.
        log: Receives its standard output and error.
        env: Its environment.
        timeout: Seconds after which it is killed.

    Raises:
        CommandError: It failed or took too long.
    """
    with log.open("wb") as out:
        started = time.perf_counter()
        process = subprocess.Popen(
            [str(argument) for argument in arguments],
            cwd=cwd,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # what outlives it can be found, even in a process group of its own as Spark's workers
        )
        try:
            status, usage, wall = _reap(process.pid, started, timeout)
        except CommandError as error:
            _stop(process)
            raise CommandError(f"{' '.join(map(str, arguments))}\n{error}") from error
        except BaseException:
            _stop(process)
            raise
    process.returncode = os.waitstatus_to_exitcode(status)
    cpu, peak = usage.ru_utime + usage.ru_stime, usage.ru_maxrss
    while orphans := _children_of_session(process.pid):  # they end by themselves; a minute is ample
        for orphan in orphans:
            pid, _, more = os.wait4(orphan, os.WNOHANG)
            if pid:
                cpu, peak = cpu + more.ru_utime + more.ru_stime, max(peak, more.ru_maxrss)
            elif time.perf_counter() - started > wall + 60:
                os.kill(orphan, signal.SIGKILL)
        time.sleep(0.01)
    if process.returncode:
        tail = log.read_text("utf-8", "replace")[-2000:]
        raise CommandError(f"{' '.join(map(str, arguments))}\nended with {process.returncode}:\n{tail}")
    return Cost(wall, cpu, peak * 1024 / _MEBI if sys.platform == "linux" else peak / _MEBI)


def median(costs: Sequence[Cost]) -> Cost:
    """The median of each figure by itself."""
    return Cost(*(statistics.median(getattr(cost, name) for cost in costs) for name in ("wall", "cpu", "peak_mib")))


def _children_of_session(session: int) -> list[int]:
    """Children of this process that belong to a command's session: what outlived the command and was adopted."""
    if sys.platform != "linux":
        return []
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text("ascii")
    return [int(child) for child in children.split() if os.getsid(int(child)) == session]


def _stop(process: subprocess.Popen[bytes]) -> None:
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _reap(pid: int, started: float, timeout: float) -> tuple[int, resource.struct_rusage, float]:
    def too_long(_number: int, _frame: object) -> None:
        raise CommandError(f"it took more than {timeout:g} s and was stopped")

    before = signal.signal(signal.SIGALRM, too_long)
    signal.setitimer(signal.ITIMER_REAL, timeout)
    try:
        _, status, usage = os.wait4(pid, 0)
        return status, usage, time.perf_counter() - started
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
