"""Maintenance removes what nothing needs any more, and nothing that anybody needs."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import shoplake
from shoplake.errors import FatalError
from shoplake.lake import metadata
from shoplake.lake.catalog import Lake
from shoplake.lake.commits import Commit
from shoplake.operations.maintain import vacuum
from shoplake.operations.maintain.run import MaintenanceRequest, maintain
from tests.behaviour.maintain.support import DAY, LATER, between, hours, named, put_orphan, right, some, stored, tidy
from tests.support import START, command, data_files, dump, ingest, put


def test_orphans_go_after_a_while(shop):
    """What a killed run left is removed once it is older than the grace period, and nothing else is."""
    lake = shop / "lake"
    old, young = (
        put_orphan(lake),
        put_orphan(lake, timedelta(hours=20)).rename(lake / "events" / "data" / "young.parquet"),
    )
    old = put_orphan(lake)
    before = stored(lake)
    report = maintain(MaintenanceRequest(Lake(lake), closed_after=10000 * DAY))
    assert [file.location for file in report.removed] == [str(old)]
    assert stored(lake) == before - {str(old)}
    report = maintain(MaintenanceRequest(Lake(lake), closed_after=10000 * DAY, older_than=timedelta(hours=19)))
    assert [file.location for file in report.removed] == [str(young)]
    assert right(shop)


def test_files_of_others_stay(shop):
    """What somebody else put into the folder of a table is not of the lake: neither maintenance nor an erasure removes it."""
    lake = shop / "lake"
    theirs = [
        put_orphan(lake).rename(lake / "events" / "theirs.parquet"),
        lake / "events" / "year=2025" / "raw.jsonl.gz",
    ]
    theirs[1].parent.mkdir()
    os.link(theirs[0], theirs[1])
    assert maintain(MaintenanceRequest(Lake(lake), closed_after=10000 * DAY)).removed == []
    assert command("erase", "--user", "u_1", "--lake", lake, "--yes").code == 0
    assert all(path.exists() for path in theirs)
    assert "orphans" not in [note.what for note in shoplake.verify(lake, threads=2).notes]


def test_files_of_a_run_in_progress_stay(shop):
    """What was written since the newest batch may become part of the lake: it stays, however short the grace period is."""
    put(shop / "raw", 60, some(60))
    lake = Lake(shop / "lake")
    with Commit(lake, lake.view(), START.replace(tzinfo=None), {}) as commit:
        new = commit.new_location(commit.base["events"].table, START.replace(tzinfo=None))
        Path(new).write_bytes(b"will be named soon")
        vacuum.remove(lake, vacuum.find(lake, LATER, timedelta(0)))
        assert Path(new).exists()


def test_killed_ingest(shop, monkeypatch):
    """The files of an ingest that dies before the swap are all removed after the next batch and the grace period."""
    clean = stored(shop / "lake")
    put(shop / "raw", 60, some(60))
    with monkeypatch.context() as patch:
        patch.setattr(Lake, "swap", lambda *_: 1 / 0)
        patch.setattr(Commit, "__exit__", lambda *_: None)
        with pytest.raises(ZeroDivisionError):
            ingest(shop / "raw", shop / "lake")
    left = stored(shop / "lake") - clean
    assert len(left) > 10
    ingest(shop / "raw", shop / "lake")
    assert {file.location for file in tidy(shop / "lake").removed} == left
    assert right(shop)


def test_history(shop, monkeypatch):
    """Files go with the last snapshot that names them, no sooner: all kept snapshots stay readable."""
    monkeypatch.setattr(metadata, "SNAPSHOTS_KEPT", 6)
    monkeypatch.setattr(vacuum, "SNAPSHOTS_KEPT", 6)
    lake = shop / "lake"
    tidy(lake)
    merged = named(lake)
    for slot in range(60, 70):
        put(shop / "raw", slot, some(slot))
        ingest(shop / "raw", lake)
    before = stored(lake)
    report = tidy(lake, LATER + DAY)
    gone = {file.location for file in report.removed if not file.location.endswith(".keys")}
    assert gone
    at_once = {path for path in before if path.endswith(("metadata.json", ".keys"))}
    assert gone == before - stored(lake) - at_once
    assert merged & data_files(lake, "events").keys() <= stored(lake)
    assert right(shop)


def test_busy_tables_are_spared(shop, monkeypatch):
    """A table that saw so many batches of late that an open reader may still need old files is left for a later run."""
    monkeypatch.setattr(metadata, "SNAPSHOTS_KEPT", 6)
    monkeypatch.setattr(vacuum, "SNAPSHOTS_KEPT", 6)
    for slot in range(60, 70):
        put(shop / "raw", slot, some(slot))
        ingest(shop / "raw", shop / "lake")
    orphan = put_orphan(shop / "lake")
    report = maintain(MaintenanceRequest(Lake(shop / "lake"), closed_after=10000 * DAY))
    assert "events" in report.retained
    assert report.removed == []
    assert orphan.exists()


def test_maintenance_keeps_the_history_of_batches(shop, monkeypatch):
    """However many commits maintenance makes, it takes the place of one snapshot."""
    monkeypatch.setattr(metadata, "SNAPSHOTS_KEPT", 6)
    for slot in range(60, 70):
        put(shop / "raw", slot, some(slot))
        ingest(shop / "raw", shop / "lake")
    tidy(shop / "lake")
    summaries = [one["summary"] for one in Lake(shop / "lake").view()["events"].history]
    assert [one["operation"] for one in summaries] == ["append"] * 5 + ["replace"]


def test_no_history_and_no_grace(shop):
    """After a commit that forgets the history, every file that the newest snapshots do not name can go at once."""
    lake = Lake(shop / "lake")
    tidy(shop / "lake")
    orphan = put_orphan(shop / "lake", timedelta(seconds=1))
    os.utime(lake.catalog_location)
    before = dump(shop / "lake")
    with Commit(lake, lake.view(), datetime.now(UTC).replace(tzinfo=None), {}) as commit:
        commit.expire_snapshots()
        commit.publish()
    vacuum.remove(lake, vacuum.find(lake, datetime.now(UTC), timedelta(0)))
    assert not orphan.exists()
    assert {path for path in stored(shop / "lake") if path.endswith(".parquet")} == named(shop / "lake")
    for table in lake.view().tables.values():
        if table.snapshot is None:  # nobody was erased
            continue
        assert [one["snapshot-id"] for one in table.history] == [table.snapshot_id]
        lists = {path for path in stored(shop / "lake") if f"/{table.table.name}/metadata/" in path}
        assert lists == {
            table.location,
            table.snapshot["manifest-list"],
            metadata.hint_location(table.folder),
            *(manifest["manifest_path"] for manifest in table.manifests),
        }
    assert dump(shop / "lake") == before
    assert right(shop)


def test_through_a_link(shop, tmp_path):
    """A lake is the same lake under another name of its folder."""
    (tmp_path / "link").symlink_to(shop)
    put(shop / "raw", 60, some(60))
    ingest(shop / "raw", tmp_path / "link" / "lake")
    tidy(tmp_path / "link" / "lake")
    assert hours(shop / "lake") == [1] * 4
    assert right(shop)


def test_damaged_lake_is_left_alone(shop):
    """From a lake that lacks a data file nothing is removed, and the file is named."""
    missing = next(iter(data_files(shop / "lake", "user_hourly")))
    Path(missing).unlink()
    orphan = put_orphan(shop / "lake")
    with pytest.raises(FatalError, match=Path(missing).name):
        tidy(shop / "lake")
    assert orphan.exists()


def test_file_that_cannot_be_read(shop, monkeypatch):
    """A data file that goes missing while files are merged is an error, not a reason to go on without it."""
    doomed = next(iter(data_files(shop / "lake", "quarantine")))
    between(monkeypatch, Path(doomed).unlink)
    with pytest.raises(FatalError, match="is missing"):
        tidy(shop / "lake")


def test_disk_full(shop, monkeypatch):
    """No room for a merged file: a clear error, and the lake is as it was."""
    before = dump(shop / "lake"), stored(shop / "lake")

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("shoplake.storage.local.LocalStorage.write", full)
        with pytest.raises(FatalError, match="No space left"):
            tidy(shop / "lake")
    assert (dump(shop / "lake"), stored(shop / "lake")) == before
