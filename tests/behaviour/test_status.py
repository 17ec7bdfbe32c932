"""Status: is the lake fresh, is it whole, what failed, what is waiting, what is to be done."""

import errno
import random
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from shoplake.engines.duckdb import DuckDBEngine
from shoplake.errors import ContractError, FatalError
from shoplake.health import status
from shoplake.ingestion import pipeline
from shoplake.lake import gaps
from shoplake.lake.catalog import Lake
from shoplake.lake.notes import DEMO, Note
from shoplake.lake.snapshots import TableSnapshot
from shoplake.settings import Settings
from shoplake.sources import slots
from shoplake.sources.local import LocalSource
from shoplake.sources.open import open_source
from shoplake.storage.local import LocalStorage
from tests.support import (
    SLOT,
    START,
    command,
    dump,
    event,
    events,
    everywhere,
    everywhere_in_proofs,
    ingest,
    key,
    prepare,
    put,
    put_bytes,
)

CHECKS = ["fresh", "runs", "whole", "readable", "waiting", "gaps", "quarantine"]


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


@everywhere_in_proofs
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


@everywhere_in_proofs
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


def test_the_demo_is_not_stale(shop):
    """Nothing arrives there on its own: its data is old on purpose, which the check says."""
    _, lake = shop
    assert look(lake).demo is False
    Note(Lake(lake), DEMO).change(dict, lambda _: {"made_by": "shoplake demo"})
    state = look(lake, after=timedelta(days=100))
    assert (verdicts(state)["fresh"], state.fresh, state.demo) == ("ok", True, True)
    assert "its data is old on purpose" in of(state, "fresh").detail


def test_a_clock_that_was_ahead(tmp_path):
    """An arrival in the future is a failure, and hides neither that the lake is stale nor that lines are broken."""
    source, lake = tmp_path / "raw", tmp_path / "lake"
    put(source, 0, events(1000))
    pipeline.ingest(replace(prepare(source, lake), now=lambda: datetime.now(UTC) + timedelta(days=3)))
    state = look(lake)
    assert (verdicts(state)["fresh"], state.fresh, state.newest_arrival, state.freshness_seconds) == (
        "failed",
        False,
        None,
        None,
    )
    assert "1 file arrived in the future" in of(state, "fresh").detail
    assert "clock" in of(state, "fresh").remedy
    put(source, 1, [b"broken"] * 900)
    put_bytes(source, 2, b"not gzip")
    ingest(source, lake)
    state = look(lake)
    assert verdicts(state) | {"fresh": "failed", "quarantine": "failed", "readable": "failed"} == verdicts(state)
    assert "900 of 900 lines" in of(state, "quarantine").detail
    assert 0 <= state.freshness_seconds < 600
    assert verdicts(look(lake, after=timedelta(days=2)))["readable"] == "warning"
    assert verdicts(look(lake, after=timedelta(days=3, minutes=5)))["fresh"] == "ok"


def test_clocks_that_differ_by_seconds(shop):
    """A machine whose clock is a little behind sees nothing of the future."""
    assert verdicts(look(shop[1], after=timedelta(seconds=-50)))["fresh"] == "ok"
    assert verdicts(look(shop[1], after=timedelta(seconds=-70)))["fresh"] == "failed"


# ------------------------------------------------------------------------------------------------------------------ gaps


def ranges(state):
    return [(gap.start, gap.end, gap.slots) for gap in state.gaps]


def span(first, slots_):
    start = (START + first * SLOT).replace(tzinfo=None)
    return (start, start + slots_ * SLOT, slots_)


@everywhere_in_proofs
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
    ("path", "hour", "minute"),
    [
        ("events-20251118-141059.jsonl.gz", 14, 10),
        ("shop/events-20251118-141059.jsonl.gz", 14, 10),
        ("year=2025/month=11/day=18/hour=09/minute=05/events-20251118-141059.jsonl.gz", 9, 5),
    ],
)
def test_a_flat_file_has_the_slot_of_its_name(path, hour, minute):
    """Where there are Hive folders, these decide: a name tells when the file was written, which is later."""
    assert slots.slot(path) == START.replace(tzinfo=None, hour=hour, minute=minute)


