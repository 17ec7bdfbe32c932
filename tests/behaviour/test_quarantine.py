"""``shoplake quarantine``: what was turned down can be counted, seen, taken out, and judged anew; what passes moves once."""

import base64
import csv
import gzip
import io
import json
import random
from collections import Counter, defaultdict
from contextlib import nullcontext
from dataclasses import replace
from datetime import timedelta

import pyarrow as pa
import pytest

import shoplake
from shoplake import contract, parquet, pipeline
from shoplake.commits import Commit
from shoplake.engines.duckdb import DuckDBEngine
from shoplake.errors import FatalError, UsageError
from shoplake.lake import Lake
from shoplake.operations.quarantine import held
from shoplake.operations.quarantine import replay as operation
from shoplake.operations.quarantine.held import Choice
from shoplake.settings import Settings
from tests.support import (
    START,
    accepted,
    answers,
    as_line,
    command,
    data_files,
    dump,
    event,
    events,
    everywhere,
    fates,
    five_answers,
    ingest,
    judge_files,
    key,
    ledger,
    oracle,
    prepare,
    put,
    put_bytes,
    snapshots,
)

EARLY = START  # what lies a day after it is the future
LATE = START + timedelta(days=3)  # by then none of it is


def ahead(number, event_type="page_view", **changes):
    """A valid event of the next day but one: the future for a run at EARLY."""
    moment = (START + timedelta(hours=40, seconds=number)).isoformat()
    return event(number, event_type, timestamp=moment, **changes)


def ingest_at(now, source, lake, **settings):
    return pipeline.ingest(replace(prepare(source, lake, **settings), now=lambda: now))


def replay_at(now, lake, choice=None, **settings):
    run = operation.Run(Lake(lake), lambda: DuckDBEngine(2), Settings(**settings), now=lambda: now)
    return operation.replay(run, choice or Choice())


@pytest.fixture
def source(place):
    return place / "raw"


@pytest.fixture
def lake(place):
    return place / "lake"


def truth(source, lake, *, more_links=False):
    """The lake is what one run over the source gives today, and what the judge says.

    Args:
        source: The raw files.
        lake: The lake.
        more_links: Whether the ledger may name more files that hold the events of a file's duplicates.
    """
    ingest(source, lake.parent / "fresh")
    found, due = dump(lake), dump(lake.parent / "fresh")
    if more_links:
        links, due_links = (
            {row["source_file"]: set(row.pop("duplicates_of")) for row in tables["ledger"]} for tables in (found, due)
        )
        assert all(links[path] >= due_links[path] for path in due_links)
    assert found == due
    judged = judge_files(source)
    assert answers(lake) == oracle(lake) == five_answers(accepted(judged))
    for path, row in ledger(lake).items():
        assert {name: row[name] for name in ("lines", "accepted", "duplicates", "quarantined")} == fates(judged[path])


def verified(source, lake):
    """Verify, with the source, finds nothing."""
    told = command("verify", "--lake", lake, "--source", source, "--format", "json")
    assert told.json["ok"], [check for check in told.json["checks"] if not check["ok"]]


@pytest.fixture
def shop(source, lake):
    """Four files that arrived early: lines of the future, some twice, in one file and across files; broken lines."""
    put(source, 0, [*events(10), *(ahead(n, "purchase") for n in range(5)), ahead(3, "purchase"), b"broken"])
    put(source, 1, [*events(10, first=20), ahead(2, "purchase"), ahead(9), event(3, "purchase")])
    put(source, 2, [*events(10, first=40), ahead(4, user_id=""), b"\xff"])
    put(source, 3, [ahead(2, "purchase"), ahead(11), as_line(ahead(12)).replace(b"u_5", b"\xff")])
    ingest_at(EARLY, source, lake)
    return source, lake


# ------------------------------------------------------------------------------------------------- replay: what it does


@everywhere
def test_lines_of_the_future_become_events(shop):
    """Once their time has come, they are events, each once and with its file; the tables are those of a fresh lake."""
    source, lake = shop
    assert {row["accepted"] for row in ledger(lake).values()} == {10, 0}
    verified(source, lake)
    done = replay_at(LATE, lake)
    assert (done.lines, done.accepted, done.duplicates, done.quarantined) == (14, 7, 3, 4)
    assert done.reasons == {"malformed_json": 1, "invalid_utf8": 2, "missing_user_id": 1}
    assert (done.files, done.batches) == (4, 1)
    truth(source, lake)
    verified(source, lake)
    assert Counter(row["source_file"] for row in dump(lake)["events"] if row["event_time"].day == 20) == {
        key(0): 5,
        key(1): 1,
        key(3): 1,
    }


