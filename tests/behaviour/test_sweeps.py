"""Runs between two sweeps look at the newest files of a source alone; a sweep finds whatever else is new."""

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from shoplake.engines import choose
from shoplake.health import status
from shoplake.ingestion import discover, pipeline, plan
from shoplake.lake import ledger as ledgers
from shoplake.lake import settled
from shoplake.lake.catalog import Lake
from shoplake.settings import Settings
from shoplake.sources.local import LocalSource
from shoplake.sources.open import open_source
from shoplake.storage.local import LocalStorage
from tests.s3.counted import Counted
from tests.s3.server import KEYS
from tests.support import (
    SLOT,
    START,
    as_line,
    dump,
    event,
    events,
    everywhere,
    ingest,
    key,
    ledger,
    once_before,
    prepare,
    put,
)

NOW = datetime(2025, 11, 18, 18, tzinfo=UTC)
FILES = 8


@pytest.fixture(autouse=True)
def few(monkeypatch):
    """The newest are three."""
    monkeypatch.setattr(plan, "NEWEST", 3)


def run(place, minutes=0, **settings):
    """Ingest what is new, so many minutes after the first run; returns how many files that were."""
    return pipeline.ingest(at(place, minutes, **settings)).files


def at(place, minutes, **settings):
    """A run at that time."""
    now = NOW + timedelta(minutes=minutes)
    return replace(prepare(place / "raw", place / "lake", **settings), now=lambda: now)


def fill(place, *slots):
    for slot in slots:
        put(place / "raw", slot, events(6, 6 * slot))


def passed_over(place):
    known = settled.read(Lake(str(place / "lake")).view()["ledger"])
    return known and known.path


def is_exact(place):
    """Whether the lake is as one that a single run filled with all that the source has."""
    fresh = place / "fresh"
    ingest(place / "raw", fresh)
    return dump(place / "lake") == dump(fresh)


@everywhere
def test_a_straggler_and_a_replaced_file_wait_for_the_next_sweep_at_most(place):
    """Until then each run takes in what is new among the newest; a sweep makes the lake exact."""
    fill(place, *range(0, FILES, 2), FILES)
    assert run(place) == 5
    fill(place, 1, FILES + 1)
    put(place / "raw", 0, events(4, 100))
    assert run(place, 5) == 1
    assert run(place, 59) == 0
    assert key(1) not in ledger(place / "lake")
    assert run(place, 60) == 2
    assert is_exact(place)


def test_older_folders_and_entries_of_the_ledger_are_not_read(tmp_path, monkeypatch):
    """What a run between sweeps reads depends on the newest files alone."""
    monkeypatch.setattr(ledgers, "LEDGER_FILES", 100)
    for hours, slots in enumerate([(0, 1), (2, 3, 4), (5, 6, 7)]):
        fill(tmp_path, *slots)
        run(tmp_path, 60 * hours)
    opened, scandir = [], os.scandir

    def noted(folder):
        opened.append(folder[-2:])
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", noted)
    lake = Lake(str(tmp_path / "lake"))
    view = lake.view()
    after = discover.settled_before(view, NOW + timedelta(minutes=125), 60)
    found = discover.look(open_source(str(tmp_path / "raw")), lake, Settings(), view, after=after)
    assert [file.path for file in found.listing] == [key(slot) for slot in range(FILES - 3, FILES)]
    assert (found.plan.files, found.plan.known) == (0, FILES)
    assert {"20", "25", "30", "35"} <= set(opened)  # the last one that is settled is in the first of them
    assert "15" not in opened
    read_all, read = LocalStorage.read_all, []

    def counted(storage, places):
        read.append(len(places))
        return read_all(storage, places)

    monkeypatch.setattr(LocalStorage, "read_all", counted)
    assert list(ledgers.plan_entries(view["ledger"], after)) == [file.path for file in found.listing]
    assert read == [1]


def test_every_run_can_look_at_the_whole(tmp_path):
    """With sweep_minutes = 0, and when a file is set aside by hand or announced, whatever its name."""
    fill(tmp_path, *range(1, FILES))
    run(tmp_path)
    fill(tmp_path, 0)
    assert run(tmp_path, 5) == 0
    announced = replace(at(tmp_path, 5), announced=frozenset([key(0)]))
    assert pipeline.ingest(announced).files == 1
    put(tmp_path / "raw", 0, events(4, 100))
    assert run(tmp_path, 6, sweep_minutes=0) == 1
    put(tmp_path / "raw", 1, [b"\x1f\x8b broken"])
    aside = replace(at(tmp_path, 7), set_aside=frozenset([key(1)]))
    assert [failure["file"] for failure in pipeline.ingest(aside).failures] == [key(1)]


@pytest.mark.parametrize("names", ["no times", "not in order"])
def test_a_source_where_new_files_may_come_first_is_looked_at_whole(tmp_path, names):
    """Then only the ledger knows what is new."""
    fill(tmp_path, *range(FILES))
    if names == "no times":
        put(tmp_path / "raw", "other.jsonl", events(1, 200))
    else:
        put(tmp_path / "raw", f"zone-b/{key(0)}", events(1, 200))
    run(tmp_path)
    assert passed_over(tmp_path) is None
    put(tmp_path / "raw", "early.jsonl" if names == "no times" else "earlier-" + key(0), events(1, 300))
    assert run(tmp_path, 5) == 1


def test_what_could_not_be_read_is_looked_at_by_every_run(tmp_path):
    """A file that a run had to leave is not settled, nor is a folder that could not be listed."""
    fill(tmp_path, *range(FILES))
    first = tmp_path / "raw" / key(0)
    first.rename(first.with_suffix(".away"))
    first.symlink_to(first)
    run(tmp_path)
    assert passed_over(tmp_path) is None
    first.unlink()
    first.with_suffix(".away").rename(first)
    assert run(tmp_path, 5) == 1
    assert passed_over(tmp_path) == key(FILES - 4)
    assert is_exact(tmp_path)


