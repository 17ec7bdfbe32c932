"""Status: is the lake fresh, is it whole, what failed, what is waiting, what is to be done."""

import random
from datetime import UTC, datetime, timedelta

import pytest

from shoplake.health import status
from shoplake.lake.catalog import Lake
from shoplake.lake.snapshots import TableSnapshot
from shoplake.settings import Settings
from shoplake.sources import slots
from shoplake.sources.open import open_source
from tests.support import SLOT, START, command, dump, event, events, everywhere, ingest, key, put, put_bytes

CHECKS = ["fresh", "whole", "readable", "waiting", "gaps", "quarantine"]


@pytest.fixture
def shop(place):
    """Four files in a row, taken in by two batches."""
    source, lake = place / "raw", place / "lake"
    for slot in range(3):
        put(source, slot, events(20, first=20 * slot))
    ingest(source, lake)
    put(source, 3, events(20, first=60))
    ingest(source, lake)
    return source, lake


def look(lake, source=None, after=timedelta(0), **settings):
    """The state some time from now."""
    place = open_source(str(source)) if source else None
    return status.read(Lake(lake), place, Settings(**settings), datetime.now(UTC) + after)


def verdicts(state):
    return {check.name: check.verdict for check in state.checks}


def of(state, name):
    return next(check for check in state.checks if check.name == name)


# ---------------------------------------------------------------------------------------------------------- the verdicts


@everywhere
def test_all_is_well(shop):
    """Of a fresh lake with nothing waiting, every check is ok and nothing is to be done."""
    state = look(shop[1], shop[0])
    assert [check.name for check in state.checks] == CHECKS
    assert set(verdicts(state).values()) == {"ok"}
    assert (state.verdict, state.failed) == ("ok", False)
    assert all(check.detail.endswith(".") and not check.remedy for check in state.checks)


def test_stale(shop):
    """Older than the objective is a failure; what to do depends on whether files wait."""
    source, lake = shop
    assert verdicts(look(lake, source, timedelta(minutes=9)))["fresh"] == "ok"
    late = look(lake, source, timedelta(minutes=11))
    assert (verdicts(late)["fresh"], late.verdict, late.failed, late.fresh) == ("failed", "failed", True, False)
    assert "11 minutes ago" in of(late, "fresh").detail
    assert "producer" in of(late, "fresh").remedy
    assert verdicts(look(lake, source, timedelta(minutes=11), freshness_minutes=12.0))["fresh"] == "ok"
    put(source, 4, events(5, first=80))
    assert "shoplake ingest" in of(look(lake, source, timedelta(minutes=11)), "fresh").remedy
    assert "--source" in of(look(lake, None, timedelta(minutes=11)), "fresh").remedy


def test_a_lake_that_never_took_anything_in(tmp_path):
    """A lake without a file is not fresh, and status says what to do."""
    Lake(tmp_path / "lake").create()
    state = look(tmp_path / "lake")
    assert verdicts(state)["fresh"] == "failed"
    assert (state.newest_arrival, state.batches, state.gap_slots) == (None, [], 0)
    assert "shoplake ingest" in of(state, "fresh").remedy


def test_not_whole(shop, monkeypatch):
    """A table whose row count is not what the ledger counted is a failure that names both figures."""
    lake = shop[1]
    shown = property(lambda self: int(self.summary.get("total-records", 0)) - (self.table.name == "events"))
    monkeypatch.setattr(TableSnapshot, "rows", shown)
    state = look(lake)
    assert (verdicts(state)["whole"], state.failed) == ("failed", True)
    assert "events has 79 rows where the ledger counts 80" in of(state, "whole").detail
    assert "quarantine has" not in of(state, "whole").detail
    assert "shoplake verify" in of(state, "whole").remedy