def test_twice_is_once(shop):
    """A second replay judges what is left, moves nothing and makes no snapshot; nor does one with nothing to judge."""
    source, lake = shop
    replay_at(LATE, lake)
    before, tables = snapshots(lake), dump(lake)
    done = replay_at(LATE, lake)
    assert (done.lines, done.accepted, done.duplicates, done.quarantined, done.batches) == (4, 0, 0, 4, 0)
    assert replay_at(LATE, lake, Choice("future_timestamp")).lines == 0
    assert (snapshots(lake), dump(lake)) == (before, tables)
    assert ingest(source, lake).batches == 0


def test_too_early(shop):
    """Before their time nothing moves and nothing is written."""
    source, lake = shop
    before = snapshots(lake)
    done = replay_at(EARLY + timedelta(hours=1), lake)
    assert (done.lines, done.quarantined, done.batches) == (14, 14, 0)
    assert snapshots(lake) == before
    verified(source, lake)


def test_another_setting(shop):
    """A higher max_future_hours lets them in as time does."""
    source, lake = shop
    assert replay_at(EARLY, lake, max_future_hours=72).accepted == 7
    truth(source, lake)


def test_batches_of_one_file(shop):
    """The size of batches does not change the result."""
    source, lake = shop
    done = replay_at(LATE, lake, batch_bytes=1)
    assert (done.accepted, done.duplicates, done.batches) == (7, 3, 4)
    truth(source, lake)


def test_merged_data_files(shop):
    """Where a data file holds the events of several source files, each keeps its own."""
    source, lake = shop
    view = Lake(lake).view()
    table = view["events"].table
    rows = pa.concat_tables(
        [parquet.read(table, view["events"].storage.read(file.path)) for file in view["events"].files]
    )
    with Commit(Lake(lake), view, EARLY, {}) as commit:
        commit.replace(table, [key(slot) for slot in range(4)], [commit.write(table, EARLY, rows)])
        commit.publish()
    assert list(data_files(lake, "events").values()) == [(key(0), key(2))]
    assert replay_at(LATE, lake).accepted == 7
    truth(source, lake)
    verified(source, lake)


@pytest.mark.parametrize(
    ("choice", "moved", "judged"),
    [
        (Choice(reason="future_timestamp"), 7, 11),
        (Choice(reason="missing_user_id"), 0, 1),
        (Choice(files=(key(1),)), 2, 2),
        (Choice("future_timestamp", (key(1), key(3))), 3, 4),
        (Choice("malformed_json", (key(1),)), 0, 0),
    ],
    ids=str,
)
def test_chosen_lines(shop, choice, moved, judged):
    """Only the chosen lines are judged; the others stay as they are, and their files keep their data files."""
    source, lake = shop
    before, files = dump(lake), data_files(lake, "events")
    done = replay_at(LATE, lake, choice)
    assert (done.lines, done.accepted) == (judged, moved)
    meant = set(choice.files) or {key(slot) for slot in range(4)}
    for table in ("events", "quarantine", "ledger"):
        assert [row for row in dump(lake)[table] if row["source_file"] not in meant] == [
            row for row in before[table] if row["source_file"] not in meant
        ]
    assert {path: of for path, of in files.items() if of[0] not in meant}.items() <= data_files(lake, "events").items()
    verified(source, lake)
    assert answers(lake) == oracle(lake)
    replay_at(LATE, lake)
    truth(source, lake, more_links=True)


def test_what_stays_keeps_what_it_is(shop):
    """Lines that stay have their text, number and arrival, and the reasons that hold now."""
    _, lake = shop
    before = quarantined(lake, "source_file, line_number, raw, encoding, arrived_at, reasons")
    replay_at(LATE, lake)
    after = quarantined(lake, "source_file, line_number, raw, encoding, arrived_at, reasons")
    assert [row[:-1] for row in after] == [
        row[:-1] for row in before if row[-1] != ["future_timestamp"] or row[0] not in ledger(lake)
    ]
    assert [row[-1] for row in after if row[0] == key(2) and row[3] == "utf-8"] == [["missing_user_id"]]
    assert ["future_timestamp", "missing_user_id"] in [row[-1] for row in before]


