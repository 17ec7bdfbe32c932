"""What is merged is stored twice for a while: maintenance that looks after a lake by itself keeps that within bounds."""

import math
import os
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from shoplake.engines.duckdb import DuckDBEngine
from shoplake.generator.files import generate_files
from shoplake.ingestion import pipeline
from shoplake.lake.catalog import Lake
from shoplake.lake.snapshots import DataFile, keys_location
from shoplake.operations import upkeep
from shoplake.operations.maintain import compact, space
from shoplake.settings import Settings
from shoplake.sources.local import LocalSource
from shoplake.tables import TABLES, UNIT_TABLES
from tests.behaviour.maintain.support import LATER, hours, some, tidy
from tests.support import START, answers, oracle, proof, put

SLOT, MOST = timedelta(minutes=5), 1.5


@pytest.fixture(autouse=True)
def every_byte_counts(monkeypatch):
    """Also in lakes as small as these."""
    monkeypatch.setattr(space, "FREE", 0)


def data_and_keys(lake):
    """Bytes of data files and keys that are stored, and of those that the newest tables use."""
    sizes = {str(path): path.stat().st_size for path in Path(lake).rglob("data/**/*.*")}
    used = [file.path for table in Lake(lake).view().tables.values() for file in table.files]
    return sum(sizes.values()), sum(sizes[path] + sizes.get(keys_location(path), 0) for path in used)


def ratio(lake):
    stored, used = data_and_keys(lake)
    return stored / used


def test_merging_waits_where_the_old_files_would_take_too_much(shop):
    lake = shop / "lake"
    before = hours(lake)
    assert max(before) > 1
    assert tidy(lake, most_stored=ratio(lake)).merged == {}
    assert hours(lake) == before
    tidy(lake, most_stored=math.inf)
    assert max(hours(lake)) == 1


def test_what_there_is_room_for_is_merged(shop):
    """The bound holds afterwards, and more room merges the rest."""
    lake = shop / "lake"
    most = ratio(lake) * 1.1
    assert tidy(lake, most_stored=most).merged
    assert ratio(lake) <= most
    assert tidy(lake, most_stored=100).merged
    assert max(hours(lake)) == 1
    assert not tidy(lake).merged


@pytest.mark.parametrize(
    ("settings", "tables", "groups"),
    [
        ({"maintain_every": 100}, {"user_hourly", "session_hourly"}, 6),
        ({"maintain_every": 1}, {table.name for table in TABLES} - {"erasures"}, 18),
        ({"maintain_every": 1, "maintain_bytes": 1}, {"user_hourly"}, 1),
    ],
    ids=["the parts of an hour", "all that is closed", "one group"],
)
def test_settings_say_how_often_and_how_much_a_run_merges(shop, monkeypatch, settings, tables, groups):
    lake, real = shop / "lake", compact.merge
    merged: list[str] = []

    def merge(group, *rest):
        merged.append(group.table.name)
        return real(group, *rest)

    monkeypatch.setattr(compact, "merge", merge)
    put(shop / "raw", 300, some(300))
    _arrive(shop / "raw", lake, DuckDBEngine(1), LATER, maintain_stored=100, **settings)
    assert set(merged) == tables
    assert len(merged) == groups
    assert answers(lake) == oracle(lake)


@proof
def test_two_days_of_arrivals_store_at_most_half_as_much_again(tmp_path, monkeypatch):
    """A file every five minutes, and nothing but what each run does by itself; every file has the age that it would have."""
    monkeypatch.setattr(os, "fsync", lambda _: None)
    raw, lake = tmp_path / "raw", tmp_path / "lake"
    engine = DuckDBEngine(1)
    seen: set[Path] = set()
    ratios, removed = [], 0
    for number in range(2 * 288 + 24):
        at = START + number * SLOT
        generate_files(raw, 1, (3000, 3000), at, 42)
        assert _arrive(raw, lake, engine, at + 2 * SLOT).files == 1
        ratios.append(ratio(lake))
        there = {path for path in lake.rglob("*.*") if path.is_file()}
        for path in [*(there - seen), lake / "catalog.json"]:
            os.utime(path, ((at + 2 * SLOT).timestamp(),) * 2)
        removed += sum(path.suffix == ".parquet" for path in seen - there)
        seen = there
    assert max(ratios) <= MOST
    merged = [len(files) == 1 for files in _of_hours(lake)]
    assert merged[:24] == [True] * 24
    assert removed > 24 * 12
    assert answers(lake) == oracle(lake)
    for table in UNIT_TABLES:
        assert len(Lake(lake).view()[table.name].files) < 5 * 12


def _arrive(raw, lake, engine, now, **settings):
    chosen = Settings(threads=1, **settings)
    run = pipeline.Run(Lake(lake), LocalSource(raw), lambda: engine, chosen, now=lambda: now)
    return upkeep.ingest(run)


def _of_hours(lake):
    """The data files of each hour of events, in order."""
    found: dict[datetime, list[DataFile]] = {}
    for file in Lake(lake).view()["events"].files:
        found.setdefault(file.lower["event_time"].replace(minute=0, second=0, microsecond=0), []).append(file)
    return [found[hour] for hour in sorted(found)]
