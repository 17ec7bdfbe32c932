"""What a command decides for its whole process. A library leaves that to the process that it runs in."""

from __future__ import annotations

import ctypes
import sys

_ARENA_MAX = -8  # glibc's M_ARENA_MAX


class _NoPandas:
    """Says that there is no pandas, whether it is installed or not."""

    @staticmethod
    def find_spec(name: str, *_: object) -> None:
        if name == "pandas":
            raise ModuleNotFoundError(name=name)


def pass_over_pandas() -> None:
    """Let PyArrow find no pandas in this process: it imports it to ask whether a list is a Series, a quarter of a second."""
    import pyarrow as pa

    sys.meta_path.insert(0, _NoPandas)
    try:
        pa.array([])  # where it looks, once
    finally:
        sys.meta_path.remove(_NoPandas)


def share_arena() -> bool:
    """Let all threads allocate from one arena of glibc's; returns whether that is so, elsewhere it is not.

    What one thread frees, another can then use. With arenas of their own the threads of four batches of 7.5 million events
    took 1,590 to 1,972 MiB and up to 1.3 million page faults, with one they took 1,483 MiB and 1.0 million.
    """
    limit = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    return bool(limit and limit(_ARENA_MAX, 1))