def quarantined(lake, columns):
    with shoplake.open(lake) as opened:
        return opened.sql(f"SELECT {columns} FROM quarantine ORDER BY source_file, line_number").fetchall()


def test_figures_after_a_replay(shop):
    """The API and status show the new figures; freshness and arrival are as before."""
    _, lake = shop
    before = command("status", "--lake", lake, "--format", "json").json
    with shoplake.open(lake) as opened:
        assert opened.sql("SELECT count(*) FROM events").fetchall() == [(30,)]
        replay_at(LATE, lake)
        opened.refresh()
        assert opened.sql("SELECT count(*) FROM events").fetchall() == [(37,)]
        assert opened.sql("SELECT max(event_date) FROM activity_daily").fetchall()[0][0].day == 20
    after = command("status", "--lake", lake, "--format", "json").json
    assert (after["ledger"]["accepted"], after["ledger"]["duplicates"], after["ledger"]["quarantined"]) == (37, 4, 4)
    assert {check["check"]: check["verdict"] for check in after["checks"]}["whole"] == "ok"
    assert after["newest_event"].startswith("2025-11-20")
    assert (after["newest_arrival"], after["reopened"]) == (before["newest_arrival"], 0)


def test_unknown_keys_are_kept(source, lake):
    """The values of keys that the contract does not know come along, and their counts stay."""
    put(source, 0, [event(1), ahead(2, coupon="v"), ahead(3, coupon="x", price="y")])
    put(source, 1, [event(5, coupon="z"), ahead(6, coupon="w", tier=1), event(7)])
    ingest_at(EARLY, source, lake)
    assert replay_at(LATE, lake).accepted == 2
    assert [row["unknown_keys"] for row in ledger(lake).values()] == ['{"coupon": 2}', '{"coupon": 2, "tier": 1}']
    assert {row["extra"] for row in dump(lake)["events"] if row["extra"]} == {
        '{"coupon": "v"}',
        '{"coupon": "z"}',
        '{"coupon": "w", "tier": 1}',
    }
    truth(source, lake)


def test_byte_order_mark(source, lake):
    """A line of the future behind a byte order mark at the start of its file is an event later."""
    put(source, 0, [ahead(1), event(2)], bom=True)
    ingest_at(EARLY, source, lake)
    assert replay_at(LATE, lake).accepted == 1
    truth(source, lake)


def test_a_mended_contract(source, lake, monkeypatch):
    """Lines that a newer contract lets pass move; those that break another rule stay with what is left of their reasons."""
    put(source, 0, [event(1), event(2, user_id="[7]"), event(3, "purchase", user_id="{", price=-1), b"["])
    put(source, 1, events(5, first=10))
    ingest(source, lake)
    assert [row["reasons"] for row in dump(lake)["quarantine"]][:2] == [["bad_user_id"], ["bad_user_id", "bad_price"]]
    fields = tuple(replace(one, fine=None) if one.name == "user_id" else one for one in contract.FIELDS)
    monkeypatch.setattr(contract, "FIELDS", fields)
    monkeypatch.setattr(contract, "RULES", contract._rules())
    told = command("verify", "--lake", lake, "--source", source, "--format", "json")
    (lines,) = [difference for check in told.json["checks"] for difference in check["differences"]]
    assert lines["what"] == "lines"
    done = replay_at(LATE, lake, Choice("bad_user_id"))
    assert (done.lines, done.accepted, done.reasons) == (2, 1, {"bad_price": 1})
    verified(source, lake)
    ingest(source, lake.parent / "fresh")
    assert dump(lake) == dump(lake.parent / "fresh")
    assert answers(lake) == oracle(lake)


