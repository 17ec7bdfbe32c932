"""``shoplake maintain``: fewer and sorted files, the same rows and answers, nothing lost that anybody needs."""

import os
import shutil
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread

import pyarrow.parquet as pq
import pytest

import shoplake
from shoplake import commits
from shoplake.commits import Commit
from shoplake.errors import FatalError, TransientError
from shoplake.lake import Lake
from shoplake.operations import merging, replay, sweep
from shoplake.operations.maintain import Request, maintain, preview
from tests.support import (
    START,
    accepted,
    answers,
    command,
    data_files,
    dump,
    event,
    everywhere,
    five_answers,
    ingest,
    judge_files,
    key,
    oracle,
    prepare,
    put,
    snapshots,
)

LATER = datetime.now(UTC) + timedelta(days=40)
DAY = timedelta(days=1)
NEXT_DAY = 12 * 24


def tidy(lake, now=LATER, **options):
    """Maintain the lake forty days from now, when every hour, day and month of it is closed."""
    return maintain(Request(Lake(str(lake)), now=lambda: now, **options))


def at(slot, number, event_type="page_view", **changes):
    """An event in the five minutes of a slot."""
    moment = START + slot * timedelta(minutes=5) + timedelta(seconds=number)
    time = moment.isoformat().replace("+00:00", "Z")
    return event(number, event_type, timestamp=time, session_id=f"s_{slot}_{number}", **changes)


def some(slot):
    """A source file's lines: events of all types, one that every file of its hour has, and a broken one."""
    types = ("page_view", "add_to_cart", "remove_from_cart", "purchase", "search")
    return [*(at(slot, number, types[number % 5]) for number in range(10)), at(slot - slot % 12, 200), b"broken"]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A source and its lake: six files in each of two hours and two in an hour of the next day, each its own batch."""
    folder = tmp_path_factory.mktemp("shop")
    for slot in (*range(0, 24, 2), NEXT_DAY, NEXT_DAY + 1):
        put(folder / "raw", slot, some(slot))
    ingest(folder / "raw", folder / "lake", batch_bytes=1)
    shutil.copytree(folder, folder / "kept")
    return folder


@pytest.fixture
def shop(built):
    """The source and its lake, as they were built: at the same place, since a lake's files name each other by their places."""
    for name in ("raw", "lake"):
        shutil.rmtree(built / name)
        shutil.copytree(built / "kept" / name, built / name)
    return built


def right(shop):
    """The lake is whole, and its tables and answers are those of its source."""
    lake, raw = shop / "lake", shop / "raw"
    report = shoplake.verify(lake, raw)
    assert report.ok, report.differences
    assert answers(lake) == oracle(lake) == five_answers(accepted(judge_files(raw)))
    fresh = shop / "fresh"
    shutil.rmtree(fresh, ignore_errors=True)
    ingest(raw, fresh)
    assert dump(lake) == dump(fresh)
    return True


def hours(lake):
    """How many data files each hour of events has."""
    found: dict[datetime, int] = {}
    for file in Lake(str(lake)).view()["events"].files:
        hour = file.lower["event_time"].replace(minute=0, second=0, microsecond=0)
        found[hour] = found.get(hour, 0) + 1
    return [found[hour] for hour in sorted(found)]


def stored(lake):
    """Every file of the tables."""
    return {str(path) for path in Path(lake).rglob("*.*") if path.parent.name != Path(lake).name}


def told(lake):
    """What status says, but for files and ages."""
    state = command("status", "--lake", lake, "--format", "json").json
    rows = {name: table["rows"] for name, table in state["tables"].items()}
    return rows, {
        name: state[name] for name in ("verdict", "ledger", "newest_event", "newest_arrival", "gaps", "batches")
    }


def named(lake):
    """Every data file that the newest snapshots name."""
    return {file.path for table in Lake(lake).view().tables.values() for file in table.files}


# --------------------------------------------------------------------------------------------------------------- merging


