"""Whatever the order and the grouping in which files arrive, the tables are the same, row for row."""

import gzip
import itertools
import random
from dataclasses import replace

import pytest

from shoplake.generator.faults import Faults
from shoplake.generator.files import generate_files
from shoplake.lake import ledger as ledgers
from tests.support import (
    START,
    accepted,
    answers,
    both_in_proofs,
    dump,
    elsewhere_in_proofs,
    event,
    events,
    everywhere,
    everywhere_in_proofs,
    fates,
    five_answers,
    ingest,
    judge_files,
    key,
    ledger,
    oracle,
    proofs,
    put,
    put_bytes,
)

FEW_LATE = 0.001  # one late event a file: each may open an hour of its own, and hours cost time


class Arrivals:
    """Twelve files with every fault, and the tables that one run over all of them gives."""

    def __init__(self, folder, faults, files, events_per_file, seed):
        self.folder = folder
        span = (events_per_file, events_per_file)
        made = generate_files(folder / "all", files, span, START, seed, faults=faults, workers=1)
        self.keys = [file.key for file in made]
        assert ingest(folder / "all", folder / "lake").batches == 1
        self.truth = dump(folder / "lake")

    def arrive(self, where, groups, **settings):
        """The tables after the groups have arrived one after the other, with a run after each."""
        for group in groups:
            for name in group:
                put_bytes(where / "raw", name, (self.folder / "all" / name).read_bytes())
            ingest(where / "raw", where / "lake", **settings)
        assert sorted(name for group in groups for name in group) == self.keys
        return dump(where / "lake")


@pytest.fixture(scope="module")
def heavy(tmp_path_factory):
    """Twelve small files with every fault."""
    faults = replace(Faults.heavy(), late_fraction=FEW_LATE)
    return Arrivals(tmp_path_factory.mktemp("heavy"), faults, 12, 200, seed=5)


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """Six files with the faults of a normal bad day, and more lines sent twice."""
    faults = replace(Faults.demo(), cross_duplicate_fraction=0.02)
    return Arrivals(tmp_path_factory.mktemp("demo"), faults, 6, 300, seed=6)


def test_data_is_worth_the_name(heavy, demo):
    """The files that the tests below stand on have late events, both kinds of duplicates and broken lines."""
    for arrivals in (heavy, demo):
        judged = judge_files(arrivals.folder / "all")
        assert {path: fates(verdicts) for path, verdicts in judged.items()} == {
            row["source_file"]: {name: row[name] for name in ("lines", "accepted", "duplicates", "quarantined")}
            for row in arrivals.truth["ledger"]
        }
        assert len({row["event_hour"] for row in arrivals.truth["user_hourly"]}) > 1
        assert any(row["duplicates_of"] for row in arrivals.truth["ledger"])
        assert arrivals.truth["quarantine"]


def test_one_run_each(heavy, tmp_path):
    """Twelve runs of one file each give the tables of one run."""
    assert heavy.arrive(tmp_path, [[name] for name in heavy.keys]) == heavy.truth


def test_one_run_each_reversed(heavy, tmp_path):
    """So do twelve runs in reversed order, in which every duplicate comes before its original."""
    assert heavy.arrive(tmp_path, [[name] for name in reversed(heavy.keys)]) == heavy.truth


@everywhere
def test_small_batches(heavy, place):
    """So does one run that has to take the files in many batches."""
    assert heavy.arrive(place, [heavy.keys], batch_bytes=20_000) == heavy.truth


def test_one_thread(demo, tmp_path):
    """So does one run on one core."""
    assert demo.arrive(tmp_path, [demo.keys], threads=1) == demo.truth


def test_reversed_halves_in_small_batches(demo, place):
    """So do two runs, the later half first, in batches of one file."""
    assert demo.arrive(place, [demo.keys[4:], demo.keys[:4]], batch_bytes=1) == demo.truth