def test_verify_names_the_replay(source, lake, monkeypatch):
    """Where all that verify finds in a file are quarantined lines that pass now, it says that a replay mends that."""
    put(source, 0, [event(1), event(2, user_id="[7]")])
    ingest(source, lake)
    fields = tuple(replace(one, fine=None) if one.name == "user_id" else one for one in contract.FIELDS)
    monkeypatch.setattr(contract, "FIELDS", fields)
    monkeypatch.setattr(contract, "RULES", contract._rules())
    told = command("verify", "--lake", lake, "--source", source, "--format", "json")
    (found,) = [difference for check in told.json["checks"] for difference in check["differences"]]
    assert found["remedy"].endswith(f"shoplake quarantine replay --file {key(0)}")
    assert command("quarantine", "replay", "--lake", lake, "--file", key(0)).code == 0
    verified(source, lake)


def test_verify_looks_at_lines_of_the_future(shop):
    """That a line of the future stays in quarantine is no damage; that it is another line than in the raw file is."""
    source, lake = shop
    view = Lake(lake).view()
    table = view["quarantine"].table
    (file,) = view["quarantine"].files
    rows = parquet.read(table, view["quarantine"].storage.read(file.path))
    raw = [
        text.replace("p_1", "p_2") if reasons == ["future_timestamp"] else text
        for text, reasons in zip(rows.column("raw").to_pylist(), rows.column("reasons").to_pylist(), strict=True)
    ]
    rows = rows.set_column(2, rows.schema.field("raw"), pa.array(raw))
    with Commit(Lake(lake), view, LATE, {}) as commit:
        commit.replace(table, [key(slot) for slot in range(4)], [commit.write(table, EARLY, rows)])
        commit.publish()
    told = command("verify", "--lake", lake, "--source", source, "--format", "json")
    assert {difference["what"] for check in told.json["checks"] for difference in check["differences"]} == {"lines"}


def test_a_mended_object(shop):
    """When the producer sends a mended file under the same name, its quarantined lines go with the broken one."""
    source, lake = shop
    put(source, 2, [*events(10, first=40), ahead(4, user_id="u_4"), event(60)])
    ingest(source, lake)
    assert key(2) not in {row["source_file"] for row in dump(lake)["quarantine"]}
    replay_at(LATE, lake)
    truth(source, lake)


# ------------------------------------------------------------------------------------------------- replay: duplicates


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
    replay_at(LATE, lake, Choice(files=(key(third),)))
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


@pytest.mark.parametrize("seed", range(2))
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
            replay_at(now, lake, Choice(reason, files), max_future_hours=hours, batch_bytes=chooser.choice([1, 10**9]))
            assert answers(lake) == oracle(lake)
    verified(source, lake)
    replay_at(LATE + timedelta(days=9), lake)
    verified(source, lake)
    truth(source, lake, more_links=True)


# ------------------------------------------------------------------------------------------------ replay: races, damage


POINTS = (
    (DuckDBEngine, "judge", "replay"),
    (DuckDBEngine, "judge", "ingest"),
    (DuckDBEngine, "dedupe", "ingest"),
    (DuckDBEngine, "gold", "replay"),
    (Commit, "publish", "replay"),
    (Commit, "publish", "ingest"),
)


def once_before(monkeypatch, cls, method, other):
    """Before the method's real work, once, something else happens."""
    real, turns = getattr(cls, method), iter([other])

    def wrapper(*args, **more):
        for turn in turns:
            turn()
        return real(*args, **more)

    monkeypatch.setattr(cls, method, wrapper)


@pytest.mark.parametrize(("cls", "method", "other"), POINTS)
def test_overtaken(shop, monkeypatch, cls, method, other):
    """Overtaken at any step by another replay or an ingest, it plans anew, and each line moves once."""
    source, lake = shop
    monkeypatch.setattr(Lake, "writing", lambda *_: nullcontext())

    def overtake():
        if other == "replay":
            assert replay_at(LATE, lake).accepted == 7
        else:
            put(source, 1, [*events(5, first=20), ahead(9), ahead(30)])
            put(source, 4, [ahead(1, "purchase"), ahead(2, "purchase")])
            assert ingest_at(LATE, source, lake).files == 2

    once_before(monkeypatch, cls, method, overtake)
    done = replay_at(LATE, lake)
    monkeypatch.undo()
    assert done.lines == (4 if other == "replay" else 12)
    truth(source, lake)


