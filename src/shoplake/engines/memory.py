"""The memory of this process that nothing needs any more, and that its allocators still hold."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable


def glibc(name: str) -> Callable[..., int] | None:
    """A function of glibc's allocator; None where there is another."""
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None


def give_back() -> None:
    """Return to the system what is free: after batches of millions of events that is half a gigabyte.

    What comes next would not find room in it, since it lies in pieces. To fetch the memory again takes time (a quarter of a
    second for a gigabyte), so this is for where another kind of work begins.
    """
    import pyarrow as pa

    pa.default_memory_pool().release_unused()
    if trim := glibc("malloc_trim"):
        trim(0)
