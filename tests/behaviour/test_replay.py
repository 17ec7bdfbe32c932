"""Replay: chosen files are taken in again, in place of what the lake holds of them, and nothing else is touched."""

import gzip
import itertools
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from shoplake.errors import UsageError
from shoplake.ingestion import pipeline
from shoplake.lake.catalog import Lake
from shoplake.lake.commits import Commit
from shoplake.operations import replay as replays
from shoplake.sources.local import LocalSource
from tests.support import (
    SLOT,
    START,
    accepted,
    answers,
    as_line,
    both_in_proofs,
    command,
    data_files,
    dump,
    event,
    everywhere,
    everywhere_in_proofs,
    five_answers,
    ingest,
    judge_files,
    key,
    once_before,
    oracle,
    prepare,
    proofs,
    put,
    put_bytes,
    snapshots,
)

pytestmark = pytest.mark.usefixtures("own_data_files")

TABLES = ("events", "quarantine", "product_hourly", "user_hourly", "session_hourly", "activity_daily", "ledger")


def at(hour, minute=0):
    """A moment of the day of the tests; hours over 23 lie in the next day."""
    return datetime(2025, 11, 18, tzinfo=UTC) + timedelta(hours=hour, minutes=minute)


def purchases(slot, count=4):
    """Events that lie in the slot of their file, all different."""
    moment = START + slot * SLOT
    return [
        event(
            1000 * slot + number,
            "purchase",
            timestamp=(moment + timedelta(seconds=number)).isoformat(),
            user_id=f"u_{slot % 5}",
        )
        for number in range(count)
    ]


def again(source, lake, start=None, end=None, files=(), **settings):
    """Replay a range, or files given by slot."""
    run = prepare(source, lake, **settings)
    named = [key(slot) for slot in files]
    choice = replays.choose_files(run, named) if named else replays.choose_range(run, start, end)
    return replays.replay(run, choice), choice


def in_place(source, slot, lines):
    """Write a file whose size and time of change do not tell what is in it: its version stays the same."""
    path = source / key(slot)
    before = path.stat() if path.exists() else None
    put_bytes(source, slot, gzip.compress(b"\n".join(map(as_line, lines)), 0, mtime=0))
    if before:
        os.utime(path, ns=(before.st_mtime_ns, before.st_mtime_ns))
        assert path.stat().st_size == before.st_size, "the test needs lines of the same length"


def build(place):
    for slot in (0, 1, 12, 13, 24, 144):
        put(place / "raw", slot, [*purchases(slot), b"broken"])
    ingest(place / "raw", place / "lake")


@pytest.fixture
def shop(as_built):
    """A day of files at 14:00, 14:05, 15:00, 15:05, 16:00 and the next day's 02:00, each with a broken line."""
    place = as_built(build)
    return place / "raw", place / "lake"


def truth(source, lake):
    """The lake is what one run over the source gives, and what the judge says."""
    ingest(source, lake.parent / "fresh")
    assert dump(lake) == dump(lake.parent / "fresh")
    assert answers(lake) == oracle(lake) == five_answers(accepted(judge_files(source)))


# ---------------------------------------------------------------------------------------------------------- what is done


@everywhere_in_proofs
def test_a_range_is_replaced_by_equal_rows(shop):
    """Replaying an hour reads its files again and leaves every row of every table as it was."""
    source, lake = shop
    before, files = dump(lake), data_files(lake, "events")
    done, choice = again(source, lake, at(15), at(16))
    assert choice.files == {key(12): "again", key(13): "again"}
    assert (done.files, done.lines, done.accepted, done.quarantined) == (2, 10, 8, 2)
    assert dump(lake) == before
    assert {of for path, of in files.items() if path not in data_files(lake, "events")} == {
        (key(12), key(12)),
        (key(13), key(13)),
    }