def test_rows_and_answers_stay(shop):
    """Each closed hour of events, day of gold and of quarantine, and month of the ledger is one file; all rows are there."""
    lake = shop / "lake"
    before = dump(lake), told(lake)
    assert hours(lake) == [6, 6, 2]
    report = tidy(lake)
    assert (dump(lake), told(lake)) == before
    assert hours(lake) == [1, 1, 1]
    counts = {name: len(table.files) for name, table in Lake(lake).view().tables.items()}
    days = dict.fromkeys(("product_hourly", "user_hourly", "session_hourly"), 2)
    assert counts == {"events": 3, **days, "quarantine": 1, "activity_daily": 1, "ledger": 1, "erasures": 0}
    assert {name: (one.files_before, one.files_after) for name, one in report.merged.items()} == {
        "events": (14, 3),
        **dict.fromkeys(days, (2, 1)),
        "quarantine": (14, 1),
        "activity_daily": (2, 1),
        "ledger": (14, 1),
    }
    assert right(shop)


def test_second_time_there_is_nothing_to_do(shop):
    """Maintenance straight after maintenance changes nothing, and says so."""
    tidy(shop / "lake")
    state = snapshots(shop / "lake"), stored(shop / "lake")
    report = tidy(shop / "lake", older_than=100 * DAY)
    assert (report.merged, report.commits, report.removed) == ({}, 0, [])
    assert (snapshots(shop / "lake"), stored(shop / "lake")) == state


def test_what_is_open_stays(shop):
    """The files of an hour, a day or a month that may still get others are left alone, up to two hours after its end."""
    lake = shop / "lake"
    now = START + DAY + timedelta(hours=2, minutes=59)
    report = maintain(Request(Lake(lake), now=lambda: now))
    assert hours(lake) == [1, 1, 2]
    assert report.merged.keys() == {"events", "product_hourly", "user_hourly", "session_hourly"}
    assert report.merged["user_hourly"].partitions == ["event_hour_day=2025-11-18"]
    later = maintain(Request(Lake(lake), now=lambda: now + timedelta(minutes=1)))
    assert hours(lake) == [1, 1, 1]
    assert later.merged.keys() == {"events"}


def test_events_are_sorted(shop):
    """Inside a merged file the events of a type are together, in the order of their times."""
    tidy(shop / "lake")
    for path in data_files(shop / "lake", "events"):
        rows = pq.ParquetFile(path).read(["event_type", "event_time"]).to_pylist()
        assert rows == sorted(rows, key=lambda row: (row["event_type"], row["event_time"]))


def test_large_files_stay_apart(shop, monkeypatch):
    """Files are merged only as far as the result has a good size."""
    size = max(file.bytes for file in Lake(shop / "lake").view()["events"].files)
    monkeypatch.setattr("shoplake.operations.merging.TARGET_BYTES", 3 * size)
    tidy(shop / "lake")
    assert hours(shop / "lake") == [2, 2, 1]
    assert right(shop)


def test_dry_run_tells_and_changes_nothing(shop):
    """A preview has the figures of what maintenance then does."""
    lake = shop / "lake"
    put_orphan(lake)
    state = snapshots(lake), stored(lake)
    would = preview(Request(Lake(lake), now=lambda: LATER)).as_json()
    assert (snapshots(lake), stored(lake)) == state
    done = tidy(lake).as_json()
    for report in (would, done):
        assert report.pop("commits") == (0 if report["dry_run"] else 3)
        del report["dry_run"]
        for one in report["merged"].values():
            del one["bytes_after"]
    assert would == done


def test_thirty_batches(tmp_path):
    """A small month (see bench/maintenance.py): batch by batch, maintained on the way, it equals a fresh lake."""
    for part in range(3):
        for slot in range(part * 40, part * 40 + 40, 4):
            put(tmp_path / "raw", slot, some(slot))
        ingest(tmp_path / "raw", tmp_path / "lake", batch_bytes=1)
        tidy(tmp_path / "lake")
    assert hours(tmp_path / "lake") == [1] * 10
    assert right(tmp_path)