@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_erased_people_stay_away(shop, monkeypatch, when):
    """A replay after an erasure, or overtaken by one, keeps its count and brings nothing of the person back."""
    source, lake = shop
    monkeypatch.setattr(Lake, "writing", lambda *_: nullcontext())

    def erase():
        assert command("erase", "--lake", lake, "--user", "u_2").code == 0

    if when == "before":
        erase()
    else:
        once_before(monkeypatch, DuckDBEngine, "dedupe", erase)
    done = replay_at(LATE, lake)
    monkeypatch.undo()
    assert done.accepted == 5, "seven without the events 2 and 9 of u_2"
    assert "u_2" not in {row["user_id"] for row in dump(lake)["events"]}
    assert all(row["erased"] for path, row in ledger(lake).items() if path == key(0))
    verified(source, lake)
    assert answers(lake) == oracle(lake)


def test_always_overtaken(shop, monkeypatch):
    """A replay that loses every race gives up with a message and has changed nothing."""
    _, lake = shop
    before = dump(lake)
    monkeypatch.setattr(Lake, "swap", lambda *_: None)
    monkeypatch.setattr(pipeline, "MAX_PASSES", 3)
    told = command("quarantine", "replay", "--lake", lake)
    assert (told.code, "still lines to judge" in told.err) == (1, True)
    assert dump(lake) == before


def test_damage_is_not_papered_over(shop):
    """Where the lake does not hold what its ledger counts, a replay refuses, and verify still finds it."""
    _, lake = shop
    view = Lake(lake).view()
    with Commit(Lake(lake), view, LATE, {}) as commit:
        commit.replace(view["events"].table, [key(0)], [])
        commit.publish()
    with pytest.raises(FatalError, match=r"holds 0 events and 7 quarantined lines, but its ledger says 10 and 7"):
        replay_at(LATE, lake)
    assert command("verify", "--lake", lake).code == 1


def test_full_disk(shop, monkeypatch):
    """Without room it fails with a clear message, leaves no file behind, and the same command does it later."""
    source, lake = shop
    before, files = dump(lake), sorted(lake.rglob("*.parquet"))

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Lake(lake).storage.__class__, "write", full)
        told = command("quarantine", "replay", "--lake", lake)
    assert (told.code, "No space left" in told.err) == (1, True)
    assert (dump(lake), sorted(lake.rglob("*.parquet"))) == (before, files)
    replay_at(LATE, lake)
    truth(source, lake)


# ------------------------------------------------------------------------------------------------- list, show, export

HOSTILE = (
    b"\x1b[2J\x1b]0;owned\x07 red \x1b[31m",
    b"\xff\xfe\x1b[31m \x00",
    '{"a": "\u202egnp.exe", "b": "\u2028"}'.encode(),
    "\u009b31m c1 \u0085 nbsp\u00a0 zero\u200bwidth".encode(),
    b"[bold red]markup[/] :smile: [/]",
    b"carriage\rreturn\r",
    b'"quotes", commas, =cmd|calc, \ttabs',
    b"nul \x00 byte",
    b"back\\slash \\u001b",
    "schön, 日本, \U0001f600".encode(),
    b"x" * 5000,
)


def with_hostile_lines(folder):
    """A source and its lake: every hostile line, with a blank one before each; some broken events; a file that is cut."""
    source, lake = folder / "raw", folder / "lake"
    lines = [line for hostile in HOSTILE for line in (b"", hostile)]
    put(source, 0, [event(0), *lines])
    put(source, 1, [event(1), event(2, user_id=""), event(3, "purchase", user_id="", price=-1)])
    put_bytes(source, 2, (source / key(1)).read_bytes()[:40])
    ingest(source, lake, max_quarantine_rate=1)
    return source, lake


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """For tests that only look."""
    return with_hostile_lines(tmp_path_factory.mktemp("hostile"))


def expected(source):
    """The quarantined lines, by plain Python: file, number, bytes, reasons."""
    return [
        (path, verdict.number, verdict.raw, verdict.reasons)
        for path, verdicts in sorted(judge_files(source).items())
        for verdict in verdicts
        if verdict.fate == "quarantined"
    ]


def decoded(row):
    octets = base64.b64decode(row["raw"]) if row["encoding"] == "base64" else row["raw"].encode()
    return row["source_file"], int(row["line_number"]), octets


