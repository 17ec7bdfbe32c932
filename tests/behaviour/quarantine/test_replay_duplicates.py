"""A replay of quarantined lines keeps the rule that the first file by name has an event."""

import random
from dataclasses import replace
from datetime import timedelta

import pytest

from shoplake.ingestion import pipeline
from shoplake.operations.quarantine.contents import LineFilter
from tests.behaviour.quarantine.support import EARLY, LATE, ahead, ingest_at, replay_at, truth, verified
from tests.support import (
    START,
    answers,
    command,
    dump,
    event,
    everywhere,
    ingest,
    key,
    ledger,
    oracle,
    prepare,
    proofs,
    put,
)


@everywhere
def test_the_first_name_gets_it(source, lake):
    """An event that a later file brought meanwhile moves to the earlier file, by the same commit; it counts once."""
    put(source, 0, [event(1), ahead(1, "purchase")])
    ingest_at(EARLY, source, lake)
    put(source, 5, [ahead(1, "purchase"), ahead(2)])
    ingest_at(LATE, source, lake)
    assert {row["source_file"] for row in dump(lake)["events"] if row["session_id"] == "s_1"} == {key(0), key(5)}
    done = replay_at(LATE, lake)
    assert (done.lines, done.accepted, done.duplicates) == (1, 0, 1)
    truth(source, lake)
    verified(source, lake)


def test_the_later_name_has_a_duplicate(source, lake):
    """An event that an earlier file brought meanwhile is a duplicate in the later file."""
    put(source, 5, [event(1), ahead(1, "purchase")])
    ingest_at(EARLY, source, lake)
    put(source, 0, [ahead(1, "purchase"), ahead(2)])
    ingest_at(LATE, source, lake)
    done = replay_at(LATE, lake)
    assert (done.accepted, done.duplicates) == (0, 1)
    assert ledger(lake)[key(5)]["duplicates_of"] == [key(0)]
    truth(source, lake)
    verified(source, lake)


@pytest.mark.parametrize("third", [7, 3], ids=["last", "between"])
def test_who_pointed_at_the_later_one(source, lake, third):
    """A third file whose duplicate's event moves to an earlier one points at it at once; once read again, at it alone."""
    put(source, 0, [event(1), ahead(1, "purchase")])
    put(source, third, [event(3), ahead(1, "purchase"), ahead(8, user_id="")])
    ingest_at(EARLY, source, lake)
    put(source, 2, [ahead(1, "purchase"), ahead(2)])
    ingest_at(LATE, source, lake)
    replay_at(LATE, lake, LineFilter(files=(key(third),)))
    assert ledger(lake)[key(third)]["duplicates_of"] == [key(2)]
    replay_at(LATE, lake)
    assert ledger(lake)[key(third)]["duplicates_of"] == [key(0), key(2)]
    verified(source, lake)
    truth(source, lake, more_links=True)
    assert command("replay", "--source", source, "--lake", lake, "--files", key(third)).code == 0
    truth(source, lake)


def test_a_file_to_be_done_again_still_is(source, lake):
    """A file that waits for the next ingest waits on after a replay of its lines."""
    put(source, 0, [event(1)])
    put(source, 1, [event(1), event(2), ahead(3)])
    ingest_at(EARLY, source, lake)
    put(source, 0, [event(7)])

    def stop(*_):
        raise KeyboardInterrupt

    run = replace(prepare(source, lake), now=lambda: EARLY, watchers=pipeline.Watchers(committed=stop))
    with pytest.raises(KeyboardInterrupt):
        pipeline.ingest(run)
    assert {path: row["status"] for path, row in ledger(lake).items()} == {key(0): "ingested", key(1): "reopened"}
    assert replay_at(LATE, lake).accepted == 1
    assert ledger(lake)[key(1)]["status"] == "reopened"
    ingest(source, lake)
    truth(source, lake)


@pytest.mark.parametrize("seed", [0, *proofs(*range(1, 8))])
def test_any_history(source, lake, seed):
    """Files over a few events arrive in any order, at any time, with replays in between: the end is that of a fresh lake."""
    chooser = random.Random(seed)
    slots = list(range(7))
    chooser.shuffle(slots)
    for step, slot in enumerate(slots):
        now = START + timedelta(hours=6 * step)
        picked = [chooser.choice([event, ahead])(chooser.randrange(6), "purchase") for _ in range(6)]
        broken = [ahead(n, user_id=chooser.choice(["", "u"])) for n in range(2)]
        put(source, slot, [*picked, *broken, b"x"])
        ingest_at(now, source, lake, batch_bytes=chooser.choice([1, 10**9]), max_quarantine_rate=1)
        if chooser.random() < 0.6:
            files = tuple(chooser.sample([key(s) for s in slots[: step + 1]], 1)) if chooser.random() < 0.5 else ()
            reason = chooser.choice([None, "future_timestamp", "missing_user_id"])
            hours = chooser.choice([24, 1000])
            replay_at(
                now, lake, LineFilter(reason, files), max_future_hours=hours, batch_bytes=chooser.choice([1, 10**9])
            )
            assert answers(lake) == oracle(lake)
    verified(source, lake)
    replay_at(LATE + timedelta(days=9), lake)
    verified(source, lake)
    truth(source, lake, more_links=True)
