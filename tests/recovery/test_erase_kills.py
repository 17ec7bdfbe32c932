"""An erasure may be killed at any step, or meet other runs: nothing is lost or doubled, and the same command finishes it."""

import gzip

import pytest

from shoplake.engines.duckdb import DuckDBEngine
from shoplake.lake import ledger
from shoplake.lake.catalog import Lake
from shoplake.lake.commits import Commit
from shoplake.sources.local import LocalSource
from shoplake.storage.local import LocalStorage
from tests.recovery import erase_driver
from tests.recovery.processes import Process
from tests.support import command, dump, event, events, ingest, key, once_before, proofs, put

PERSON = "u_gone"


def mine(number, **changes):
    return event(number, user_id=PERSON, session_id="s_gone", **changes)


FILES: dict[int, tuple[list, list, list]] = {
    0: ([*events(10), b"broken"], [mine(50), mine(50), b'{"user_id": "u_gone", "time'], events(3, first=80)),
    1: ([event(3)], [mine(50), mine(51, timestamp="2025-11-18T16:00:00Z")], events(5, first=20)),
    2: (events(5, first=30), [], []),
}


def write(source, *, without=False):
    for slot, (before, of_person, after) in FILES.items():
        put(source, slot, [*before, *(() if without else of_person), *after])


@pytest.fixture(scope="module")
def truth(tmp_path_factory):
    """The tables of the raw files without the person, and those files."""
    folder = tmp_path_factory.mktemp("without")
    write(folder / "raw", without=True)
    ingest(folder / "raw", folder / "lake")
    return plain(folder / "lake"), contents(folder / "raw")


@pytest.fixture
def source(tmp_path):
    write(tmp_path / "raw")
    return tmp_path / "raw"


@pytest.fixture
def lake(tmp_path, source):
    ingest(source, tmp_path / "lake")
    return tmp_path / "lake"


def plain(lake):
    tables = dump(lake)
    del tables["erasures"]
    for row in tables["ledger"]:
        del row["bytes"]
    return tables


def contents(source):
    return {path.relative_to(source).as_posix(): gzip.decompress(path.read_bytes()) for path in source.rglob("*.gz")}


def killed(source, lake, step, people=PERSON):
    assert Process(erase_driver.main, source, lake, people, step).ended() == (erase_driver.DIED, "")


def agrees(lake, source, *, orphans=False):
    """Nothing differs, and no file of the lake is one that nothing names."""
    told = command("verify", "--lake", lake, "--source", source, "--format", "json")
    assert [one for check in told.json["checks"] for one in check["differences"]] == []
    assert orphans or "orphans" not in {note["what"] for note in told.json["notes"]}


def finished(source, lake, truth, whom=("--user", PERSON)):
    """The same command finishes it: the tables and the raw files are those without the person; nothing is news."""
    told = command("erase", *whom, "--lake", lake, "--source", source, "--raw", "--yes")
    assert (told.code, told.err) == (0, "")
    assert (plain(lake), contents(source)) == truth
    agrees(lake, source)
    assert ingest(source, lake).batches == 0


STEPS = ("before:swap:1", "after:swap:1", "before:rename:3")
MORE = ("after:swap:2", "after:replace:1", "after:write:9", "after:sweep:1", "after:replace:2", "after:swap:3")


@pytest.mark.parametrize("step", [*STEPS, *proofs(*MORE)])
def test_killed(source, lake, truth, step):
    """Killed at any step the lake agrees with its raw files or tells what waits; run again, the command finishes."""
    killed(source, lake, step)
    agrees(lake, source, orphans=True)
    finished(source, lake, truth)


@pytest.mark.parametrize("step", ["after:replace:1", *proofs("after:swap:1", "after:swap:2", "before:rename:3")])
def test_killed_with_several_people(source, lake, tmp_path, step):
    """Several people in one erasure have the same guarantees: killed anywhere, the same command erases all of them."""
    for slot, lines in FILES.items():
        kept = [line for line in [*lines[0], *lines[2]] if isinstance(line, bytes) or line["user_id"] != "u_3"]
        put(tmp_path / "without", slot, kept)
    ingest(tmp_path / "without", tmp_path / "truth")
    (tmp_path / "people").write_text(f"{PERSON}\nu_3\n")
    killed(source, lake, step, f"{PERSON},u_3")
    agrees(lake, source, orphans=True)
    truth = plain(tmp_path / "truth"), contents(tmp_path / "without")
    finished(source, lake, truth, ("--users-file", tmp_path / "people"))


