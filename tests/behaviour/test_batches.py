"""A batch is bounded in every dimension, so that memory is, and what a kill costs; the tables are the same."""

from __future__ import annotations

import json
import random

import pyarrow.parquet as pq
import pytest

from shoplake.engines import duckdb, packing
from shoplake.ingestion import plan
from shoplake.lake.catalog import Lake
from tests.support import ENGINE, START, data_files, dump, event, ingest, put

embedded = pytest.mark.skipif(
    ENGINE == "spark", reason="the embedded engine's: a task of Spark holds one source file, and writes its data files"
)


@pytest.fixture
def shop(tmp_path):
    """Eight files of five events, of which one is late by three hours in each; and the tables of one batch over them."""
    for slot in range(8):
        lines = [event(100 * slot + number) for number in range(4)]
        late = START.replace(hour=START.hour - slot % 4)
        put(tmp_path / "raw", slot, [*lines, event(slot, timestamp=late.isoformat())])
    assert ingest(tmp_path / "raw", tmp_path / "one", threads=1).batches == 1
    return tmp_path


@pytest.mark.parametrize(
    ("module", "name", "value", "batches"),
    [
        pytest.param(duckdb, "_MOST_LINES", 15, 3, marks=embedded),
        pytest.param(duckdb, "_MOST_LINES", 1, 8, marks=embedded),
        pytest.param(duckdb, "_MOST_BYTES", 1, 8, marks=embedded),
        pytest.param(duckdb, "_MOST_HOURS", 2, 6, marks=embedded),
        (plan, "MOST_FILES", 3, 3),
    ],
)
def test_bounds(shop, monkeypatch, module, name, value, batches):
    """Lines, bytes in memory, hours that are touched, files: whichever is reached first ends a batch."""
    monkeypatch.setattr(module, name, value)
    done = ingest(shop / "raw", shop / "lake", threads=1)
    assert (done.batches, done.files, done.lines) == (batches, 8, 40)
    assert dump(shop / "lake") == dump(shop / "one")


@embedded
def test_broken_lines_count_too(tmp_path, monkeypatch):
    """Quarantined lines are in memory until their batch ends, so their bytes end one as well."""
    for slot in range(4):
        broken = random.Random(slot).randbytes(7000).replace(b"\n", b"")  # takes as much room compressed
        put(tmp_path / "raw", slot, [event(slot), broken])
    monkeypatch.setattr(duckdb, "_MOST_BYTES", 10_000)
    done = ingest(tmp_path / "raw", tmp_path / "lake", threads=1)
    assert (done.batches, done.quarantined) == (2, 4)


def test_files_that_the_lake_knows_are_done_together(shop, monkeypatch):
    """They may hold the same events, whose first one has to be found among all of them."""
    ingest(shop / "raw", shop / "lake", threads=1)
    for slot in range(8):
        put(shop / "raw", slot, [event(number) for number in range(5)])
    monkeypatch.setattr(duckdb, "_MOST_LINES", 1)
    done = ingest(shop / "raw", shop / "lake", threads=1)
    assert (done.batches, done.accepted, done.duplicates) == (1, 5, 35)


@embedded
def test_small_files_of_an_hour_share_a_data_file(tmp_path):
    """A hundred files cost a hundred lines of the ledger, and not a hundred Parquet files; each can still be replaced."""
    source, lake = tmp_path / "raw", tmp_path / "lake"
    for slot in range(12):
        put(source, slot, [event(100 * slot + number) for number in range(5)])
    ingest(source, lake, threads=2)
    (path,) = data_files(lake, "events")
    put(source, 3, [event(9_000)])
    assert ingest(source, lake, threads=2).accepted == 1
    assert path not in data_files(lake, "events")
    put(tmp_path / "others", 3, [event(9_000)])
    for slot in (0, 1, 2, *range(4, 12)):
        put(tmp_path / "others", slot, [event(100 * slot + number) for number in range(5)])
    ingest(tmp_path / "others", tmp_path / "second", threads=2)
    assert dump(lake) == dump(tmp_path / "second")


@embedded
def test_larger_ones_have_their_own(tmp_path, monkeypatch):
    """What is replaced by itself is written by itself, as far as that costs little."""
    monkeypatch.setattr(packing, "FEW_ROWS", 5)
    for slot, rows in enumerate((5, 2, 2, 1, 6)):
        put(tmp_path / "raw", slot, [event(100 * slot + number) for number in range(rows)])
    ingest(tmp_path / "raw", tmp_path / "lake", threads=2)
    files = Lake(str(tmp_path / "lake")).view()["events"].files
    assert sorted(file.rows for file in files) == [5, 5, 6]


@embedded
def test_unknown_keys_of_files_that_share_a_data_file(tmp_path):
    """Some have few different values in many lines, some have others in each, some have none."""
    source, lake = tmp_path / "raw", tmp_path / "lake"
    more: tuple[list[dict[str, str]], ...] = (
        [{"currency": "EUR"}] * 8,
        [{"request": f"r{number}"} for number in range(8)],
        [{}] * 8,
    )
    for slot, of_file in enumerate(more):
        put(source, slot, [event(100 * slot + number) | extra for number, extra in enumerate(of_file)])
    ingest(source, lake, threads=2)
    (path,) = data_files(lake, "events")
    stored = pq.read_table(path).sort_by("event_time").column("extra").to_pylist()
    assert [json.loads(extra or "{}") for extra in stored] == [extra for of_file in more for extra in of_file]
