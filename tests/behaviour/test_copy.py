"""A copy of a lake is a lake at another place: whole or not there at all, whatever stops it and whoever works beside it."""

import json
import shutil
import subprocess
import sys
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import shoplake
from shoplake.errors import FatalError, TransientError, UsageError
from shoplake.lake import manifests
from shoplake.lake.catalog import Lake
from shoplake.operations import copying
from shoplake.operations.copying import CopyRequest
from shoplake.storage.local import LocalStorage
from tests.support import answers, command, dump, event, events, ingest, once_before, proof, put


def batch(shop, slot):
    put(shop / "raw", slot, [*events(20, first=40 * slot), b"broken"])
    take_in(shop)


def take_in(shop, lake="lake"):
    """Every copy of the source is known as the same."""
    return ingest(shop / "raw", shop / lake, source_name="the shop")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A lake of three batches, with quarantined lines and parts of an hour; tests only read it."""
    folder = tmp_path_factory.mktemp("made")
    for slot in range(3):
        batch(folder, slot)
    return folder


@pytest.fixture
def shop(made, tmp_path):
    """The same lake, as a copy that a test may change."""
    shutil.copytree(made / "raw", tmp_path / "raw")
    copy(made / "lake", tmp_path / "lake")
    catalog = tmp_path / "lake" / "catalog.json"
    catalog.write_text(
        json.dumps({key: value for key, value in json.loads(catalog.read_text()).items() if key != "copy_of"})
    )
    return tmp_path


def copy(lake, dest, **more):
    return shoplake.copy(str(lake), str(dest), **more)


def tree(folder):
    return {path: path.read_bytes() for path in folder.rglob("[!.]*") if path.is_file()}


def metadata_files(lake):
    """Every byte of a lake's documents, manifests and lists, inflated."""
    for file in Lake(str(lake)).storage.list(f"{lake}"):
        content = Lake(str(lake)).storage.read(file.location)
        if file.location.endswith(".json"):
            yield file.location, content.decode()
        elif file.location.endswith("-m0.avro"):
            yield file.location, str(manifests.read_manifest(content))
        elif file.location.endswith(".avro"):
            yield file.location, str(manifests.read_manifest_list(content))


# ------------------------------------------------------------------------------------------------------------ the copy


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param("folder", "folder"),
        pytest.param("folder", "s3", marks=[pytest.mark.s3, proof]),
        pytest.param("s3", "folder", marks=[pytest.mark.s3, proof]),
    ],
)
def test_the_copy_is_a_lake(made, tmp_path, request, first, second):
    """Every row, every answer, and a verification that agrees; no path in it names where it came from."""
    lake = made / "lake"
    if first == "s3":
        lake = request.getfixturevalue("s3_place") / "first"
        copy(made / "lake", lake)
    dest = (request.getfixturevalue("s3_place") if second == "s3" else tmp_path) / "dest"
    report = copy(lake, dest)
    assert dump(dest) == dump(made / "lake")
    assert answers(dest) == answers(made / "lake")
    assert shoplake.verify(str(dest), threads=2).ok
    allowed = {f"{dest}/catalog.json", f"{dest}/ledger/metadata"}  # where it came from, and its source
    named = [place for place, text in metadata_files(dest) if str(lake) + "/" in text and place not in allowed]
    assert named == []
    view = Lake(str(dest)).view()
    assert report.tables == {
        name: {"files": len(table.files), "rows": table.rows, "bytes": table.bytes}
        for name, table in view.tables.items()
    }
    assert report.sent == sum(len(table.files) for table in view.tables.values()) + _keys(dest)
    assert (report.version, report.there, report.up_to_date) == (view.version, 0, False)
    again = copy(lake, dest)
    assert (again.up_to_date, again.sent, again.version) == (True, 0, view.version)


def _keys(lake):
    return sum(file.location.endswith(".keys") for file in Lake(str(lake)).storage.list(str(lake)))


def test_it_goes_on_as_the_lake_would(made, tmp_path):
    """An ingest into the copy takes what is new alone, finds the units of before by their keys, and leaves the lake alone."""
    shutil.copytree(made / "raw", tmp_path / "raw")
    copy(made / "lake", tmp_path / "lake")
    assert _keys(tmp_path / "lake") == _keys(made / "lake") > 0
    before = tree(made / "lake")
    put(tmp_path / "raw", 3, events(20, first=35))
    report = take_in(tmp_path)
    assert (report.files, report.accepted) == (1, 5), "fifteen events of the lake come again"
    assert shoplake.verify(str(tmp_path / "lake"), threads=2).ok
    assert tree(made / "lake") == before
    assert command("erase", "--user", "u_3", "--lake", tmp_path / "lake", "--yes").code == 0
    assert command("maintain", "--lake", tmp_path / "lake").code == 0
    assert tree(made / "lake") == before


