"""The memory of this process that nothing needs any more, and that its allocators still hold."""

from __future__ import annotations

import ctypes
import sys

import pyarrow as pa


def give_back() -> None:
    """Return to the system what is free: after batches of millions of events that is half a gigabyte.

    What comes next would not find room in it, since it lies in pieces. To fetch the memory again takes time (a quarter of a
    second for a gigabyte), so this is for where another kind of work begins.
    """
    pa.default_memory_pool().release_unused()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim:
        trim(0)
