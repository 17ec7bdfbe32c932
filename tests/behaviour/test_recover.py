"""Recovering: a lost or damaged catalog is rebuilt from the newest whole state, and never a good one."""

import json
import shutil
import sys

import click
import pytest

from shoplake.errors import FatalError, MissingFileError
from shoplake.lake.catalog import Lake
from shoplake.lake.commits import Commit
from shoplake.storage.local import LocalStorage
from tests.support import command, dump, events, everywhere, ingest, put


def build(place):
    put(place / "raw", 0, [*events(20), b"broken"])
    ingest(place / "raw", place / "lake")
    put(place / "raw", 1, events(20, first=15))
    ingest(place / "raw", place / "lake")


@pytest.fixture
def shop(as_built):
    """Two batches, with a broken line and a duplicate."""
    place = as_built(build)
    return place / "raw", place / "lake"


def lost(lake):
    (lake / "catalog.json").unlink()


def recover(lake, *words):
    return command("recover", "--lake", lake, "--yes", *words)


def documents(lake, table):
    """A table's metadata documents, the newest last."""
    return sorted((lake / table / "metadata").glob("*.metadata.json"), key=lambda path: path.name)


@everywhere
def test_a_lost_catalog(shop):
    """It comes back as it was, with a higher version, and runs go on from there."""
    source, lake = shop
    before, version = dump(lake), Lake(str(lake)).view().version
    lost(lake)
    shown = recover(lake, "--dry-run", "--format", "json").json
    assert (shown["state"], shown["files"], shown["passed_over"], shown["dry_run"]) == (version, 2, [], True)
    assert "catalog.json is missing" in shown["damage"]
    assert shown["rows"]["events"] == len(before["events"])
    assert not (lake / "catalog.json").exists()
    told = recover(lake)
    assert (told.code, told.err) == (0, "")
    assert dump(lake) == before
    assert Lake(str(lake)).view().version == version + 1
    assert ingest(source, lake).files == 0
    put(source, 2, events(20, first=40))
    assert ingest(source, lake).accepted == 20
    assert command("verify", "--lake", lake, "--source", source).code == 0


@pytest.mark.parametrize(
    "damage", [b"", b"no catalog", b"[]", b"{}", b'{"format": 2, "version": 2, "tables": {}}', None]
)
def test_a_damaged_catalog(shop, damage):
    """It is replaced, and kept beside the new one."""
    _, lake = shop
    before, catalog = dump(lake), (lake / "catalog.json").read_bytes()
    damage = catalog[:-30] if damage is None else damage
    (lake / "catalog.json").write_bytes(damage)
    told = recover(lake)
    assert told.code == 0
    assert "Error(" not in told.out + told.err
    assert dump(lake) == before
    (kept,) = lake.glob("catalog-damaged-*.json")
    assert kept.read_bytes() == damage


def refused(lake, code, *words):
    before = (lake / "catalog.json").read_bytes()
    told = recover(lake)
    assert (told.code, told.out, (lake / "catalog.json").read_bytes()) == (code, "", before)
    for word in words:
        assert word in told.err


def test_a_good_catalog_is_never_touched(shop, tmp_path):
    """Neither one that is whole, nor one that is for another version or another place."""
    _, lake = shop
    refused(lake, 2, "is good")
    shutil.copytree(lake, tmp_path / "copy")
    refused(tmp_path / "copy", 1, "is a copy, or was moved")
    catalog = json.loads((lake / "catalog.json").read_text())
    (lake / "catalog.json").write_text(json.dumps(catalog | {"format": 99}))
    refused(lake, 1, "format 99")


def test_a_copy_without_its_catalog(shop, tmp_path):
    """Its tables refer to the original's files: no catalog makes it a lake of its own."""
    shutil.copytree(shop[1], tmp_path / "copy")
    lost(tmp_path / "copy")
    told = recover(tmp_path / "copy")
    assert (told.code, str(shop[1]) in told.err) == (1, True)
    assert not (tmp_path / "copy" / "catalog.json").exists()


def drop_document(lake):
    documents(lake, "ledger")[-1].unlink()


def damage_document(lake):
    documents(lake, "events")[-1].write_text("{}")


def drop_data(lake):
    newest = json.loads(documents(lake, "events")[-1].read_text())
    files = {file.path for file in Lake(lake).view()["events"].files}
    assert newest["current-snapshot-id"]
    by_age = sorted((lake / "events" / "data").rglob("*.parquet"), key=lambda path: path.stat().st_mtime_ns)
    assert str(by_age[-1]) in files
    by_age[-1].unlink()


