"""``shoplake erase --raw`` leaves the other lines of raw files byte for byte."""

import gzip
import random

import pytest

import shoplake
from shoplake.sources.local import LocalSource
from tests.behaviour.erase.support import PERSON, clean, erase, files, lines_of_person, mine, plain, rewritten, write
from tests.s3.path import S3Path
from tests.support import command, dump, event, everywhere, ingest, key, put, put_bytes


@everywhere
def test_raw_files_without_the_person(raw, lake, tmp_path, truth):
    """Rewritten raw files hold the other lines byte for byte; the lake is that of the raw files without the person."""
    write(tmp_path / "due", files(), without=True)
    ingest(raw, lake)
    arrived = {row["source_file"]: row["arrived_at"] for row in full_ledger(lake)}
    untouched = (raw / key(2)).stat().st_mtime_ns
    receipt = rewritten(raw, lake)
    for slot in files():
        content, due = (gzip.decompress((folder / key(slot)).read_bytes()) for folder in (raw, tmp_path / "due"))
        assert content == due
    assert (raw / key(2)).stat().st_mtime_ns == untouched
    if isinstance(raw, S3Path):
        assert raw.store.get(str((raw / key(0)).path)).attributes["Content-Encoding"] == "gzip"
    assert {one["file"] for one in receipt["raw"] if one["rewritten"]} == set(+lines_of_person(files()))
    assert plain(dump(lake)) == plain(truth)
    assert {row["source_file"]: row["arrived_at"] for row in full_ledger(lake)} == arrived
    clean(lake, raw)
    told = command("ingest", "--lake", lake, "--source", raw, "--format", "json")
    assert (told.json["files"], told.json["batches"]) == (0, 0)


def full_ledger(lake):
    with shoplake.open(str(lake)) as opened:
        return opened.sql("SELECT * FROM ledger").to_arrow_table().to_pylist()


def test_raw_after_an_erasure_without_it(raw, lake, truth):
    """Raw files can be rewritten later on: what was dropped is found by the ledger, duplicates by its links."""
    ingest(raw, lake)
    erase(lake)
    receipt = rewritten(raw, lake)
    assert {one["file"]: one["lines"] for one in receipt["raw"]} == +lines_of_person(files())
    assert plain(dump(lake)) == plain(truth)
    clean(lake, raw)


def test_raw_files_that_wait(raw, lake, truth):
    """Raw files that were not ingested yet are rewritten, too, and stay news."""
    (raw / key(1)).unlink()
    ingest(raw, lake)
    write(raw, files())
    receipt = rewritten(raw, lake)
    assert {one["file"] for one in receipt["raw"] if one["rewritten"]} == set(+lines_of_person(files()))
    assert ingest(raw, lake).files >= 1
    assert plain(dump(lake)) == plain(truth)


@pytest.mark.parametrize(
    ("lines", "newline"),
    [
        ([(event(1), False), (mine(2), True)], b"\n"),
        ([(mine(2), True), (event(1), False), (b"", False)], b"\n"),
        ([(mine(2), True)], b"\n"),
        ([(mine(2), True), (b"", False), (b"  ", False), (event(1), False), (mine(3), True), (b"", False)], b"\r\n"),
    ],
)
def test_shapes_of_raw_files(tmp_path, lines, newline):
    """Whatever ends the lines, and with or without a newline at the end: the other lines stay as they are."""
    raw, due, lake = tmp_path / "raw", tmp_path / "due", tmp_path / "lake"
    put(raw, 0, [line for line, _ in lines], newline=newline)
    put(due, 0, [line for line, about in lines if not about], newline=newline)
    ingest(raw, lake)
    rewritten(raw, lake)
    assert gzip.decompress((raw / key(0)).read_bytes()) == gzip.decompress((due / key(0)).read_bytes())
    clean(lake, raw)


def test_readers_of_a_raw_file_see_one_version(tmp_path):
    """A raw file is replaced at once: who reads it reads the old one to its end; its permissions stay."""
    path = tmp_path / put_bytes(tmp_path, 0, random.Random(1).randbytes(300_000))
    path.chmod(0o640)
    old = path.read_bytes()
    source = LocalSource(tmp_path)
    (file,) = source.list()
    with source.open(file) as reader:
        start = reader.read(10)
        source.replace(file, b"new")
        assert start + reader.read() == old
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o640
    assert list(path.parent.iterdir()) == [path]


def test_an_unreadable_raw_file(raw, lake):
    """A raw file that cannot be looked through is named, and the exit code says that it may still hold the person."""
    path = raw / key(4)
    path.write_bytes((raw / put(raw, 4, [mine(500)])).read_bytes()[:-9])
    ingest(raw, lake)
    told = command("erase", "--user", PERSON, "--lake", lake, "--source", raw, "--raw", "--yes", "--format", "json")
    assert told.code == 1
    assert [one["file"] for one in told.json["raw"] if one["error"]] == [key(4)]
    assert len([one for one in told.json["raw"] if one["rewritten"]]) == 4


def test_raw_files_that_are_gone(raw, lake):
    """A raw file of the person that is gone from the source is named as such."""
    ingest(raw, lake)
    (raw / key(15)).unlink()
    receipt = erase(lake, "--source", raw)
    assert [one["file"] for one in receipt["raw"] if one["gone"]] == [key(15)]


def test_raw_files_named_by_the_tables(raw, lake):
    """Without a source the receipt names the raw files that the tables know of."""
    ingest(raw, lake)
    assert {one["file"] for one in erase(lake)["raw"]} == set(+lines_of_person(files())) - {key(3)}