@everywhere
def test_on_every_storage(place):
    """Merging, replacing rows of a merged file and removing what a killed run left work on S3 as in a folder."""
    raw, lake = place / "raw", place / "lake"
    for slot in range(3):
        put(raw, slot, some(slot))
    ingest(raw, lake, batch_bytes=1)
    storage, orphan = Lake(str(lake)).storage, f"{lake}/events/data/orphan.parquet"
    storage.write(orphan, b"left behind")
    while next(storage.list(Lake(str(lake)).catalog_location)).modified <= next(storage.list(orphan)).modified:
        slot += 1
        put(raw, slot % 12, some(slot % 12) if slot < 12 else [at(slot % 12, slot)])
        ingest(raw, lake)
    before = dump(lake)
    assert [file.location for file in tidy(lake).removed] == [orphan]
    assert dump(lake) == before
    put(raw, 1, [at(1, 299, "purchase")])
    ingest(raw, lake)
    tidy(lake)
    assert hours(lake) == [1]
    assert answers(lake) == oracle(lake) == five_answers(accepted(judge_files(raw)))
    assert shoplake.verify(str(lake), str(raw)).ok


# --------------------------------------------------------------------------------------------- changes to what was merged


def test_late_events(shop):
    """Events that come for a merged hour are counted; the few small files wait until it is worth to merge again."""
    put(shop / "raw", 11, [at(0, number) for number in range(20, 3500)])
    ingest(shop / "raw", shop / "lake")
    tidy(shop / "lake")
    put(shop / "raw", 30, [at(1, 200, "purchase"), at(30, 0)])
    report = ingest(shop / "raw", shop / "lake")
    assert (report.accepted, report.hours) == (2, 2)
    assert right(shop)
    tidy(shop / "lake")
    assert hours(shop / "lake") == [2, 1, 1, 1]
    for slot in range(31, 40):
        put(shop / "raw", slot, [at(2, slot, "purchase", price=slot), *some(slot)])
    ingest(shop / "raw", shop / "lake", batch_bytes=1)
    assert hours(shop / "lake") == [11, 1, 6, 4, 1]
    tidy(shop / "lake")
    assert hours(shop / "lake") == [1] * 5
    assert right(shop)


def test_duplicates_of_merged_events(shop):
    """A late file that repeats events of a merged hour adds none."""
    tidy(shop / "lake")
    put(shop / "raw", 50, [*some(4)[:10], at(50, 1)])
    report = ingest(shop / "raw", shop / "lake")
    assert (report.accepted, report.duplicates) == (1, 10)
    assert right(shop)


def test_replaced_source_file(shop):
    """Rows of a replaced source file go from the merged files that hold them, and only their hours are published anew."""
    put(shop / "raw", 23, [at(0, 99), at(14, 99)])  # so that the first hour has a wide range of source files
    ingest(shop / "raw", shop / "lake")
    tidy(shop / "lake")
    (first, second, third) = sorted(data_files(shop / "lake", "events").items(), key=lambda item: item[1])
    assert first[1] == (key(0), key(23))
    put(shop / "raw", 16, [at(16, 500, "purchase"), b"broken", b"broken, too"])
    report = ingest(shop / "raw", shop / "lake")
    assert (report.replaced, report.hours) == (1, 1)
    now = data_files(shop / "lake", "events")
    assert first[0] in now
    assert third[0] in now
    assert second[0] not in now
    assert right(shop)
    tidy(shop / "lake")
    assert right(shop)


def test_replaced_by_another_hour(shop):
    """A source file whose events move to another hour leaves the merged one for good."""
    tidy(shop / "lake")
    for slot in range(0, 12, 2):
        put(shop / "raw", slot, [at(40, slot)])
    ingest(shop / "raw", shop / "lake")
    assert hours(shop / "lake") == [1, 6, 1]
    assert right(shop)


def test_replay_of_merged_hours(shop):
    """A replay gives the rows that were there."""
    tidy(shop / "lake")
    before = dump(shop / "lake")
    run = prepare(shop / "raw", shop / "lake")
    chosen = replay.choose_range(run, START, START + timedelta(minutes=30))
    assert replay.replay(run, chosen).accepted > 0
    assert dump(shop / "lake") == before
    assert right(shop)