def test_what_is_outside_keeps_its_data_files(shop):
    """Rows of other files, other gold hours and other days keep their very data files."""
    source, lake = shop
    before = {table: data_files(lake, table) for table in TABLES}
    again(source, lake, at(15), at(16))
    for table in ("events", "product_hourly", "user_hourly", "session_hourly", "activity_daily"):
        hour, day = at(15).replace(tzinfo=None), at(0).date()
        inside = {"events": (key(12), key(13)), "activity_daily": (day, day)}.get(table, (hour, hour))
        kept = {path: of for path, of in before[table].items() if not inside[0] <= of[0] <= inside[1]}
        assert kept
        assert kept.items() <= data_files(lake, table).items(), table
        assert set(before[table]) - set(kept), "something was to be replaced"
        assert not (set(before[table]) - set(kept)) & set(data_files(lake, table)), table


def test_it_really_reads_again(shop):
    """What the version of a raw object does not tell, a replay finds: ingest sees nothing new, replay makes it right."""
    source, lake = shop
    in_place(source, 30, [event(7, user_id="u_a"), event(8)])
    in_place(source, 31, [event(9)])
    ingest(source, lake)
    in_place(source, 30, [event(7, user_id="u_b"), event(8)])
    assert ingest(source, lake).files == 0
    untouched = dict(item for item in data_files(lake, "events").items() if item[1][0] != key(30))
    again(source, lake, files=[30])
    assert {row["user_id"] for row in dump(lake)["events"] if row["source_file"] == key(30)} == {"u_b", "u_1"}
    assert untouched.items() <= data_files(lake, "events").items()
    truth(source, lake)


def test_twice_is_once(shop):
    """A replay of everything, twice, in batches of one file, changes no row."""
    source, lake = shop
    before = dump(lake)
    for size in (1, 10**9):
        done, _ = again(source, lake, at(0), at(48), batch_bytes=size)
        assert done.files == 6
        assert dump(lake) == before
    truth(source, lake)


def test_no_lake(tmp_path):
    """There is nothing to replay where there is no lake, and none is made."""
    put(tmp_path / "raw", 0, [event()])
    with pytest.raises(UsageError, match="there is no lake"):
        again(tmp_path / "raw", tmp_path / "lake", at(0), at(24))
    assert not (tmp_path / "lake").exists()


def test_arrival_is_kept(shop):
    """A replay is no arrival: it does not make a stale lake look fresh, and rows stay in their month and their day."""
    source, lake = shop
    old = dict(zip(*columns(lake, "source_file", "arrived_at"), strict=True))
    assert dict(zip(*columns(lake, "source_file", "arrived_at", table="quarantine"), strict=True)) == old
    run = replace(prepare(source, lake), now=lambda: datetime.now(UTC) + timedelta(days=45))
    replays.replay(run, replays.choose_range(run, at(15), at(16)))
    assert dict(zip(*columns(lake, "source_file", "arrived_at"), strict=True)) == old
    assert sorted(zip(*columns(lake, "source_file", "arrived_at", table="quarantine"), strict=True)) == sorted(
        old.items()
    )
    assert len(ledger_months(lake)) == 1
    put(source, 40, purchases(40))
    put(source, 12, purchases(12, 5))
    pipeline.ingest(run)
    new = dict(zip(*columns(lake, "source_file", "arrived_at"), strict=True))
    assert {path for path in new if new[path] != old.get(path)} == {key(40), key(12)}
    assert len(ledger_months(lake)) == 2


def ledger_months(lake):
    """The months of the ledger's data files, each of which holds rows of one and lies in its folder."""
    files = Lake(lake).view()["ledger"].files
    for file in files:
        assert f"{file.lower['arrived_at']:%Y-%m}" == f"{file.upper['arrived_at']:%Y-%m}"
        assert f"={file.lower['arrived_at']:%Y-%m}/" in file.path
    return {f"{file.lower['arrived_at']:%Y-%m}" for file in files}


def columns(lake, *names, table="ledger"):
    """Columns of a table."""
    import shoplake

    with shoplake.open(lake) as opened:
        rows = opened.sql(f"SELECT {', '.join(names)} FROM {table}").fetchall()
    return list(zip(*rows, strict=True))