def test_merged_ledger(demo, tmp_path, monkeypatch):
    """So do runs in which the ledger's small files are merged on the way."""
    monkeypatch.setattr(ledgers, "LEDGER_FILES", 3)
    assert demo.arrive(tmp_path, [[name] for name in demo.keys]) == demo.truth


@pytest.mark.parametrize("seed", [0, *proofs(*range(1, 10))])
def test_random_order_and_grouping(demo, tmp_path, seed):
    """So does any other order in any groups."""
    rng = random.Random(seed)
    order = rng.sample(demo.keys, len(demo.keys))
    cuts = sorted({0, len(order), *rng.sample(range(1, len(order)), 2)})
    groups = [order[first:last] for first, last in itertools.pairwise(cuts)]
    assert demo.arrive(tmp_path, groups) == demo.truth


FEW = ((0, 1, 2), (2, 1, 0), (1, 0, 2))
OTHERS = sorted({*itertools.permutations(range(3))} - {*FEW})


@pytest.mark.parametrize("order", [*FEW, *proofs(*((order,) for order in OTHERS))], ids=str)
def test_one_event_in_three_files(tmp_path, order):
    """An event that stands in three files is counted once, in the first by name, and the others say where."""
    for slot in order:
        put(tmp_path / "raw", slot, [event(1), event(1), event(10 + slot)])
        ingest(tmp_path / "raw", tmp_path / "lake")
    entries = ledger(tmp_path / "lake")
    assert {row["source_file"] for row in dump(tmp_path / "lake")["events"] if row["session_id"] == "s_1"} == {key(0)}
    assert [entries[key(slot)]["duplicates"] for slot in range(3)] == [1, 2, 2]
    assert [entries[key(slot)]["status"] for slot in range(3)] == ["ingested"] * 3
    ingest(tmp_path / "raw", tmp_path / "fresh")
    assert dump(tmp_path / "lake") == dump(tmp_path / "fresh")


@both_in_proofs
def test_a_file_that_comes_between_two_that_are_done_again(tmp_path):
    """A duplicate follows its event to another file, also if it arrived after that was found out and before it was done."""
    raw, lake = tmp_path / "raw", tmp_path / "lake"
    shared = event(1, user_id="shared")
    put(raw, 2, [shared, event(2)])
    ingest(raw, lake)
    put(raw, 1, [shared, event(3)])
    put(raw, 3, [shared, event(4)])
    ingest(raw, lake, batch_bytes=1)
    ingest(raw, tmp_path / "fresh")
    assert dump(lake) == dump(tmp_path / "fresh")
    put(raw, 1, [event(3)])
    put(raw, 2, [event(2)])
    ingest(raw, lake)
    assert [row["source_file"] for row in dump(lake)["events"] if row["user_id"] == "shared"] == [key(3)]


@everywhere_in_proofs
def test_chain_of_duplicates_reversed(place):
    """Files that each repeat an event of the one before give the same tables in reversed order."""
    files = {slot: [event(slot), event(slot + 1), event(100 + slot)] for slot in range(3)}
    for slot in reversed(files):
        put(place / "raw", slot, files[slot])
        ingest(place / "raw", place / "lake")
    ingest(place / "raw", place / "fresh")
    assert dump(place / "lake") == dump(place / "fresh")


@elsewhere_in_proofs
def test_late_file_corrects_a_published_hour(place):
    """A file that arrives after its hour was published changes that hour and leaves the others' gold files alone."""
    source, lake = place / "raw", place / "lake"
    put(source, 0, events(40))
    put(source, 12, [one | {"timestamp": "2025-11-18T15:01:00Z"} for one in events(40)])
    ingest(source, lake)
    before = answers(lake)
    late = event(70, "purchase", price=5.5, quantity=2, user_id="u_new", product_id="p_new", category="toys")
    put(source, 20, [late])
    assert ingest(source, lake).hours == 1
    after = answers(lake)
    assert [row[0].hour for row in after["hourly_revenue"]] == [14, 15]
    assert after["hourly_revenue"][0][1] == before["hourly_revenue"][0][1] + 11
    assert after["hourly_revenue"][1] == before["hourly_revenue"][1]
    assert after["user_activity"][0][1] == before["user_activity"][0][1] + 1
    assert after == oracle(lake) == five_answers(accepted(judge_files(source)))