# ------------------------------------------------------------------------------------------------------ beside other runs


def between(monkeypatch, other):
    """Another run does all its work after the first merged file of maintenance was written."""
    real, turns = merging.merge, iter([other])

    def wrapper(*args):
        new = real(*args)
        for turn in turns:
            turn()
        return new

    monkeypatch.setattr(merging, "merge", wrapper)


@pytest.mark.parametrize("locks", [True, False])
def test_ingest_in_between(shop, monkeypatch, locks):
    """A batch that comes while files are merged is kept, and the merged files are not written again."""
    if not locks:
        monkeypatch.setattr(Lake, "writing", lambda *_: nullcontext())

    def other():
        put(shop / "raw", 2 * NEXT_DAY, some(2 * NEXT_DAY))
        assert ingest(shop / "raw", shop / "lake").batches == 1

    between(monkeypatch, other)
    notes: list[str] = []
    tidy(shop / "lake", note=notes.append)
    assert notes == []
    assert hours(shop / "lake") == [1, 1, 1, 1]
    assert right(shop)


def test_replaced_in_between(shop, monkeypatch):
    """Of what another run replaced meanwhile, nothing that was merged is published; it is planned and merged anew."""

    def other():
        put(shop / "raw", 4, [at(4, 500, "purchase")])
        assert ingest(shop / "raw", shop / "lake").replaced == 1

    between(monkeypatch, other)
    notes: list[str] = []
    tidy(shop / "lake", note=notes.append)
    assert [note for note in notes if "planning anew" in note]
    assert hours(shop / "lake") == [1, 1, 1]
    assert right(shop)
    assert not leftovers(shop / "lake")


def leftovers(lake):
    """Data files that no kept snapshot names."""
    return [path for path in sweep.find(Lake(lake), LATER, timedelta(0)).all if path.location.endswith(".parquet")]


def test_overtaken_at_the_swap(shop, monkeypatch):
    """Without a lock, a swap that another run wins is tried again from the newer state."""
    monkeypatch.setattr(Lake, "writing", lambda *_: nullcontext())
    real, turns = Lake.swap, iter([2 * NEXT_DAY, 2 * NEXT_DAY + 1])

    def overtaken(*args):
        for slot in turns:
            put(shop / "raw", slot, some(slot))
            ingest(shop / "raw", shop / "lake")
            break
        return real(*args)

    monkeypatch.setattr(Lake, "swap", overtaken)
    tidy(shop / "lake")
    assert hours(shop / "lake") == [1, 1, 1, 2]
    assert right(shop)


def test_always_overtaken(shop, monkeypatch):
    """When others change the lake all the time, maintenance gives up, says so, and leaves no files."""
    monkeypatch.setattr(Lake, "swap", lambda *_: None)
    before = stored(shop / "lake")
    with pytest.raises(TransientError, match="still something to merge"):
        tidy(shop / "lake")
    assert stored(shop / "lake") == before


def test_slow_merge(shop):
    """Merged files that are so old that another maintenance may have removed them are not published."""
    times = iter(LATER + number * timedelta(minutes=31) for number in range(1000))
    before = stored(shop / "lake")
    with pytest.raises(TransientError, match="still something to merge"):
        maintain(Request(Lake(shop / "lake"), now=lambda: next(times)))
    assert stored(shop / "lake") == before


def test_erasure_in_between(shop, monkeypatch):
    """Once another run forgot the history and removed all the rest at once, files merged before are not published."""

    def other():
        lake = Lake(shop / "lake")
        with Commit(lake, lake.view(), datetime.now(UTC).replace(tzinfo=None), {}) as commit:
            commit.forget_history()
            commit.publish()
        sweep.remove(lake, sweep.find(lake, LATER, timedelta(0)))

    between(monkeypatch, other)
    tidy(shop / "lake")
    assert hours(shop / "lake") == [1, 1, 1]
    assert right(shop)