def test_unreadable_files(shop):
    """A file that could not be read fails the lake for a day and is a warning from then on; the file is named."""
    source, lake = shop
    put_bytes(source, 4, b"not gzip")
    ingest(source, lake)
    state = look(lake, source)
    assert (verdicts(state)["readable"], state.failed) == ("failed", True)
    assert key(4) in of(state, "readable").detail
    assert state.unreadable[0]["file"] == key(4)
    assert verdicts(look(lake, source, timedelta(hours=23)))["readable"] == "failed"
    assert verdicts(look(lake, source, timedelta(hours=25)))["readable"] == "warning"
    put(source, 4, events(5, first=80))
    ingest(source, lake)
    assert verdicts(look(lake, source))["readable"] == "ok"


@everywhere
def test_waiting(shop):
    """Files that the lake does not hold are a warning with their number and size; without a source nobody can tell."""
    source, lake = shop
    put(source, 4, events(5, first=80))
    put(source, 3, events(19, first=60))
    state = look(lake, source)
    assert (verdicts(state)["waiting"], state.failed) == ("warning", False)
    amount = sum((source / key(slot)).stat().st_size for slot in (3, 4))
    assert state.waiting == {"files": 2, "bytes": amount}
    assert of(state, "waiting").detail == f"Waiting: 2 files ({amount} B)."
    assert verdicts(look(lake))["waiting"] == "unknown"
    assert look(lake).verdict == "ok"


def test_files_to_be_done_again(shop, monkeypatch):
    """Files that a run reopened and did not come to do again are waiting, with a source and without."""
    from shoplake.ingestion import pipeline

    source, lake = shop
    put(source, 4, [event(1000)])
    ingest(source, lake)
    put(source, "events/a.jsonl.gz", [event(1000)])
    monkeypatch.setattr(pipeline, "MAX_PASSES", 1)
    with pytest.raises(Exception, match="still something to do"):
        ingest(source, lake)
    state = look(lake, source)
    assert state.reopened == 2
    assert "2 of them to be re-ingested" in of(state, "waiting").detail
    assert verdicts(look(lake))["waiting"] == "warning"
    for name in ("events/a.jsonl.gz", key(4)):
        (source / name).unlink()
    assert "no longer in the source" in of(look(lake, source), "waiting").detail


def test_quarantine_of_recent_files(tmp_path):
    """More than one line in twenty is a warning, more than the breaker's rate a failure; old files do not count."""
    source, lake = tmp_path / "raw", tmp_path / "lake"
    put(source, 0, [*events(95), *[b"broken"] * 5])
    ingest(source, lake)
    assert verdicts(look(lake))["quarantine"] == "ok"
    assert "5 of 100 lines" in of(look(lake), "quarantine").detail
    put(source, 1, [*events(19, first=100), *[b"broken"] * 2])
    ingest(source, lake)
    assert verdicts(look(lake))["quarantine"] == "warning"
    assert verdicts(look(lake, max_quarantine_rate=0.055))["quarantine"] == "failed"


def test_old_files_do_not_count_as_recent(tmp_path):
    """A bad day of long ago does not hide in, nor spoil, the rate of the last day."""
    from dataclasses import replace

    from shoplake.ingestion import pipeline
    from tests.support import prepare

    source, lake = tmp_path / "raw", tmp_path / "lake"
    put(source, 0, [*events(10), *[b"broken"] * 10])
    pipeline.ingest(replace(prepare(source, lake), now=lambda: datetime.now(UTC) - timedelta(hours=30)))
    assert verdicts(look(lake))["quarantine"] == "warning"
    put(source, 1, events(10, first=100))
    ingest(source, lake)
    assert verdicts(look(lake))["quarantine"] == "ok"
    assert "0 of 10 lines" in of(look(lake), "quarantine").detail


# ------------------------------------------------------------------------------------------------------------------ gaps


def ranges(state):
    return [(gap.start, gap.end, gap.slots) for gap in state.gaps]


def span(first, slots_):
    start = (START + first * SLOT).replace(tzinfo=None)
    return (start, start + slots_ * SLOT, slots_)