def test_gaps_between_flat_files(shop):
    """Files in one folder have slots and gaps like those in folders by their time."""
    source, lake = shop
    for slot in (4, 7):
        put(source, f"events-{START + slot * SLOT:%Y%m%d-%H%M%S}.jsonl.gz", events(5, first=10 * slot))
    ingest(source, lake)
    assert ranges(look(lake)) == [span(5, 2)]


@pytest.mark.parametrize(
    "path",
    [
        "a.jsonl.gz",
        "events-20251318-141059.jsonl.gz",
        "events/a.jsonl.gz",
        "events/year=2025/month=13/day=01/hour=00/minute=00/a.jsonl.gz",
    ],
)
def test_files_outside_the_layout_have_no_slot(path):
    """Names that are no time have no slot, and make no gap."""
    assert slots.slot(path) is None
    assert slots.gaps([path, hive(14, 0), hive(14, 5)]) == []


@everywhere
def test_a_gap_is_acknowledged_with_a_reason(shop):
    """Status no longer warns about it, names it with its reason, and warns again about what was taken back."""
    source, lake = shop
    for slot in (7, 20):
        put(source, slot, events(5, first=90 * slot))
    ingest(source, lake)
    at = [(START + slot * SLOT).isoformat() for slot in range(30)]
    words = ("acknowledge", "--lake", lake, "--from")
    told = command(*words, at[4], "--to", at[6], "--reason", "the shop was closed", "--format", "json").json
    assert told["acknowledged"] == {
        "from": "2025-11-18T14:20:00Z",
        "to": "2025-11-18T14:30:00Z",
        "reason": "the shop was closed",
        "at": told["acknowledged"]["at"],
    }
    assert told["remaining_slots"] == 13
    state = look(lake)
    assert ranges(state) == [span(6, 1), span(8, 12)]
    assert "2 slots without a file acknowledged" in of(state, "gaps").detail
    assert state.as_json()["gaps"]["acknowledged"] == [told["acknowledged"]]
    assert command(*words, at[6], "--to", at[25], "--reason", "moved").code == 0
    assert verdicts(look(lake))["gaps"] == "ok"
    shown = command("status", "--lake", lake).out
    assert "Acknowledged: 2025-11-18T14:20:00Z to 2025-11-18T14:30:00Z: the shop was closed" in shown
    assert "No file is missing; 15 slots without a file acknowledged." in shown
    assert command(*words, at[0], "--to", at[7], "--withdraw").code == 0
    assert ranges(look(lake)) == [span(4, 2)]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--to", "2025-11-18T15:00Z"], "acknowledge or withdraw?"),
        (["--to", "2025-11-18T15:00Z", "--reason", "x", "--withdraw"], "acknowledge or withdraw?"),
        (["--to", "2025-11-18T15:00Z", "--reason", " "], "for a reason"),
        (["--to", "2025-11-18T14:00Z", "--reason", "x"], "is empty"),
        (["--to", "2025-11-18T15:00Z", "--withdraw"], "no acknowledged gap"),
    ],
)
def test_acknowledging_nothing(shop, words, said):
    told = command("acknowledge", "--lake", shop[1], "--from", "2025-11-18T14:00Z", *words)
    assert (told.code, told.out) == (2, "")
    assert said in told.err


def test_an_acknowledged_range_takes_whole_slots():
    """It is widened to them, and may begin before a gap, end behind it or cover several."""

    def at(minute):
        return START.replace(tzinfo=None) + timedelta(minutes=minute)

    def known(*spans):
        return [gaps.Acknowledged(at(first), at(last), "", at(0)) for first, last in spans]

    gap = slots.Gap(at(10), at(30))
    for spans, remaining in (
        ([], [(10, 30)]),
        ([(0, 10), (30, 60)], [(10, 30)]),
        ([(0, 15)], [(15, 30)]),
        ([(25, 40), (15, 20)], [(10, 15), (20, 25)]),
        ([(0, 20), (15, 60)], []),
    ):
        assert gaps.without([gap], known(*spans)) == [slots.Gap(at(first), at(last)) for first, last in remaining]


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


