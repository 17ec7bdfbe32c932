"""What a command decides for its whole process. A library leaves that to the process that it runs in."""

from __future__ import annotations

import os
import sys

from shoplake.engines import memory

_TRIM_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -4, -8  # M_... of glibc's mallopt


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
    return _told((_ARENA_MAX, 1))


def reuse_memory() -> bool:
    """Let the process use again what it has freed, however large, instead of giving it back; returns whether that is so.

    An experiment over 11.6 million users makes arrays of 90 MB by the dozen, and fetching fresh pages for each takes a tenth of
    its time: 8.9 seconds, and 8.1 with this. It then holds 2.4 GB at most instead of 1.9.
    """
    if not _told((_ARENA_MAX, 1), (_MMAP_MAX, 0), (_TRIM_THRESHOLD, (1 << 31) - 1)):
        return False
    # Arrow, which is not imported yet, would give back by its own rules.
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    return True


def _told(*options: tuple[int, int]) -> bool:
    """Whether there is a glibc, and it takes these options."""
    tell = memory.glibc("mallopt")
    return bool(tell and all(tell(*option) for option in options))