def test_counts(hostile):
    """By reason and by file, as a count over the raw lines gives them, with a sample and the unreadable files."""
    source, lake = hostile
    lines = expected(source)
    assert len(lines) == len(HOSTILE) + 2
    of: dict[str, list] = defaultdict(list)
    for path, number, _, reasons in lines:
        for reason in reasons:
            of[reason].append((path, number))
    found = command("quarantine", "list", "--lake", lake, "--format", "json").json
    assert found["lines"] == len(lines)
    arrived = {path: row["arrived_at"].isoformat() + "Z" for path, row in arrivals(lake).items()}
    assert {one["reason"]: one for one in found["by_reason"]} == {
        reason: {
            "reason": reason,
            "lines": len(places),
            "files": len({path for path, _ in places}),
            "source_file": places[0][0],
            "line_number": places[0][1],
            "first_arrival": arrived[places[0][0]],
            "last_arrival": arrived[places[-1][0]],
        }
        for reason, places in of.items()
    }
    assert [one["lines"] for one in found["by_reason"]] == sorted((len(places) for places in of.values()), reverse=True)
    assert [(one["source_file"], one["lines"], one["line_number"]) for one in found["by_file"]] == [
        (key(0), len(HOSTILE), 3),
        (key(1), 2, 2),
    ]
    assert found["by_file"][1]["reasons"] == {"missing_user_id": 2, "bad_price": 1}
    assert [(one["source_file"], one["error"][:4]) for one in found["unreadable"]] == [(key(2), "cut:")]


def arrivals(lake):
    with shoplake.open(lake) as opened:
        rows = opened.sql("SELECT source_file, arrived_at FROM ledger").fetchall()
    return {path: {"arrived_at": arrived} for path, arrived in rows}


def test_counts_for_a_person(tmp_path):
    """The table has the same figures; --by leaves one count out; an unreadable file is gone from it once replaced."""
    source, lake = with_hostile_lines(tmp_path)
    told = command("quarantine", "list", "--lake", lake)
    assert told.out.startswith(f"{len(HOSTILE) + 2} quarantined lines of 2 files, 1 unreadable file\n")
    assert "bad_price: 1 line of 1 file, arrived 20" in told.out
    assert f"for instance line 3 of {key(1)}\n" in told.out
    assert "bad_price: " not in command("quarantine", "list", "--lake", lake, "--by", "file").out
    assert f"{key(1)}\n    2 lines, the first is 2; arrived 20" in told.out
    assert f"Unreadable: {key(2)}: cut" in told.out
    by_file = command("quarantine", "list", "--lake", lake, "--by", "file", "--format", "csv").out
    rows = list(csv.DictReader(io.StringIO(by_file)))
    assert [(row["source_file"], row["lines"], row["error"][:3]) for row in rows] == [
        (key(0), str(len(HOSTILE)), ""),
        (key(1), "2", ""),
        (key(2), "0", "cut"),
    ]
    by_reason = list(csv.DictReader(io.StringIO(command("quarantine", "list", "--lake", lake, "--format", "csv").out)))
    assert {row["reason"] for row in by_reason} == {reason for line in expected(source) for reason in line[3]}
    json_by = command("quarantine", "list", "--lake", lake, "--by", "reason", "--format", "json").json
    assert set(json_by) == {"lines", "by_reason", "unreadable"}
    put(source, 2, events(5, first=70))
    ingest(source, lake)
    told = command("quarantine", "list", "--lake", lake)
    assert "0 unreadable files" in told.out
    assert "Unreadable" not in told.out


def test_show_gives_the_bytes(hostile):
    """Json and csv hold every line byte for byte, by file and number, with its encoding."""
    source, lake = hostile
    lines = [line[:3] for line in expected(source)]
    shown = command("quarantine", "show", "--lake", lake, "--limit", 100, "--format", "json")
    assert shown.json["total"] == len(lines)
    assert [decoded(row) for row in shown.json["lines"]] == lines
    assert [set(row["reasons"]) for row in shown.json["lines"]] == [line[3] for line in expected(source)]
    assert shown.out.isascii()
    assert {row["encoding"] for row in shown.json["lines"]} == {"utf-8", "base64"}
    printed = command("quarantine", "show", "--lake", lake, "--limit", 100, "--format", "csv").out
    assert [decoded(row) for row in csv.DictReader(io.StringIO(printed, newline=""))] == lines


