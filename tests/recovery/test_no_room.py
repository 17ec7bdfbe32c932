"""A disk that is full, or may not be written to: a clear error, nothing damaged, and the next run does it all.

Once with a fault put in at every write of a run in turn, once with a real small disk.
"""

import errno
import os
import shutil
import stat
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

import shoplake
from shoplake.errors import FatalError
from shoplake.storage.local import LocalStorage
from tests.recovery import arrivals
from tests.support import answers, command, dump, ingest, oracle, proof, proofs

NO_ROOM, READ_ONLY, DENIED = errno.ENOSPC, errno.EROFS, errno.EACCES
SELDOM = 1000  # at the first write and at the last


def is_file(number):
    return stat.S_ISREG(os.fstat(number).st_mode)


class Faults:
    """Raises an error at the write of a number, and at all after it while ``lasting``."""

    def __init__(self, monkeypatch, at, code, *, lasting):
        self.seen, self._at, self._code, self._lasting = 0, at, code, lasting
        real_write, real_swap, real_fsync = LocalStorage.write, LocalStorage.swap, os.fsync
        if code == NO_ROOM:  # half a file is there when the room is used up
            monkeypatch.setattr(os, "fsync", lambda number: (is_file(number) and self.due()) or real_fsync(number))
        else:
            monkeypatch.setattr(LocalStorage, "write", lambda *args: self.due() or real_write(*args))
            monkeypatch.setattr(LocalStorage, "swap", lambda *args: self.due() or real_swap(*args))

    def due(self):
        self.seen += 1
        if self.seen == self._at or (self._lasting and self.seen > self._at):
            raise OSError(self._code, os.strerror(self._code))


def base(folder):
    arrivals.first(folder / "raw", 0)
    ingest(folder / "raw", folder / "lake")
    arrivals.later(folder / "raw", 0)


@dataclass
class Start:
    """A lake with something to do, how many writes that takes, and the tables before, after each batch and in the end."""

    folder: Path
    writes: int
    states: list

    def again(self):
        """The lake as it was."""
        shutil.rmtree(self.folder / "lake", ignore_errors=True)
        shutil.copytree(self.folder / "kept", self.folder / "lake")


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    folder = tmp_path_factory.mktemp("start")
    base(folder)
    shutil.copytree(folder / "lake", folder / "kept")
    with pytest.MonkeyPatch.context() as patch:
        faults = Faults(patch, 0, READ_ONLY, lasting=False)
        states = arrivals.states(folder / "raw", folder / "lake")
    return Start(folder, faults.seen, states)


def test_every_write_is_counted(start):
    """A batch writes data files, manifests, lists and metadata of seven tables, and swaps the catalog."""
    assert start.writes > 40


@pytest.mark.parametrize(
    ("code", "every"),
    [
        pytest.param(NO_ROOM, 41, id="full"),
        pytest.param(READ_ONLY, SELDOM, id="read-only"),
        pytest.param(DENIED, SELDOM, id="denied", marks=proof),
        pytest.param(NO_ROOM, 1, id="full at each", marks=proof),
        pytest.param(READ_ONLY, 3, id="read-only at each third", marks=proof),
        pytest.param(DENIED, 3, id="denied at each third", marks=proof),
    ],
)
def test_fault_at_every_write(monkeypatch, start, code, every):
    """Whichever write fails, the run says what to do, the lake is as its last whole batch left it, the next run ends well."""
    raw, lake = start.folder / "raw", start.folder / "lake"
    files = {"last-failure.json", *(path.name for path in (start.folder / "kept").rglob("*.*"))}
    for at in sorted({*range(1, start.writes + 1, every), start.writes}):
        start.again()
        with monkeypatch.context() as patch:
            faults = Faults(patch, at, code, lasting=code != NO_ROOM)
            with pytest.raises(FatalError, match=os.strerror(code)) as caught:
                ingest(raw, lake)
            assert faults.seen >= at
        assert (caught.value.exit_code, str(lake) in str(caught.value)) == (1, True)
        assert "disk space and permissions" in caught.value.remedy
        found = dump(lake)
        assert found in start.states[:-1], at
        if found == start.states[0]:
            assert {path.name for path in lake.rglob("[!.]*.*")} <= files, at
        ingest(raw, lake)
        assert dump(lake) == start.states[-1], at
    assert answers(lake) == oracle(lake)
    assert shoplake.verify(lake, raw).ok


@pytest.mark.parametrize(
    ("code", "every"),
    [
        pytest.param(NO_ROOM, 23, id="full"),
        pytest.param(READ_ONLY, 23, id="read-only"),
        pytest.param(NO_ROOM, 1, id="full at each", marks=proof),
        pytest.param(READ_ONLY, 3, id="read-only at each third", marks=proof),
    ],
)
def test_fault_at_every_write_of_the_first_run(tmp_path, monkeypatch, code, every):
    """Whichever write of a lake's first run fails, the next run makes the lake."""
    arrivals.first(tmp_path / "raw", 0)
    ingest(tmp_path / "raw", tmp_path / "fresh")
    truth = dump(tmp_path / "fresh")
    for at in range(1, 200, every):
        lake = tmp_path / f"lake{at}"
        with monkeypatch.context() as patch:
            faults = Faults(patch, at, code, lasting=False)
            try:
                ingest(tmp_path / "raw", lake)
            except FatalError as error:
                assert os.strerror(code) in str(error)  # noqa: PT017 - the last round has no fault
        ingest(tmp_path / "raw", lake)
        assert dump(lake) == truth, at
        if faults.seen < at:
            return
    pytest.fail("there are more writes than tried")


SCRIPT = Path(__file__).with_name("small_disk.py")


@pytest.mark.parametrize("pages", [60, *proofs(4)])
def test_a_real_small_disk(tmp_path, pages):
    """A disk of its own, made ever smaller, then read-only: the same."""
    tried = subprocess.run(["unshare", "-rm", "true"], check=False) if shutil.which("unshare") else None
    if tried is None or tried.returncode:
        pytest.skip("a small disk could not be mounted: it takes Linux, and user namespaces or root (unshare -rm)")
    done = subprocess.run(
        ["unshare", "-rm", sys.executable, SCRIPT, tmp_path, str(pages)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert int(done.stdout) > 3


def test_the_command_says_so(tmp_path, monkeypatch):
    """The command ends with exit code 1, one message and its remedy, and no traceback."""
    base(tmp_path)
    Faults(monkeypatch, 5, NO_ROOM, lasting=True)
    told = command("ingest", "--source", tmp_path / "raw", "--lake", tmp_path / "lake")
    assert told.code == 1
    assert "No space left on device" in told.err
    assert "Check disk space" in told.err
    assert "Traceback" not in told.err