# ------------------------------------------------------------------------------------------------------- what is chosen


def chosen(source, lake, start, end):
    return list(replays.choose_range(prepare(source, lake), start, end).files)


def test_the_end_is_not_part_of_the_range(tmp_path):
    """A file whose only event is at 15:00 sharp is in 15:00-16:00 and not in 14:00-15:00, wherever its slot is."""
    source, lake = tmp_path / "raw", tmp_path / "lake"
    put(source, 3, [event(timestamp="2025-11-18T15:00:00Z")])
    ingest(source, lake)
    assert chosen(source, lake, at(14), at(15)) == []
    assert chosen(source, lake, at(15), at(15, 1)) == [key(3)]


def test_files_without_accepted_events_go_by_their_slot(tmp_path):
    """New files, unreadable ones, and those with nothing but duplicates or broken lines are chosen by their path."""
    source, lake = tmp_path / "raw", tmp_path / "lake"
    put(source, 0, [event(1)])
    put(source, 12, [event(1)])
    put(source, 13, [b"broken"])
    put_bytes(source, 14, b"not gzip")
    put(source, "elsewhere.jsonl.gz", [b"broken"])
    ingest(source, lake)
    put(source, 15, [event(2)])
    put(source, 24, [event(3)])
    assert chosen(source, lake, at(15), at(16)) == [key(slot) for slot in (12, 13, 14, 15)]
    assert chosen(source, lake, at(15, 3), at(15, 5)) == [key(12)]
    done, choice = again(source, lake, at(15), at(16))
    assert choice.files[key(15)] == "new"
    assert (done.files, len(done.failures)) == (3, 1)
    assert key(24) not in {row["source_file"] for row in dump(lake)["ledger"]}, "not meant, so not taken in"
    ingest(source, lake)
    truth(source, lake)


def test_a_file_that_straddles_the_end(shop):
    """It is replayed whole: its rows outside are replaced by equal ones, the hour's other files stay where they are."""
    source, lake = shop
    put(source, 11, [event(1, timestamp=f"2025-11-18T{hour}:30:00Z") for hour in ("14", "15")])
    ingest(source, lake)
    before, files = dump(lake), data_files(lake, "events")
    _, choice = again(source, lake, at(15, 20), at(15, 40))
    assert list(choice.files) == [key(11)]
    assert dump(lake) == before
    assert {of[0] for path, of in files.items() if path not in data_files(lake, "events")} == {key(11)}


def test_an_empty_range(shop):
    """A range that ends before it starts is a mistake."""
    with pytest.raises(UsageError, match="is empty"):
        again(shop[0], shop[1], at(15), at(15))


# ------------------------------------------------------------------------------------------- when raw objects are others


@everywhere
def test_a_changed_object_is_said_and_replaced(shop):
    """A raw object that was replaced meanwhile is named as such, and its new content counts."""
    source, lake = shop
    put(source, 12, purchases(12, 7))
    done, choice = again(source, lake, at(15), at(16))
    assert choice.changed == [key(12)]
    assert (done.files, done.replaced) == (2, 1)
    truth(source, lake)


@both_in_proofs
def test_an_hour_that_loses_its_events(tmp_path):
    """When a replayed file's events lie in another hour now, the hour that it leaves is published anew, too."""
    source, lake = tmp_path / "raw", tmp_path / "lake"
    in_place(source, 0, [event(1, timestamp="2025-11-18T14:30:00Z"), event(2)])
    put(source, 1, [event(3)])
    put(source, 12, purchases(12))
    ingest(source, lake)
    in_place(source, 0, [event(1, timestamp="2025-11-19T09:30:00Z"), event(2, timestamp="2025-11-18T15:00:00.274Z")])
    again(source, lake, files=[0])
    truth(source, lake)


