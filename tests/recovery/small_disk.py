"""Fills a real disk of some size: run by test_no_room.py in a mount namespace of its own, where it may mount one.

    unshare -rm python small_disk.py FOLDER PAGES

The disk grows by so many pages until a run has room. Says how many times a run had no room.
"""

import subprocess
import sys
from pathlib import Path

import pytest

import shoplake
from shoplake.errors import FatalError
from tests.recovery import arrivals
from tests.support import answers, dump, ingest, oracle

PAGE = 4096


def mount(where, *options):
    subprocess.run(["mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", where], check=True)


def failure(raw, lake):
    try:
        ingest(raw, lake)
    except FatalError as error:
        return error
    return None


def main(folder, pages):
    raw, disk = folder / "raw", folder / "disk"
    disk.mkdir()
    for source in (raw, folder / "twin"):
        arrivals.first(source, 0)
    ingest(folder / "twin", folder / "undisturbed")
    arrivals.later(folder / "twin", 0)
    states = arrivals.states(folder / "twin", folder / "undisturbed")
    mount(disk, "size=64m")
    lake = disk / "lake"
    ingest(raw, lake)
    arrivals.later(raw, 0)
    used = sum(-(-path.stat().st_size // PAGE) * PAGE for path in disk.rglob("*") if path.is_file())
    failures = 0
    for more in range(0, 400, pages):
        mount(disk, "remount", f"size={used + more * PAGE}")
        error = failure(raw, lake)
        if error is None:
            break
        assert "No space left on device" in str(error)
        assert "Check disk space" in error.remedy
        assert dump(lake) in states
        failures += 1
    mount(disk, "remount", "size=64m")
    assert dump(lake) == states[-1]
    assert shoplake.verify(lake, raw).ok
    arrivals.later(raw, 1)
    mount(disk, "remount", "ro")
    with pytest.raises(FatalError, match="Read-only file system"):
        ingest(raw, lake)
    assert answers(lake) == oracle(lake)
    assert shoplake.verify(lake, raw).ok
    mount(disk, "remount", "rw")
    ingest(raw, lake)
    assert answers(lake) == oracle(lake)
    assert shoplake.verify(lake, raw).ok
    print(failures)  # noqa: T201 - read by the test


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