def test_a_file_that_vanished_is_not_settled(tmp_path, monkeypatch):
    """It was listed and is gone when it is to be read; it may be back at once."""
    fill(tmp_path, *range(FILES))
    first = tmp_path / "raw" / key(0)
    once_before(monkeypatch, LocalSource, "open", lambda: first.rename(first.with_suffix(".away")))
    assert run(tmp_path) == FILES - 1
    first.with_suffix(".away").rename(first)
    assert run(tmp_path, 5) == 1
    assert is_exact(tmp_path)


def test_batches_that_were_not_done_are_not_passed_over(tmp_path):
    """A run that ends after its first batch has settled nothing."""
    fill(tmp_path, *range(FILES))

    def stop(*_):
        raise KeyboardInterrupt

    ending = replace(at(tmp_path, 0, batch_bytes=1), watchers=pipeline.Watchers(committed=stop))
    with pytest.raises(KeyboardInterrupt):
        pipeline.ingest(ending)
    assert run(tmp_path, 5) == FILES - 1
    assert is_exact(tmp_path)


def test_files_to_be_done_again_are_not_passed_over(tmp_path):
    """A run that ends between a replaced file and those that depend on it leaves them to the very next run."""
    fill(tmp_path, *range(2, FILES))
    put(tmp_path / "raw", 0, [event(900)])
    put(tmp_path / "raw", 1, [event(900), event(901)])
    run(tmp_path)
    put(tmp_path / "raw", 0, [event(902)])
    assert passed_over(tmp_path) == key(FILES - 4)

    def stop(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pipeline.ingest(replace(at(tmp_path, 60), watchers=pipeline.Watchers(committed=stop)))
    assert ledger(tmp_path / "lake")[key(1)]["status"] == ledgers.REOPENED
    assert run(tmp_path, 61) == 1
    assert is_exact(tmp_path)


def test_a_run_that_never_passes_over_anything_settles_nothing(tmp_path):
    """Nor does one that takes on chosen files."""
    fill(tmp_path, *range(FILES))
    run(tmp_path, sweep_minutes=0)
    assert passed_over(tmp_path) is None
    pipeline.ingest(at(tmp_path, 1), only=[key(0)])
    assert passed_over(tmp_path) is None


def test_a_clock_that_goes_back_sweeps(tmp_path):
    """What a run of the future has settled is not believed."""
    fill(tmp_path, *range(1, FILES))
    run(tmp_path)
    fill(tmp_path, 0)
    assert run(tmp_path, -5) == 1


def test_status_says_what_the_next_run_will_see(tmp_path):
    """It looks where that run looks, and says when older files are looked at."""
    fill(tmp_path, *range(1, FILES))
    run(tmp_path)
    fill(tmp_path, 0)
    lake, source = Lake(str(tmp_path / "lake")), open_source(str(tmp_path / "raw"))

    def waiting(minutes):
        state = status.read(lake, source, Settings(), NOW + timedelta(minutes=minutes))
        assert state.waiting
        return state.waiting["files"], next(check.detail for check in state.checks if check.name == "waiting")

    assert waiting(5) == (
        0,
        "Waiting: nothing among the newest files; a run looks at the others after 19:00 UTC.",
    )
    files, sentence = waiting(60)
    assert (files, sentence[:16]) == (1, "Waiting: 1 file ")


@pytest.fixture
def counting(monkeypatch):
    """A server that counts requests, and lists five keys at once."""
    server = Counted(page=5)
    for name, value in {**KEYS, "AWS_ENDPOINT_URL": server.url}.items():
        monkeypatch.setenv(name, value)
    yield server
    server.close()


def grown(server, age):
    """What runs ask for in a lake of so many files, one batch and data file of the ledger a dozen: a sweep, two next files."""
    place = f"shop/{age}"
    names = [f"{place}/raw/events-{START + slot * SLOT:%Y%m%d-%H%M%S}.jsonl" for slot in range(-age, 2)]
    server.fill(names[:age], b"")
    lake, source, chosen = Lake(f"s3://{place}/lake"), open_source(f"s3://{place}/raw"), Settings(maintain="off")
    ready = pipeline.Run(lake, source, choose.engine(chosen, lake), chosen)
    asked = []
    for minutes, new in ((0, []), (5, names[-2:-1]), (10, names[-1:]), (15, [])):
        server.fill(new, as_line(event(minutes)))
        manifests = len(lake.view()["ledger"].manifests) if minutes else 0
        server.seen.clear()
        done = pipeline.ingest(replace(ready, now=partial(NOW.__add__, timedelta(minutes=minutes))))
        assert done.files == (len(new) if minutes else age)
        # A manifest is a request: there are at most 16 of a size, however many commits there were.
        asked.append(
            {kind: server.seen[kind] for kind in ("LIST", "HEAD", "PUT")} | {"GET": server.seen["GET"] - manifests}
        )
    return asked


def test_requests_do_not_grow_with_the_age_of_a_lake(counting, monkeypatch):
    """Neither by the source's files nor by the ledger's: ten times as many, and as many requests for the next one."""
    monkeypatch.setattr(plan, "MOST_FILES", 12)
    monkeypatch.setattr(ledgers, "LEDGER_FILES", 100)
    young, old = grown(counting, 12), grown(counting, 120)
    assert old[0]["LIST"] - young[0]["LIST"] == 2 * (24 - 3)  # pages; a new lake is planned again once it is there
    assert old[1:] == young[1:]
    assert [asked["LIST"] for asked in old[1:]] == [1, 1, 1]