@everywhere_in_proofs
def test_a_file_that_is_gone_is_refused(shop):
    """What the lake holds of a file whose raw object is gone stays; the others are done."""
    source, lake = shop
    before, files = dump(lake), data_files(lake, "events")
    (source / key(12)).unlink()
    done, choice = again(source, lake, at(15), at(16))
    assert (choice.gone, done.files) == ((key(12),), 1)
    assert "no longer in the source" in choice.refused[0]["error"]
    assert dump(lake) == before
    assert {of[0] for path, of in files.items() if path not in data_files(lake, "events")} == {key(13)}


class Fading(LocalSource):
    """A source whose listing still shows a file that cannot be opened any more."""

    def __init__(self, root, path, error):
        super().__init__(root)
        self.path, self.error = path, error

    def open(self, file):
        if file.path == self.path:
            raise self.error
        return super().open(file)


@pytest.mark.parametrize("error", [FileNotFoundError(2, "gone"), PermissionError(13, "denied")], ids=["gone", "denied"])
def test_a_file_that_goes_on_the_way(shop, error):
    """A file that was read before and cannot be now, in the same version, stays as it is; the batch's others are done."""
    source, lake = shop
    before = dump(lake)
    done, _ = again(Fading(source, key(12), error), lake, at(15), at(16))
    assert [failure["file"] for failure in done.failures] == [key(12)]
    assert done.files == 1
    assert [row for row in dump(lake)["ledger"] if row["source_file"] == key(12)] == [
        row for row in before["ledger"] if row["source_file"] == key(12)
    ]
    truth(source, lake)


def test_a_replaced_file_that_goes_on_the_way(shop):
    """In a plain run too, a replaced file that is deleted before it is read leaves its hour's gold and its rows alone."""
    source, lake = shop
    before = dump(lake)
    put(source, 12, purchases(12, 9))
    put(source, 24, [*purchases(24), b"broken", b"broken"])
    ingest(Fading(source, key(12), FileNotFoundError(2, "gone")), lake)
    after = dump(lake)
    assert [row for row in after["events"] if row["source_file"] == key(12)] == [
        row for row in before["events"] if row["source_file"] == key(12)
    ]
    assert after["user_hourly"] == before["user_hourly"]
    assert answers(lake) == oracle(lake)


# ------------------------------------------------------------------------------------------------------------ duplicates


ONE_BATCH = 10**9
FEW = [([1], ONE_BATCH), ([2, 0], ONE_BATCH), ([2, 0], 1), ([0, 1, 2], 1)]
ALL = itertools.product([[0], [1], [2], [0, 1], [1, 2], [2, 0], [0, 1, 2]], [1, ONE_BATCH])


@pytest.mark.parametrize(("files", "size"), [*FEW, *proofs(*(case for case in ALL if case not in FEW))], ids=str)
def test_duplicates_stay_where_they_are(tmp_path, files, size):
    """Replaying any of the files that share events changes no row: the first by name keeps each."""
    source, lake = tmp_path / "raw", tmp_path / "lake"
    put(source, 0, [event(1), event(2)])
    put(source, 1, [event(1), event(3), event(4)])
    put(source, 2, [event(1), event(3), event(5)])
    ingest(source, lake)
    before, stored = dump(lake), data_files(lake, "events")
    done, _ = again(source, lake, files=files, batch_bytes=size)
    assert done.files == len(files)
    assert dump(lake) == before
    assert {of[0] for path, of in stored.items() if path not in data_files(lake, "events")} == {key(f) for f in files}
    truth(source, lake)


@pytest.mark.parametrize("known", ["changed", "in place"])
def test_dependents_of_another_content_are_done_again(tmp_path, known):
    """When a replayed file no longer holds an event, the file that has it as a duplicate gets it, though it was not meant."""
    source, lake = tmp_path / "raw", tmp_path / "lake"
    in_place(source, 0, [event(11), event(12)])
    put(source, 30, [event(11), event(13)])
    ingest(source, lake)
    if known == "changed":
        put(source, 0, [event(12)])
    else:
        in_place(source, 0, [b"x" * len(as_line(event(11))), event(12)])
    done, _ = again(source, lake, files=[0])
    assert done.files == 2
    assert {row["source_file"] for row in dump(lake)["events"] if row["session_id"] == "s_11"} == {key(30)}
    truth(source, lake)