def test_show_cannot_be_steered(hostile):
    """What a person sees has no character that steers a terminal, and every byte that is not plain stands as an escape."""
    _, lake = hostile
    shown = command("quarantine", "show", "--lake", lake, "--limit", 100).out
    assert all(char.isprintable() for char in shown.replace("\n", ""))
    assert len(shown.splitlines()) == 2 * (len(HOSTILE) + 2)
    for plain in (
        r"\x1b[2J\x1b]0;owned\x07 red \x1b[31m",
        r"\xff\xfe\x1b[31m \x00",
        r'{"a": "\u{202e}gnp.exe", "b": "\u{2028}"}',
        r"\x9b31m c1 \x85 nbsp\xa0 zero\u{200b}width",
        "[bold red]markup[/] :smile: [/]",
        r"carriage\rreturn".replace(r"\r", r"\x0d"),
        r"back\slash \u001b",
        "schön, 日本, \U0001f600",
        "(5,000 bytes; --format json has all)",
    ):
        assert plain in shown
    assert f"{key(0)} line 5: invalid_utf8 (not UTF-8)\n" in shown


@pytest.mark.parametrize(
    ("words", "count"), [(("--reason", "bad_price"), 1), (("--file", key(1)), 2), ((), 13)], ids=str
)
def test_show_some(hostile, words, count):
    """A reason, files and a limit narrow what is shown; what is left out is said."""
    _, lake = hostile
    shown = command("quarantine", "show", "--lake", lake, "--limit", 1, "--format", "json", *words).json
    assert (shown["total"], len(shown["lines"])) == (count, 1)
    told = command("quarantine", "show", "--lake", lake, "--limit", 1, *words).out
    assert (f"{count - 1} more" in told) == (count > 1)


def test_export(hostile, tmp_path):
    """As JSON Lines with reasons and place; in a folder it has a name; only what was asked for."""
    source, lake = hostile
    out = tmp_path / "out"
    out.mkdir()
    told = command("quarantine", "export", "--lake", lake, "--out", out)
    assert (told.code, told.out) == (0, f"Wrote 13 quarantined lines to {out / 'quarantine.jsonl'}\n")
    content = (out / "quarantine.jsonl").read_bytes()
    assert content.isascii()
    rows = [json.loads(line) for line in content.decode().splitlines()]
    assert [(*decoded(row), frozenset(row["reasons"])) for row in rows] == expected(source)
    told = command("quarantine", "export", "--lake", lake, "--out", out / "new" / "f", "--reason", "bad_price")
    assert len((out / "new" / "f").read_bytes().splitlines()) == 1


def test_export_raw_mend_ingest(tmp_path):
    """--raw gives the very bytes back; mended, gzipped and put into the source they are events of a new file."""
    source, lake = with_hostile_lines(tmp_path)
    out = tmp_path / "lines.jsonl"
    assert command("quarantine", "export", "--lake", lake, "--out", out, "--raw").code == 0
    assert out.read_bytes().split(b"\n") == [*(line[2] for line in expected(source)), b""]
    command("quarantine", "export", "--lake", lake, "--out", out, "--raw", "--force", "--reason", "missing_user_id")
    mended = out.read_bytes().replace(b'"user_id": ""', b'"user_id": "u"').replace(b'"price": -1', b'"price": 1')
    put_bytes(source, 9, gzip.compress(mended))
    assert ingest(source, lake).accepted == 2
    assert len(expected(source)) == len(dump(lake)["quarantine"]), "they stay as what came"
    truth(source, lake)


def test_export_never_overwrites(hostile, tmp_path, monkeypatch):
    """An existing file stays as it is, unless --force replaces it whole; a failure leaves the old one and nothing else."""
    _, lake = hostile
    out = tmp_path / "out" / "f"
    out.parent.mkdir()
    out.write_bytes(b"mine")
    words = ("quarantine", "export", "--lake", lake, "--out", out)
    told = command(*words)
    assert (told.code, out.read_bytes(), "--force" in told.err) == (2, b"mine", True)
    real = held.Line.octets

    def broken(line):
        if line.line_number > 5:
            raise OSError(28, "No space left on device")
        return real.__get__(line)

    with monkeypatch.context() as patched:
        patched.setattr(held.Line, "octets", property(broken))
        told = command(*words, "--force", "--raw")
    assert (told.code, out.read_bytes(), list(out.parent.iterdir())) == (1, b"mine", [out])
    assert command(*words, "--force").code == 0
    assert len(out.read_bytes().splitlines()) == 13
    assert list(out.parent.iterdir()) == [out]