def test_two_at_once_beside_ingests(shop):
    """Maintenance again and again, twice at a time, while files come and are replaced: the tables are right in the end."""
    failed: list[BaseException] = []

    def again_and_again():
        try:
            while not done:
                tidy(shop / "lake")
        except TransientError:
            pass  # fair beside runs that do nothing but change the lake
        except BaseException as error:
            failed.append(error)
            raise

    done: list[bool] = []
    threads = [Thread(target=again_and_again) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for slot in range(100, 112):
            put(shop / "raw", slot, some(slot))
            put(shop / "raw", 2 * (slot - 100), [*some(slot - 90), at(slot, 77)])
            ingest(shop / "raw", shop / "lake")
    finally:
        done.append(True)
        for thread in threads:
            thread.join()
    assert failed == []
    tidy(shop / "lake")
    assert right(shop)


def test_open_readers_read_on(shop):
    """Who opened the lake before sees the same rows after it."""
    with shoplake.open(shop / "lake", threads=2) as reader:
        before = [reader.query(number).fetchall() for number in range(1, 6)]
        tidy(shop / "lake")
        tidy(shop / "lake")
        assert [reader.query(number).fetchall() for number in range(1, 6)] == before
        assert reader.sql("SELECT count(*) FROM events").fetchall() == [(143,)]


# -------------------------------------------------------------------------------------------------------------- sweeping


def put_orphan(lake, age=timedelta(days=2)):
    """A data file of a run that was killed; by its clock, that was before the newest batch."""
    orphan = Path(next(iter(data_files(lake, "events")))).with_name("orphan.parquet")
    orphan.write_bytes(b"left behind")
    when = (datetime.now(UTC) - age).timestamp()
    os.utime(orphan, (when, when))
    return orphan


def test_orphans_go_after_a_while(shop):
    """What a killed run left is removed once it is older than the grace period, and nothing else is."""
    lake = shop / "lake"
    old, young = put_orphan(lake), put_orphan(lake, timedelta(hours=20)).rename(lake / "events" / "young.parquet")
    old = put_orphan(lake)
    before = stored(lake)
    report = maintain(Request(Lake(lake), closed_after=10000 * DAY))
    assert [file.location for file in report.removed] == [str(old)]
    assert stored(lake) == before - {str(old)}
    report = maintain(Request(Lake(lake), closed_after=10000 * DAY, older_than=timedelta(hours=19)))
    assert [file.location for file in report.removed] == [str(young)]
    assert right(shop)


def test_files_of_a_run_in_progress_stay(shop):
    """What was written since the newest batch may become part of the lake: it stays, however short the grace period is."""
    put(shop / "raw", 60, some(60))
    lake = Lake(shop / "lake")
    with Commit(lake, lake.view(), START.replace(tzinfo=None), {}) as commit:
        new = commit.new_location(commit.base["events"].table, START.replace(tzinfo=None))
        Path(new).write_bytes(b"will be named soon")
        sweep.remove(lake, sweep.find(lake, LATER, timedelta(0)))
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
    monkeypatch.setattr(commits, "SNAPSHOTS_KEPT", 6)
    monkeypatch.setattr(sweep, "SNAPSHOTS_KEPT", 6)
    lake = shop / "lake"
    tidy(lake)
    merged = named(lake)
    for slot in range(60, 70):
        put(shop / "raw", slot, some(slot))
        ingest(shop / "raw", lake)
    before = stored(lake)
    report = tidy(lake, LATER + DAY)
    gone = {file.location for file in report.removed}
    assert gone
    assert gone == before - stored(lake) - {path for path in before if path.endswith("metadata.json")}
    assert merged & data_files(lake, "events").keys() <= stored(lake)
    assert right(shop)


def test_busy_tables_are_spared(shop, monkeypatch):
    """A table that saw so many batches of late that an open reader may still need old files is left for a later run."""
    monkeypatch.setattr(commits, "SNAPSHOTS_KEPT", 6)
    monkeypatch.setattr(sweep, "SNAPSHOTS_KEPT", 6)
    for slot in range(60, 70):
        put(shop / "raw", slot, some(slot))
        ingest(shop / "raw", shop / "lake")
    orphan = put_orphan(shop / "lake")
    report = maintain(Request(Lake(shop / "lake"), closed_after=10000 * DAY))
    assert "events" in report.spared
    assert report.removed == []
    assert orphan.exists()


def test_maintenance_keeps_the_history_of_batches(shop, monkeypatch):
    """However many commits maintenance makes, it takes the place of one snapshot."""
    monkeypatch.setattr(commits, "SNAPSHOTS_KEPT", 6)
    for slot in range(60, 70):
        put(shop / "raw", slot, some(slot))
        ingest(shop / "raw", shop / "lake")
    tidy(shop / "lake")
    summaries = [one["summary"] for one in Lake(shop / "lake").view()["events"].metadata["snapshots"]]
    assert [one["operation"] for one in summaries] == ["append"] * 5 + ["replace"]


def test_no_history_and_no_grace(shop):
    """After a commit that forgets the history, every file that the newest snapshots do not name can go at once."""
    lake = Lake(shop / "lake")
    tidy(shop / "lake")
    orphan = put_orphan(shop / "lake", timedelta(seconds=1))
    os.utime(lake.catalog_location)
    before = dump(shop / "lake")
    with Commit(lake, lake.view(), datetime.now(UTC).replace(tzinfo=None), {}) as commit:
        commit.forget_history()
        commit.publish()
    sweep.remove(lake, sweep.find(lake, datetime.now(UTC), timedelta(0)))
    assert not orphan.exists()
    assert {path for path in stored(shop / "lake") if path.endswith(".parquet")} == named(shop / "lake")
    for table in lake.view().tables.values():
        if table.snapshot is None:  # nobody was erased
            continue
        assert [one["snapshot-id"] for one in table.metadata["snapshots"]] == [table.snapshot_id]
        lists = {path for path in stored(shop / "lake") if f"/{table.table.name}/metadata/" in path}
        assert lists == {
            table.location,
            table.snapshot["manifest-list"],
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
        patch.setattr("shoplake.storage.LocalStorage.write", full)
        with pytest.raises(FatalError, match="No space left"):
            tidy(shop / "lake")
    assert (dump(shop / "lake"), stored(shop / "lake")) == before


# ---------------------------------------------------------------------------------------------------------- command line


def test_command(shop):
    """The command says what it merged and removed; a second one, that there is nothing to do; a dry run changes nothing."""
    lake = shop / "lake"
    put_orphan(lake)
    state = snapshots(lake), stored(lake)
    told = command("maintain", "--lake", lake, "--dry-run")
    assert told.code == 0
    assert "events" in told.out
    assert "Would remove 1 file that nothing needs (11 B).\nNothing was changed." in told.out
    assert (snapshots(lake), stored(lake)) == state
    told = command("maintain", "--lake", lake)
    assert told.code == 0, told
    assert "Removed 1 file that nothing needs (11 B)." in told.out
    assert "quarantine" not in told.out  # its day is not over
    assert hours(lake) == [1, 1, 1]
    assert command("maintain", "--lake", lake).out.startswith("Nothing to do")
    assert right(shop)


def test_command_json(shop):
    """The figures for a program."""
    told = command("maintain", "--lake", shop / "lake", "--dry-run", "--format", "json")
    assert told.json["dry_run"] is True
    assert told.json["merged"]["events"]["partitions"] == [
        "event_time_hour=2025-11-18-14",
        "event_time_hour=2025-11-18-15",
        "event_time_hour=2025-11-19-14",
    ]
    told = command("maintain", "--lake", shop / "lake", "--format", "json")
    merged = told.json["merged"]["events"]
    assert (merged["files_before"], merged["files_after"]) == (14, 3)
    assert merged["bytes_before"] > merged["bytes_after"] > 0
    assert (told.json["dry_run"], told.json["removed"], told.json["spared"]) == (False, [], [])
    assert command("maintain", "--lake", shop / "lake", "--format", "json").json["merged"] == {}


def test_command_without_a_lake(tmp_path):
    """There must be a lake."""
    told = command("maintain", "--lake", tmp_path / "none")
    assert told.code == 2
    assert "there is no lake" in told.err
    told = command("maintain", "--lake", tmp_path, "--older-than", "0")
    assert told.code == 2
