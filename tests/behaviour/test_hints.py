"""Readers without a catalog find the newest state of a table in a folder, and nothing rests on what tells them."""

import errno
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from pyiceberg.table import StaticTable

import shoplake
from shoplake.lake.catalog import Lake
from shoplake.lake.metadata import hint_location
from shoplake.storage.local import LocalStorage
from shoplake.tables import TABLES
from tests.support import command, events, ingest, once_before, proof, put


@pytest.fixture
def shop(tmp_path):
    """A lake of two batches."""
    for slot in range(2):
        batch(tmp_path, slot)
    return tmp_path


def batch(shop, slot):
    put(shop / "raw", slot, events(9, first=10 * slot))
    ingest(shop / "raw", shop / "lake")


def hinted(lake):
    """The document that each table's hint names."""
    folders = {table.name: lake / table.name for table in TABLES}
    return {
        name: f"{folder}/metadata/{Path(hint_location(str(folder))).read_text()}.metadata.json"
        for name, folder in folders.items()
    }


def named(lake):
    """The document of each table that the catalog names."""
    return {name: table.location for name, table in Lake(lake).view().tables.items()}


def test_a_table_is_found_by_its_folder(shop):
    """PyIceberg reads a table by its folder alone, as DuckDB's iceberg_scan does, and lists its files."""
    with shoplake.open(shop / "lake") as opened:
        for name in ("events", "product_hourly", "ledger"):
            table = StaticTable.from_metadata(str(shop / "lake" / name))
            assert table.scan().to_arrow().num_rows == opened.sql(f"SELECT * FROM {name}").shape[0]


def test_what_is_known_of_the_files(shop):
    """PyIceberg's own tables of the metadata work; the sizes of columns are those of the Parquet files."""
    put(shop / "raw", 2, [b"broken"])
    ingest(shop / "raw", shop / "lake")
    for name in ("events", "quarantine"):  # which has a list
        inspect = StaticTable.from_metadata(str(shop / "lake" / name)).inspect
        files = inspect.files().to_pylist()
        assert len(files) == inspect.entries().num_rows > 0
        for file in files:
            groups = pq.read_metadata(file["file_path"]).to_dict()["row_groups"]
            columns = [column for group in groups for column in group["columns"]]
            sizes = {column["path_in_schema"]: column["total_compressed_size"] for column in columns}
            assert sorted(size for _, size in file["column_sizes"]) == sorted(sizes.values())
            shown = {column: metrics["column_size"] for column, metrics in file["readable_metrics"].items()}
            assert {column: shown[column] for column in shown if column in sizes}.items() <= sizes.items()


def test_they_follow_every_change(shop):
    """A batch, an erasure, maintenance and a recovery: what the hints name is what the catalog names."""
    lake = shop / "lake"
    assert hinted(lake) == named(lake)
    assert command("erase", "--user", "u_3", "--lake", lake, "--yes").code == 0
    assert hinted(lake) == named(lake)
    (lake / "catalog.json").unlink()
    for table in TABLES:
        Path(hint_location(str(lake / table.name))).write_text("other")
    assert command("recover", "--lake", lake, "--yes").code == 0
    assert hinted(lake) == named(lake)
    before = hinted(lake)
    assert command("maintain", "--lake", lake, "--closed-after", "0").code == 0
    assert before != hinted(lake) == named(lake)
    told = command("verify", "--lake", lake, "--format", "json").json
    assert [note for note in told["notes"] if "version-hint" in str(note)] == []


def test_a_run_that_ends_before_its_hints(shop, monkeypatch):
    """They name the state before, which is still there to read; the next batch sets all of them right."""
    lake, before = shop / "lake", hinted(shop / "lake")
    with monkeypatch.context() as patch:
        once_before(patch, LocalStorage, "hint", lambda: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            batch(shop, 2)
    assert before == hinted(lake) != named(lake)
    assert StaticTable.from_metadata(str(lake / "events")).scan().to_arrow().num_rows == 18
    batch(shop, 3)
    assert hinted(lake) == named(lake)


def test_one_that_comes_late_turns_nothing_back(shop, unlocked, monkeypatch):
    """A run that is overtaken between its swap and its hints names what the newest catalog does."""
    once_before(monkeypatch, LocalStorage, "hint", lambda: batch(shop, 3))
    batch(shop, 2)
    assert Lake(shop / "lake").view().version == 5
    assert hinted(shop / "lake") == named(shop / "lake")


def test_a_full_disk_keeps_hints_alone(shop, monkeypatch):
    """The batch was published by then, and is reported so."""
    lake, before = shop / "lake", hinted(shop / "lake")

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(LocalStorage, "hint", full)
    batch(shop, 2)
    assert before == hinted(lake) != named(lake)


@proof
@pytest.mark.s3
def test_on_s3_there_are_none(s3_place):
    """They would be one more write for each table and batch, for readers that can ask the catalog."""
    batch(s3_place, 0)
    lake = Lake(str(s3_place / "lake"))
    assert [file for file in lake.storage.list(lake.root) if file.location.endswith("version-hint.text")] == []