@elsewhere_in_proofs
@pytest.mark.parametrize("keeps", [False, True], ids=["without the event", "with the event"])
def test_replaced_file_with_a_duplicate_elsewhere(place, keeps):
    """When the file that held an event is replaced, the event survives in the other file that has it too."""
    source, lake = place / "raw", place / "lake"
    put(source, 0, [event(1), event(2)])
    put(source, 1, [event(1), event(3)])
    put(source, 2, [event(1), event(4)])
    ingest(source, lake)
    put(source, 0, [event(2), event(5), *([event(1)] if keeps else [])])
    ingest(source, lake)
    holders = {row["source_file"] for row in dump(lake)["events"] if row["session_id"] == "s_1"}
    assert holders == {key(0) if keeps else key(1)}
    ingest(source, place / "fresh")
    assert dump(lake) == dump(place / "fresh")


@everywhere_in_proofs
def test_replaced_by_unreadable_with_a_duplicate_elsewhere(place):
    """The event survives, too, when the file that held it cannot be read any more."""
    source, lake = place / "raw", place / "lake"
    put(source, 0, [event(1), event(2)])
    put(source, 1, [event(1), event(3)])
    ingest(source, lake)
    (source / key(0)).write_bytes(b"not gzip")
    ingest(source, lake)
    assert {row["session_id"] for row in dump(lake)["events"]} == {"s_1", "s_3"}
    ingest(source, place / "fresh")
    assert dump(lake) == dump(place / "fresh")


@pytest.mark.parametrize("content", [b"not gzip", gzip.compress(b"")], ids=["unreadable", "empty"])
def test_both_replaced_and_the_holder_has_no_events_now(tmp_path, content):
    """The event survives when both files are replaced at once and the one that held it has no readable event any more."""
    source, lake = tmp_path / "raw", tmp_path / "lake"
    put(source, 0, [event(1), event(2)])
    put(source, 1, [event(1), event(3)])
    ingest(source, lake)
    (source / key(0)).write_bytes(content)
    put(source, 1, [event(1), event(3), event(4)])
    ingest(source, lake)
    assert {row["session_id"] for row in dump(lake)["events"]} == {"s_1", "s_3", "s_4"}
    ingest(source, tmp_path / "fresh")
    assert dump(lake) == dump(tmp_path / "fresh")


def test_many_replacements_in_random_order(tmp_path):
    """Five rounds in which random files come, change and share events leave the tables of one run over the last state."""
    source, lake = tmp_path / "raw", tmp_path / "lake"
    rng = random.Random(11)
    for _ in range(5):
        for slot in rng.sample(range(5), 2):
            put(source, slot, [event(rng.randrange(12), "purchase") for _ in range(6)])
        ingest(source, lake, batch_bytes=rng.choice((1, 10**9)))
    ingest(source, tmp_path / "fresh")
    assert dump(lake) == dump(tmp_path / "fresh")


def test_same_event_in_other_words(tmp_path):
    """Two lines are one event when their nine values are equal, however they are written."""
    one = event(0, "purchase", timestamp="2025-11-18T14:00:00.000Z", price=5, quantity=2)
    other = (
        rb' {"search_query":null,"price":5.00,"quantity":"2","category":"\u0062ooks","product_id":"p_0",'
        rb'"event_type":"purchase","session_id":"s_0","user_id":"u_0","timestamp":"2025-11-18T15:00:00+01:00"}'
    )
    put(tmp_path / "raw", 0, [one])
    put(tmp_path / "raw", 1, [other, one | {"price": 5.01}, one | {"timestamp": "2025-11-18T14:00:00.000001Z"}])
    done = ingest(tmp_path / "raw", tmp_path / "lake")
    assert (done.accepted, done.duplicates) == (3, 1)