@everywhere
def test_gaps_of_the_ledger_and_of_the_source(shop):
    """Slots without a file are found in the ledger; a file that waits in the source fills its slot."""
    source, lake = shop
    put(source, 7, events(5, first=80))
    put(source, 20, events(5, first=90))
    put(source, "elsewhere/late.jsonl.gz", events(5, first=95))
    ingest(source, lake)
    state = look(lake)
    assert ranges(state) == [span(4, 3), span(8, 12)]
    assert (state.gap_slots, verdicts(state)["gaps"], state.failed) == (15, "warning", False)
    assert "15 five-minute slots without a file in 2 gaps" in of(state, "gaps").detail
    put(source, 5, events(5, first=100))
    put(source, 23, events(5, first=110))
    assert ranges(look(lake)) == [span(4, 3), span(8, 12)]
    assert ranges(look(lake, source)) == [span(4, 1), span(6, 1), span(8, 12), span(21, 2)]
    (source / key(7)).unlink()
    assert ranges(look(lake, source)) == [span(4, 1), span(6, 1), span(8, 12), span(21, 2)], "ingested and expired"


@pytest.mark.parametrize("seed", range(5))
def test_gaps_are_the_slots_without_a_file(seed):
    """Over any days, the gaps are exactly the slots between the first and the last file that have none, merged."""
    rng = random.Random(seed)
    taken = sorted(rng.sample(range(3000), rng.choice((1, 2, 200, 1500, 2900))))
    missing = set(range(taken[0], taken[-1])) - set(taken)
    found = slots.gaps(rng.sample([key(slot) for slot in taken], len(taken)))
    told = [((gap.start.replace(tzinfo=UTC) - START) // SLOT, gap.slots) for gap in found]
    assert {slot for first, many in told for slot in range(first, first + many)} == missing
    assert sum(many for _, many in told) == len(missing)
    assert all(first - 1 in taken and first + many in taken for first, many in told)


def test_a_month_of_slots():
    """A month of 8,640 slots with every second one missing is 4,319 gaps."""
    found = slots.gaps(key(slot) for slot in range(0, 8640, 2))
    assert (len(found), {gap.slots for gap in found}) == (4319, {1})


def hive(hour, minute):
    return f"events/year=2025/month=11/day=18/hour={hour:02}/minute={minute:02}/e.jsonl.gz"


@pytest.mark.parametrize(
    ("minutes", "missing"),
    [
        ([(14, 44), (14, 49), (14, 55)], 0),
        ([(14, 44), (14, 54)], 1),
        ([(14, 58), (15, 3), (15, 8)], 0),
        ([(14, 40), (14, 40), (14, 50)], 1),
        ([(23, 55), (14, 0)], 118),
    ],
    ids=str,
)
def test_schedules_off_the_full_five_minutes(minutes, missing):
    """A schedule that runs at other minutes, with a little jitter, has no gaps where no run was missed."""
    assert sum(gap.slots for gap in slots.gaps([hive(*one) for one in minutes])) == missing


@pytest.mark.parametrize(
    "path", ["a.jsonl.gz", "events/a.jsonl.gz", "events/year=2025/month=13/day=01/hour=00/minute=00/a.jsonl.gz"]
)
def test_files_outside_the_layout_have_no_slot(path):
    """Names that are no time have no slot, and make no gap."""
    assert slots.slot(path) is None
    assert slots.gaps([path, hive(14, 0), hive(14, 5)]) == []


@pytest.mark.parametrize("year", ["0001", "1970", "9999"])
def test_a_junk_folder_is_no_gap(year):
    """A span of more than a year between two files is not counted; up to a year it is."""
    junk = f"events/year={year}/month=01/day=01/hour=00/minute=00/a.jsonl.gz"
    assert slots.gaps([junk, key(0), key(1), key(3)]) == slots.gaps([key(1), key(3)])
    assert sum(gap.slots for gap in slots.gaps([key(0), key(366 * 288)])) == 366 * 288 - 1
    assert slots.gaps([key(0), key(366 * 288 + 1)]) == []


# --------------------------------------------------------------------------------------------------------------- batches


def test_last_batches(shop):
    """The last batches, newest first, with the files and lines that the ledger has of each."""
    source, lake = shop
    put(source, 4, [*events(9, first=80), b"broken"])
    ingest(source, lake)
    state = look(lake)
    assert [(one.files, one.lines, one.quarantined, one.engine) for one in state.batches] == [
        (1, 10, 1, "duckdb"),
        (1, 20, 0, "duckdb"),
        (3, 60, 0, "duckdb"),
    ]
    assert [one.when for one in state.batches] == sorted((one.when for one in state.batches), reverse=True)
    assert all(one.seconds > 0 for one in state.batches)


def test_a_replay_is_the_last_batch_but_no_arrival(shop):
    """A replay shows as a batch of now, and leaves the freshness as it was."""
    source, lake = shop
    before = look(lake)
    assert command("replay", "--source", source, "--lake", lake, "--files", key(0), key(1)).code == 0
    state = look(lake)
    assert state.newest_arrival == before.newest_arrival
    assert [one.files for one in state.batches] == [2, 1, 1]
    assert state.batches[0].when > before.batches[0].when


# ---------------------------------------------------------------------------------------------------- the command line


def test_check_is_for_monitors(shop):
    """With --check the exit code is 1 when a check failed and 0 on warnings; without it, it is 0. Both print the state."""
    source, lake = shop
    words = ("status", "--lake", lake, "--source", source)
    put(source, 5, events(5, first=80))
    assert command(*words, "--check").code == 0
    put_bytes(source, 6, b"not gzip")
    ingest(source, lake)
    plain, checked = (command(*words, *more, "--format", "json") for more in ((), ("--check",)))
    assert (plain.code, checked.code, checked.err) == (0, 1, "")
    assert plain.json["verdict"] == checked.json["verdict"] == "failed"
    assert plain.json.keys() == checked.json.keys()
    assert command("status", "--lake", lake.parent / "no", "--check").code == 2


def test_objective_from_the_settings(shop, monkeypatch):
    """The freshness objective is the setting freshness_minutes."""
    monkeypatch.setenv("SHOPLAKE_FRESHNESS_MINUTES", "0")
    told = command("status", "--lake", shop[1], "--check", "--format", "json")
    assert (told.code, told.json["fresh"], told.json["objective_minutes"]) == (1, False, 0.0)


@everywhere
def test_json(shop):
    """The JSON has the verdicts, the gaps and the batches beside the figures that it always had."""
    source, lake = shop
    put(source, 6, events(5, first=80))
    ingest(source, lake)
    state = command("status", "--lake", lake, "--source", source, "--format", "json").json
    assert [check["check"] for check in state["checks"]] == CHECKS
    assert all(set(check) == {"check", "verdict", "sentence", "remedy"} for check in state["checks"])
    assert state["gaps"] == {
        "slots": 2,
        "ranges": [{"from": "2025-11-18T14:20:00Z", "to": "2025-11-18T14:30:00Z", "slots": 2}],
    }
    assert set(state["batches"][0]) == {"batch", "when", "files", "lines", "quarantined", "engine", "seconds"}
    assert {"lake", "tables", "ledger", "newest_event", "newest_arrival", "freshness_seconds", "fresh"} <= set(state)
    assert {"unreadable", "waiting"} <= set(state)
    assert state["tables"]["events"]["rows"] == len(dump(lake)["events"])


def test_text(shop):
    """A person reads each check's verdict and what to do, the gaps and the last batches."""
    source, lake = shop
    for slot in range(6, 20, 2):
        put(source, slot, events(5, first=100 * slot))
    put_bytes(source, 21, b"not gzip")
    ingest(source, lake)
    told = command("status", "--lake", lake, "--source", source).out
    assert told.splitlines()[0].endswith(": failed")
    for check in CHECKS:
        assert any(line.split()[1:2] == [check] for line in told.splitlines()), check
    assert "-> Have the producer send it again" in told
    assert "Gap: 2025-11-18T15:35:00Z to 2025-11-18T15:45:00Z, 2 slots" in told
    assert "and 3 earlier gaps" in told
    assert "last batches" in told