@both_in_proofs
def test_an_event_that_a_replayed_file_gains(tmp_path):
    """When a replayed file now holds an event that a later file has, it gets it, and the later one a duplicate."""
    source, lake = tmp_path / "raw", tmp_path / "lake"
    in_place(source, 0, [b"x" * len(as_line(event(11))), event(12)])
    put(source, 30, [event(11), event(13)])
    ingest(source, lake)
    in_place(source, 0, [event(11), event(12)])
    again(source, lake, files=[0])
    assert {row["source_file"] for row in dump(lake)["events"] if row["session_id"] == "s_11"} == {key(0)}
    truth(source, lake)


# ----------------------------------------------------------------------------------------------------------------- races


@pytest.mark.usefixtures("unlocked")
def test_a_replay_that_loses_a_race_plans_anew(shop, monkeypatch):
    """Overtaken by an ingest before its commit, a replay does its files again from the fresh view, and both count."""
    source, lake = shop
    put(source, 14, purchases(14))
    once_before(monkeypatch, Commit, "publish", lambda: ingest(source, lake))
    done, _ = again(source, lake, at(15), at(16))
    assert done.files == 3
    truth(source, lake)


# ---------------------------------------------------------------------------------------------------- the command line


def test_dry_run_changes_nothing(shop):
    """The plan names the files and what they are, and no table gets a snapshot."""
    source, lake = shop
    put(source, 14, purchases(14))
    put(source, 12, purchases(12, 9))
    (source / key(13)).unlink()
    before = snapshots(lake)
    words = ("--source", source, "--lake", lake, "--from", "2025-11-18T15:00", "--to", "2025-11-18T16:00+00:00")
    told = command("replay", *words, "--dry-run", "--format", "json")
    assert (told.code, snapshots(lake)) == (0, before)
    assert [(file["path"], file["kind"]) for batch in told.json["batches"] for file in batch] == [
        (key(12), "changed"),
        (key(14), "new"),
    ]
    assert [one["file"] for one in told.json["refused"]] == [key(13)]
    assert "Would replay 2 files" in command("replay", *words, "--dry-run").out


@everywhere_in_proofs
def test_command(shop):
    """Files by their path below the source or on this machine; exit code 1 when one was refused, and what was done."""
    source, lake = shop
    places = ("--source", source, "--lake", lake)
    told = command("replay", *places, "--format", "json", "--files", key(12), source / key(13))
    assert (told.code, told.err) == (0, "")
    assert (told.json["files"], told.json["changed"], told.json["refused"]) == (2, [], [])
    assert "Replayed 2 files" in command("replay", *places, "--files", key(12), key(13)).out
    assert "Replayed 2 files" in command("replay", *places, "--files", key(12), "--files", key(13)).out
    (source / key(12)).unlink()
    told = command("replay", *places, "--format", "json", "--files", key(12), key(13))
    assert (told.code, told.json["files"]) == (1, 1)
    assert [one["file"] for one in told.json["refused"]] == [key(12)]
    told = command("replay", *places, "--files", key(12))
    assert told.code == 1
    assert "no longer in the source" in told.err


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--from", "2025-11-18"),
        ("--from", "2025-11-18", "--to", "2025-11-19", "--files", key(0)),
        ("--from", "2025-11-18", "--to", "2025-11-19", key(0)),
        ("--from", "yesterday", "--to", "2025-11-19"),
        ("--from", "2025-11-19", "--to", "2025-11-18"),
        ("--files", key(0), "no-such-file.jsonl.gz"),
    ],
    ids=str,
)
def test_wrong_usage(shop, words):
    """What is not clear is refused before anything is done, with exit code 2 and what to do."""
    source, lake = shop
    before = snapshots(lake)
    told = command("replay", "--source", source, "--lake", lake, *words)
    assert (told.code, told.out, snapshots(lake)) == (2, "", before)
    assert len(told.err.strip().splitlines()) >= 2