def test_export_does_not_win_a_race(hostile, tmp_path, monkeypatch):
    """A file that comes to be while the lines are written is not overwritten either."""
    _, lake = hostile
    out = tmp_path / "f"
    real = held.lines

    def slow(*words):
        out.write_bytes(b"theirs")
        return real(*words)

    monkeypatch.setattr(held, "lines", slow)
    assert command("quarantine", "export", "--lake", lake, "--out", out).code == 2
    assert out.read_bytes() == b"theirs"


# --------------------------------------------------------------------------------------------------- the command line


def test_replay_command(shop):
    """--dry-run says what would move and changes nothing; then it moves; then there is nothing more, with exit code 0."""
    source, lake = shop
    before = snapshots(lake)
    told = command("quarantine", "replay", "--lake", lake, "--dry-run", "--format", "json")
    assert (told.code, snapshots(lake)) == (0, before)
    assert {name: told.json[name] for name in ("lines", "accepted", "quarantined", "files", "batches", "dry_run")} == {
        "lines": 14,
        "accepted": 10,
        "quarantined": 4,
        "files": 4,
        "batches": 0,
        "dry_run": True,
    }
    assert (
        "14 lines = 10 meet the contract now + 4 still quarantined"
        in command("quarantine", "replay", "--lake", lake, "--dry-run").out
    )
    told = command("quarantine", "replay", "--lake", lake)
    assert (told.code, told.err) == (0, "")
    assert "14 lines = 7 moved to events + 3 duplicates + 4 still quarantined" in told.out
    truth(source, lake)
    told = command("quarantine", "replay", "--lake", lake, "--reason", "future_timestamp")
    assert (told.code, told.out) == (0, "Nothing to replay: no such line is quarantined.\n")
    row = next(csv.DictReader(io.StringIO(command("quarantine", "replay", "--lake", lake, "--format", "csv").out)))
    assert (row["lines"], row["accepted"], row["quarantined"]) == ("4", "0", "4")


def test_nothing_quarantined(source, lake, tmp_path):
    """A lake without quarantined lines gives empty answers, no file and exit code 0."""
    put(source, 0, events(5))
    ingest(source, lake)
    for words in (("list",), ("show",), ("replay",), ("export", "--out", tmp_path / "f")):
        for style in ("table", "json", "csv"):
            told = command("quarantine", *words, "--lake", lake, "--format", style)
            assert (told.code, told.err) == (0, ""), words
            assert told.out
    assert not (tmp_path / "f").exists()


@pytest.mark.parametrize("name", ["show", "replay", "export"])
@pytest.mark.parametrize("words", [("--reason", "no_such_reason"), ("--file", "no-such-file.jsonl.gz")], ids=str)
def test_what_nobody_knows(shop, tmp_path, name, words):
    """An unknown reason or file is refused with exit code 2 and what there is."""
    _, lake = shop
    out = ("--out", tmp_path / "f") if name == "export" else ()
    told = command("quarantine", name, "--lake", lake, *out, *words)
    assert (told.code, told.out) == (2, "")
    assert len(told.err.strip().splitlines()) == 2


@pytest.mark.parametrize("name", ["list", "show", "replay", "export"])
def test_no_lake(tmp_path, name):
    """Where there is no lake there is nothing, and none is made."""
    out = ("--out", tmp_path / "f") if name == "export" else ()
    told = command("quarantine", name, "--lake", tmp_path / "lake", *out)
    assert (told.code, "there is no lake" in told.err) == (2, True)
    assert list(tmp_path.iterdir()) == []
    told = command("quarantine", name, "--help")
    assert (told.code, "Examples:\n" in told.out) == (0, True)


def test_a_reason_of_an_older_contract(shop, monkeypatch):
    """A code that the contract has no more can still be asked for, as long as a line has it."""
    _, lake = shop
    monkeypatch.setattr("shoplake.operations.quarantine.held.REASON_CODES", ())
    assert replay_at(LATE, lake, Choice("future_timestamp")).lines == 11
    with pytest.raises(UsageError, match="no reason code"):
        replay_at(LATE, lake, Choice("future_timestamp"))