@pytest.mark.parametrize("step", ["after:swap:2", *proofs("after:replace:1")])
def test_an_ingest_comes_after_the_kill(source, lake, truth, step):
    """An ingest after the kill takes files in again as far as needed; it brings nobody back, and nothing is news to it."""
    arrived = {row["source_file"]: row["arrived_at"] for row in full_ledger(lake)}
    killed(source, lake, step)
    ingest(source, lake)
    assert PERSON not in repr(dump(lake))
    assert {row["source_file"]: row["arrived_at"] for row in full_ledger(lake)} == arrived
    agrees(lake, source, orphans=True)
    finished(source, lake, truth)


def full_ledger(lake):
    view = Lake(lake).view()
    return ledger.table(view["ledger"]).to_pylist()


# ----------------------------------------------------------------------------------------------------------------- races


@pytest.mark.usefixtures("unlocked")
@pytest.mark.parametrize(("cls", "method"), [(Commit, "replace"), (DuckDBEngine, "gold"), (Commit, "publish")])
def test_an_ingest_overtakes_the_erasure(source, lake, truth, monkeypatch, cls, method):
    """An erasure that an ingest overtakes plans again, and erases from what the ingest brought, too."""
    put(source, 3, [mine(60), event(61)])

    once_before(monkeypatch, cls, method, lambda: ingest(source, lake))
    told = command("erase", "--user", PERSON, "--lake", lake, "--source", source, "--yes", "--format", "json")
    monkeypatch.undo()
    assert told.code == 0
    assert "planning again" in told.err
    assert key(3) in {one["file"] for one in told.json["raw"]}
    assert PERSON not in repr(dump(lake))
    agrees(lake, source)


@pytest.mark.usefixtures("unlocked")
@pytest.mark.parametrize(
    ("cls", "method"), [(DuckDBEngine, "check"), (DuckDBEngine, "dedupe"), (DuckDBEngine, "gold"), (Commit, "publish")]
)
def test_an_erasure_overtakes_an_ingest(source, lake, monkeypatch, cls, method):
    """An ingest that an erasure overtakes plans again and drops the person; nothing of what it had written stays."""
    put(source, 3, [mine(60), event(61)])

    def other():
        assert command("erase", "--user", PERSON, "--lake", lake, "--yes").code == 0

    once_before(monkeypatch, cls, method, other)
    ingest(source, lake)
    monkeypatch.undo()
    assert PERSON not in repr(dump(lake))
    agrees(lake, source)


@pytest.mark.usefixtures("unlocked")
@pytest.mark.parametrize(("cls", "method"), [(LocalStorage, "open"), (DuckDBEngine, "gold"), (Commit, "publish")])
def test_two_erasures_at_once(source, lake, monkeypatch, cls, method):
    """An erasure that another one overtakes, whose files it was reading, plans again; both people are gone."""

    def other():
        assert command("erase", "--user", "u_3", "--lake", lake, "--yes").code == 0

    once_before(monkeypatch, cls, method, other)
    told = command("erase", "--user", PERSON, "--lake", lake, "--yes")
    monkeypatch.undo()
    assert told.code == 0
    assert "planning again" in told.err
    assert not {row["user_id"] for row in dump(lake)["events"]} & {PERSON, "u_3"}
    assert len({row["salt"] for row in dump(lake)["erasures"]}) == 1
    agrees(lake, source)


def test_a_producer_replaces_a_raw_file_meanwhile(source, lake, monkeypatch):
    """A raw file that is replaced while it is looked through is left as it is, and named; the next erasure does it."""
    other = [mine(70), event(71)]
    once_before(monkeypatch, LocalSource, "replace", lambda: put(source, 1, other))
    told = command("erase", "--user", PERSON, "--lake", lake, "--source", source, "--raw", "--yes", "--format", "json")
    monkeypatch.undo()
    assert told.code == 1
    assert [one["file"] for one in told.json["raw"] if one["error"]] == [key(1)]
    assert b"u_gone" in contents(source)[key(1)]
    assert PERSON not in repr(dump(lake))
    agrees(lake, source)
    assert command("erase", "--user", PERSON, "--lake", lake, "--source", source, "--raw", "--yes").code == 0
    assert b"u_gone" not in contents(source)[key(1)]
