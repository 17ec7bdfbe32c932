"""What the allocators of a process do with memory that is free."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from shoplake.engines import memory

MEBI = 1 << 20
ON_GLIBC = pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="glibc's allocator is told what to do; others keep their own rules"
)


ARENAS = """
import ctypes, threading
from shoplake.cli import process
process.share_arena()
libc = ctypes.CDLL(None)
together = threading.Barrier(4)

def allocate():
    together.wait()
    libc.malloc(1000)
    together.wait()

threads = [threading.Thread(target=allocate) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
libc.malloc_info(0, ctypes.c_void_p.in_dll(libc, "stderr"))
"""


REUSE = """
import resource
import numpy as np
from shoplake.cli import process
assert process.reuse_memory()
np.ones(1 << 23)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(4):
    np.ones(1 << 23)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def resident():
    """The bytes of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@ON_GLIBC
def test_free_memory_is_given_back():
    """Also what lies between pieces that are needed, which glibc keeps by itself."""
    pieces = [np.ones(1 << 13, np.uint64) for _ in range(1024)]  # of 64 KiB: below what glibc maps by itself
    kept = pieces[::32]
    del pieces
    before = resident()
    memory.give_back()
    assert before - resident() > 48 * MEBI
    assert all(piece.all() for piece in kept)


@ON_GLIBC
def test_threads_share_an_arena():
    """What one thread frees, another can use: in a process of its own, for what glibc was told stays so."""
    done = subprocess.run([sys.executable, "-c", ARENAS], capture_output=True, text=True, check=True)
    assert done.stderr.count("<heap nr=") == 1


@ON_GLIBC
def test_freed_memory_is_used_again():
    """Four arrays of 64 MiB after one that is freed: fresh pages would be 16,384 faults each, or 32 where pages are huge."""
    done = subprocess.run([sys.executable, "-c", REUSE], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 32