@proof
def test_notes_come_along(made, tmp_path):
    """What somebody said of gaps belongs to the lake; how a run failed does not belong to the copy."""
    copy(made / "lake", tmp_path / "lake")
    day = ("--from", "2025-11-18T02:00Z", "--to", "2025-11-18T03:00Z")
    assert command("acknowledge", *day, "--reason", "closed", "--lake", tmp_path / "lake").code == 0
    (tmp_path / "lake" / "last-failure.json").write_text("{}")
    copy(tmp_path / "lake", tmp_path / "dest")
    notes = {path.name for path in (tmp_path / "dest").glob("*.json")}
    assert notes == {"catalog.json", "acknowledged-gaps.json"}
    put(tmp_path / "raw", 9, events(1))
    take_in(tmp_path)
    (tmp_path / "lake" / "acknowledged-gaps.json").unlink()
    copy(tmp_path / "lake", tmp_path / "dest")
    assert {path.name for path in (tmp_path / "dest").glob("*.json")} == {"catalog.json"}


def test_brought_up_to_date(shop):
    """What is new is sent, nothing else; who has the copy open reads on, and old files go after a day."""
    lake, dest = shop / "lake", shop / "dest"
    copy(lake, dest)
    before = set(tree(dest))
    with shoplake.open(dest, threads=2) as opened:
        seen = opened.sql("SELECT count(*) FROM events").fetchall()
        batch(shop, 3)
        report = copy(lake, dest)
        assert opened.sql("SELECT count(*) FROM events").fetchall() == seen
    new = {path for path in tree(dest) if path.suffix in (".parquet", ".keys")} - before
    assert (report.sent, report.removed) == (len(new), 0)
    assert dump(dest) == dump(lake)
    batch(shop, 4)
    later = CopyRequest(Lake(lake), Lake(dest), now=lambda: datetime.now(UTC) + timedelta(days=2))
    assert copying.copy(later).removed > 0
    verified = shoplake.verify(str(dest), threads=2)
    assert (verified.ok, [note for note in verified.notes if note.what == "orphans"]) == (True, [])
    assert dump(dest) == dump(lake)


# ------------------------------------------------------------------------------------------------------- stopped, killed


@pytest.mark.parametrize("every", [24, pytest.param(1, marks=proof)])
def test_stopped_at_a_write(made, tmp_path, monkeypatch, every):
    """Until the last write there is no lake, and a message that says how to go on; then the rest alone is sent."""
    lake, real = made / "lake", LocalStorage.write
    total: list[str] = []
    sent: list[int] = []

    def counting(self, location, content):
        total.append(location)
        real(self, location, content)

    with monkeypatch.context() as patch:
        patch.setattr(LocalStorage, "write", counting)
        whole = copy(lake, tmp_path / "whole")
    for stop in range(0, len(total), every):
        dest = tmp_path / f"dest{stop}"
        with monkeypatch.context() as patch:
            left = iter(range(stop))

            def write(self, location, content, left=left):
                if next(left, None) is None:
                    with suppress(FileExistsError):
                        Path(location).parent.mkdir(parents=True, exist_ok=True)
                        Path(location).write_bytes(bytes(content)[:10])  # as a kill would leave it
                    raise KeyboardInterrupt
                real(self, location, content)

            patch.setattr(LocalStorage, "write", write)
            with pytest.raises(KeyboardInterrupt):
                copy(lake, dest)
        told = command("status", "--lake", dest)
        assert (told.code, f"shoplake copy {lake} {dest}" in told.err) == (2, True)
        assert command("ingest", "--source", made / "raw", "--lake", dest).code == 1
        report = copy(lake, dest)
        assert report.sent + report.there == whole.sent
        sent.append(report.sent)
        assert dump(dest) == dump(lake)
        assert not (dest / "copying.json").exists()
    assert sent[0] == whole.sent
    assert 0 in sent
    assert sorted(sent, reverse=True) == sent
    assert shoplake.verify(str(dest), threads=2).notes == []


@proof
def test_killed(tmp_path):
    """A process that is killed again and again, at any moment, with a few files more each time."""
    for slot in range(30):
        put(tmp_path / "raw", slot, events(20, first=40 * slot))
        take_in(tmp_path)
    lake, dest = tmp_path / "lake", tmp_path / "dest"
    words = [sys.executable, "-m", "shoplake", "copy", lake, dest]
    kills = 0
    while not (dest / "catalog.json").exists():
        before = len(tree(dest))
        with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            while process.poll() is None and len(tree(dest)) < before + 40:
                pass
            process.kill()
        kills += process.returncode != 0
        assert (dest / "catalog.json").exists() or Lake(dest).view().catalog is None
    assert kills >= 2
    copy(lake, dest)
    assert dump(dest) == dump(lake)
    assert shoplake.verify(str(dest), threads=2).ok