def test_seconds_are_of_the_whole_batch(shop, monkeypatch):
    """Reading is the smaller part of a batch. Without the ledger's history only that part is known."""
    source, lake = shop
    real, gold, late = time.perf_counter, DuckDBEngine.gold, [0.0]

    def slow(*words):
        late[0] += 100
        return gold(*words)

    monkeypatch.setattr(DuckDBEngine, "gold", slow)
    monkeypatch.setattr(time, "perf_counter", lambda: real() + late[0])
    put(source, 4, events(5, first=80))
    ingest(source, lake)
    assert 100 < look(lake).batches[0].seconds < 200
    put(source, 5, events(5, first=90))
    ingest(source, lake)
    assert command("erase", "--user", "nobody", "--lake", lake, "--yes").code == 0
    assert look(lake).batches[0].seconds > 100
    assert 0 < look(lake).batches[1].seconds < 100


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
        "acknowledged": [],
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


# ----------------------------------------------------------------------------------------------------------- failed runs


def fail(source, lake):
    """A run that the breaker stops, for good."""
    put(source, 9, [b"broken"] * 1000)
    with pytest.raises(ContractError):
        ingest(source, lake)


@everywhere
def test_a_failed_run_is_known_until_one_succeeds(shop):
    """It is a failure with its time and reason, though nothing was committed; what to do is the run's own remedy."""
    source, lake = shop
    assert look(lake).last_failure is None
    fail(source, lake)
    state = look(lake, source, timedelta(minutes=3))
    assert (verdicts(state)["runs"], state.verdict, state.last_failure.runs) == ("failed", "failed", 1)
    assert "The last run failed 3 minutes ago" in of(state, "runs").detail
    assert f"Files: {key(9)} (1,000 of 1,000 lines)" in of(state, "runs").detail
    assert "--set-aside" in of(state, "runs").remedy
    assert "The last run failed" in of(state, "waiting").remedy
    assert "last run failed" in of(look(lake, source, timedelta(minutes=11)), "fresh").remedy
    first = state.last_failure
    fail(source, lake)
    again = look(lake)
    assert (again.last_failure.runs, again.last_failure.since) == (2, first.at)
    assert again.last_failure.at > first.at
    assert f"The last 2 runs failed, since {first.at:%Y-%m-%d %H:%M}" in of(again, "runs").detail
    told = again.as_json()["last_failure"]
    assert (told["error"], told["at"]) == (again.last_failure.error, again.last_failure.at.isoformat() + "Z")
    put(source, 9, events(5, first=900))
    ingest(source, lake)
    assert verdicts(look(lake))["runs"] == "ok"


def test_a_replay_is_no_run_of_the_schedule(shop):
    """Replaying a file neither hides that runs fail nor counts as one."""
    source, lake = shop
    fail(source, lake)
    pipeline.ingest(prepare(source, lake), only=[key(0)])
    assert verdicts(look(lake))["runs"] == "failed"


def test_an_interrupted_run_has_not_failed(shop, monkeypatch):
    """The next one does what is left."""
    source, lake = shop
    put(source, 9, events(5, first=900))

    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(pipeline, "publish", stopped)
    with pytest.raises(KeyboardInterrupt):
        ingest(source, lake)
    assert look(lake).last_failure is None


def test_the_error_of_a_run_is_not_hidden_by_a_note_that_cannot_be_written(shop, monkeypatch):
    """The caller gets why the run failed."""

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(LocalStorage, "swap", full)
    fail(*shop)


def test_a_failure_makes_no_lake(tmp_path, monkeypatch):
    """A run that fails before there is a lake leaves none behind."""
    put(tmp_path / "raw", 0, events(5))

    def unlisted(*_):
        raise FatalError("it cannot be listed")

    monkeypatch.setattr(LocalSource, "list", unlisted)
    with pytest.raises(FatalError):
        ingest(tmp_path / "raw", tmp_path / "lake")
    assert not (tmp_path / "lake").exists()


def test_a_damaged_note_of_a_failure(shop):
    """It is named, with what to do; a run that succeeds removes it."""
    source, lake = shop
    (lake / "last-failure.json").write_text("{}")
    with pytest.raises(FatalError, match=r"last-failure\.json is damaged"):
        look(lake)
    ingest(source, lake)
    assert verdicts(look(lake))["runs"] == "ok"