def drop_manifests(lake):
    newest = json.loads(documents(lake, "product_hourly")[-1].read_text())
    (lake / newest["snapshots"][-1]["manifest-list"]).write_bytes(b"no avro")


@pytest.mark.parametrize("damage", [drop_document, damage_document, drop_data, drop_manifests])
def test_the_newest_whole_state(shop, damage):
    """A state that lacks something is passed over with the reason; what came after the older one is ingested again, once."""
    source, lake = shop
    before = dump(lake)
    damage(lake)
    lost(lake)
    found = recover(lake, "--format", "json").json
    assert [state["state"] for state in found["passed_over"]] == [found["state"] + 1]
    assert found["passed_over"][0]["reason"]
    assert found["files"] == 1
    assert ingest(source, lake).files == 1
    assert dump(lake) == before


def test_a_metadata_document_that_is_lost_with_a_catalog_that_is_not(shop):
    """The catalog names it, so it is damaged, and an older state can be recovered."""
    source, lake = shop
    before = dump(lake)
    drop_document(lake)
    with pytest.raises(MissingFileError):
        Lake(lake).view()
    assert recover(lake).code == 0
    ingest(source, lake)
    assert dump(lake) == before


@pytest.mark.parametrize("written", [3, None], ids=["among the documents", "before the swap"])
def test_a_killed_run_and_a_lost_catalog(shop, monkeypatch, written):
    """What a killed run had written is recovered whole or not at all, and nothing is there twice after the next run."""
    source, lake = shop
    put(source, 2, [*events(20, first=30), *events(1, first=3)])
    real, seen = LocalStorage.write, []

    def write(self, location, content):
        if location.endswith(".metadata.json"):
            seen.append(location)
            if len(seen) == written:
                raise KeyboardInterrupt
        real(self, location, content)

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Commit, "_clean_up", lambda *_: None)
        patch.setattr(LocalStorage, "write", write)
        patch.setattr(LocalStorage, "swap", killed)
        with pytest.raises(KeyboardInterrupt):
            ingest(source, lake)
    lost(lake)
    found = recover(lake, "--format", "json").json
    assert found["files"] == (2 if written else 3)
    assert ingest(source, lake).files == (1 if written else 0)
    assert command("verify", "--lake", lake, "--source", source).code == 0
    assert len(dump(lake)["events"]) == 50


def test_nothing_to_recover_from(shop):
    """Where no state is whole, the reasons are told, and no catalog is written."""
    _, lake = shop
    shutil.rmtree(lake / "user_hourly")
    lost(lake)
    told = recover(lake)
    assert (told.code, "no state of" in told.err, "user_hourly" in told.err) == (1, True, True)
    assert not (lake / "catalog.json").exists()
    assert recover(lake / "nowhere").code == 2


def test_it_asks(shop, monkeypatch):
    """Without a terminal it needs --yes; on one, no answer but yes writes anything."""
    _, lake = shop
    lost(lake)
    told = command("recover", "--lake", lake)
    assert (told.code, "Give --yes" in told.err) == (2, True)
    assert "Newest whole state: version 3" in told.out
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)

    def refuse(*_, **__):
        raise click.Abort

    monkeypatch.setattr(click, "confirm", refuse)
    assert command("recover", "--lake", lake).code == 130
    assert not (lake / "catalog.json").exists()
    monkeypatch.setattr(click, "confirm", lambda *_, **__: True)
    assert command("recover", "--lake", lake).code == 0
    assert (lake / "catalog.json").exists()


def test_a_catalog_that_was_written_in_between(shop, monkeypatch):
    """Whoever was first stays."""
    _, lake = shop
    catalog = (lake / "catalog.json").read_bytes()
    lost(lake)
    real = LocalStorage.swap

    def swap(self, location, old, new):
        (lake / "catalog.json").write_bytes(catalog)
        return real(self, location, old, new)

    monkeypatch.setattr(LocalStorage, "swap", swap)
    told = recover(lake)
    assert (told.code, "was written in between" in told.err) == (1, True)
    assert (lake / "catalog.json").read_bytes() == catalog


def test_a_lake_that_cannot_be_read_is_not_damaged(shop, monkeypatch):
    """A permission that is missing may come back."""
    _, lake = shop

    def denied(self, location):
        raise FatalError(f"{location} cannot be read: Permission denied")

    monkeypatch.setattr(LocalStorage, "read_if_there", denied)
    told = recover(lake)
    assert (told.code, "cannot be read" in told.err) == (1, True)