@proof
def test_stopped_before_the_swap_of_an_update(shop, monkeypatch):
    """The copy of before is still there, whole."""
    lake, dest = shop / "lake", shop / "dest"
    copy(lake, dest)
    before = dump(dest)
    batch(shop, 3)
    with monkeypatch.context() as patch:
        patch.setattr(LocalStorage, "swap", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            copy(lake, dest)
    assert dump(dest) == before
    assert copy(lake, dest).sent == 0, "all files were there"
    assert dump(dest) == dump(lake) != before


def test_a_copy_that_is_not_whole_is_not_published(made, tmp_path, monkeypatch):
    """Somebody removes a file of it while it is being made."""
    real = copying.run._Copy._write_metadata

    def lose_one(self, *given):
        next((tmp_path / "dest" / "events" / "data").rglob("*.parquet")).unlink()
        return real(self, *given)

    monkeypatch.setattr(copying.run._Copy, "_write_metadata", lose_one)
    with pytest.raises(FatalError, match="1 files of the copy are not there"):
        copy(made / "lake", tmp_path / "dest")
    assert not (tmp_path / "dest" / "catalog.json").exists()


# ---------------------------------------------------------------------------------------------------------- beside others


def test_an_erasure_in_between(shop, monkeypatch):
    """The files of the version are gone: the newer one is copied, and no byte of the person stays in the copy."""
    put(shop / "raw", 3, [event(900, user_id="u_of_a_person")])
    take_in(shop)
    copy(shop / "lake", shop / "dest")  # has the person
    assert holds(shop / "dest", b"u_of_a_person")
    batch(shop, 4)
    notes: list[str] = []
    erase = ("erase", "--user", "u_of_a_person", "--lake", shop / "lake", "--yes")
    once_before(monkeypatch, copying.run._Copy, "_send", lambda: command(*erase))
    report = copy(shop / "lake", shop / "dest", observer=shoplake.Observer(note=notes.append))
    assert "copying the newer version" in notes[0]
    assert report.version == Lake(shop / "lake").view().version
    assert dump(shop / "dest") == dump(shop / "lake")
    assert not holds(shop / "dest", b"u_of_a_person")


def holds(folder, text):
    """Whether a file has a text: dictionaries of one value are stored as they are."""
    from pyarrow import parquet

    rows = [parquet.read_table(path).to_pydict() for path in folder.rglob("*.parquet")]
    return text.decode() in str(rows)


def test_a_version_that_is_always_gone(made, tmp_path, monkeypatch):
    """After some attempts it gives up, and says that the next one goes on."""
    monkeypatch.setattr(Lake, "changed_since", lambda *_: True)
    lose(made, tmp_path)
    with pytest.raises(TransientError, match="could not be copied"):
        copy(tmp_path / "moved", tmp_path / "dest")


def lose(made, tmp_path):
    shutil.copytree(made / "lake", tmp_path / "moved")
    next((tmp_path / "moved" / "events" / "data").rglob("*.parquet")).unlink()


def test_a_damaged_lake_is_not_copied(made, tmp_path):
    """A file that is missing, or other than recorded, is named, and there is no lake at the other place."""
    lose(made, tmp_path)
    with pytest.raises(FatalError, match="is missing"):
        copy(tmp_path / "moved", tmp_path / "dest")
    shutil.rmtree(tmp_path / "moved")
    shutil.copytree(made / "lake", tmp_path / "moved")
    path = next((tmp_path / "moved" / "events" / "data").rglob("*.parquet"))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(FatalError, match=r"bytes instead of .*; the copy was not published"):
        copy(tmp_path / "moved", tmp_path / "dest")
    assert not (tmp_path / "dest" / "catalog.json").exists()


# ------------------------------------------------------------------------------------------------------- where it may go


def test_places_that_are_refused(shop, tmp_path):
    """Itself, a place inside, another lake, one that went its own way, a newer copy, data of others: all stay as they are."""
    lake = shop / "lake"
    put(shop / "other-raw", 0, events(3))
    ingest(shop / "other-raw", shop / "other")
    copy(lake, shop / "own")
    put(shop / "raw", 3, events(3, first=500))
    take_in(shop, "own")
    (shop / "data" / "events" / "data").mkdir(parents=True)
    (shop / "data" / "events" / "data" / "a.parquet").write_bytes(b"of others")
    (shop / "papers" / "2025").mkdir(parents=True)
    (shop / "papers" / "2025" / "thesis.txt").write_bytes(b"of others")
    copy(lake, shop / "older")
    batch(shop, 4)
    copy(lake, shop / "newer")
    before = tree(shop)
    for source, dest, why in (
        (lake, lake, "lie in one another"),
        (lake, lake / "inside", "lie in one another"),
        (lake, shop, "lie in one another"),
        (lake, shop / "other", "is another lake"),
        (lake, shop / "own", "changed since by runs of its own"),
        (shop / "newer", lake, "is not a copy of"),
        (shop / "older", shop / "newer", "is a copy of version"),
        (lake, shop / "data", "has files, but no lake: .*a.parquet"),
        (lake, shop / "other" / "events" / "copy", "is inside the lake"),
        (lake, shop / "papers", "has files, but no lake: .*thesis.txt"),
        (shop / "none", shop / "empty", "there is no lake at"),
    ):
        for dry_run in (True, False):
            with pytest.raises(UsageError, match=why):
                copy(source, dest, dry_run=dry_run)
    assert tree(shop) == before
    assert not (shop / "empty").exists()


@proof
def test_a_place_of_a_stopped_copy_of_another_lake(shop, monkeypatch):
    put(shop / "other-raw", 0, events(3))
    ingest(shop / "other-raw", shop / "other")
    with monkeypatch.context() as patch:
        patch.setattr(LocalStorage, "write", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            copy(shop / "other", shop / "dest")
    with pytest.raises(UsageError, match="a copy of another lake"):
        copy(shop / "lake", shop / "dest")


def test_what_a_copy_that_had_only_begun_may_leave(made, tmp_path):
    """Its locks, a file that was to be renamed, and the object that tries conditional writes on S3 are in nobody's way."""
    for name in (".lock", ".swap", ".copying.json.0f.new", "copying.json.0f"):
        (tmp_path / "dest").mkdir(exist_ok=True)
        (tmp_path / "dest" / name).write_bytes(b"")
    assert copy(made / "lake", tmp_path / "dest").version == Lake(made / "lake").view().version


def test_a_lake_that_was_moved(shop):
    """It is refused as what it is, with the command that makes it a lake again; which it does."""
    rows = dump(shop / "lake")
    (shop / "lake").rename(shop / "moved")
    before = tree(shop / "moved")
    for words in (
        ("query", "1"),
        ("status",),
        ("ingest", "--source", shop / "raw"),
        ("erase", "--user", "u_1", "--yes"),
        ("maintain",),
        ("acknowledge", "--from", "2025-11-18", "--to", "2025-11-19", "--reason", "closed"),
    ):
        told = command(*words, "--lake", shop / "moved")
        assert (told.code, f"shoplake copy {shop / 'moved'} DEST" in told.err) == (1, True), words
    assert tree(shop / "moved") == before
    copy(shop / "moved", shop / "again")
    assert dump(shop / "again") == rows


@proof
def test_restored(shop):
    """The way back from a backup to the lake's own place."""
    rows = dump(shop / "lake")
    copy(shop / "lake", shop / "backup")
    shutil.rmtree(shop / "lake")
    copy(shop / "backup", shop / "lake")
    assert dump(shop / "lake") == rows
    batch(shop, 3)
    assert len(dump(shop / "lake")["events"]) == len(rows["events"]) + 20
    assert copy(shop / "lake", shop / "second").version == Lake(shop / "lake").view().version


# ------------------------------------------------------------------------------------------------------------ the command


def test_command(made, tmp_path):
    """A dry run changes nothing; the figures are the same in each form."""
    lake, dest = made / "lake", tmp_path / "dest"
    told = command("copy", lake, dest, "--dry-run", "--format", "json")
    assert told.json["dry_run"]
    assert not dest.exists()
    done = command("copy", lake, dest, "--format", "json").json
    assert done | {"dry_run": True} == told.json
    assert list(done) == [
        *("lake", "dest", "version", "tables", "sent", "sent_bytes", "there", "removed", "up_to_date", "dry_run")
    ]
    told = command("copy", lake, dest)
    assert told.out == f"Nothing to do: {dest} has version {done['version']} already.\n"
    told = command("copy", lake, tmp_path / "second")
    assert f"of version {done['version']} to {tmp_path / 'second'}.\nCheck it: shoplake verify" in told.out
    assert command("copy", lake, tmp_path / "third", "--format", "csv").out.startswith(
        "table,files,rows,bytes\nevents,"
    )
