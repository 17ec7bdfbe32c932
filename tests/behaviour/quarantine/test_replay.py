"""``shoplake quarantine replay``: quarantined lines are judged anew, and what passes moves once."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pyarrow as pa
import pytest

import shoplake
from shoplake import contract
from shoplake.lake import parquet
from shoplake.lake.catalog import Lake
from shoplake.lake.commits import Commit
from shoplake.operations.quarantine.contents import LineFilter
from tests.behaviour.quarantine.support import EARLY, LATE, ahead, ingest_at, replay_at, truth, verified
from tests.support import (
    answers,
    command,
    data_files,
    dump,
    event,
    events,
    everywhere,
    ingest,
    key,
    ledger,
    oracle,
    proofs,
    put,
    snapshots,
)


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
    assert replay_at(LATE, lake, LineFilter("future_timestamp")).lines == 0
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
        (LineFilter(reason="future_timestamp"), 7, 11),
        (LineFilter(files=(key(1),)), 2, 2),
        (LineFilter("future_timestamp", (key(1), key(3))), 3, 4),
        *proofs((LineFilter(reason="missing_user_id"), 0, 1), (LineFilter("malformed_json", (key(1),)), 0, 0)),
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
    put(source, 0, [event(1), event(2, user_id=[7]), event(3, "purchase", user_id={}, price=-1), b"["])
    put(source, 1, events(5, first=10))
    ingest(source, lake)
    assert [row["reasons"] for row in dump(lake)["quarantine"]][:2] == [["bad_user_id"], ["bad_user_id", "bad_price"]]
    fields = tuple(replace(one, fine=None) if one.name == "user_id" else one for one in contract.FIELDS)
    monkeypatch.setattr(contract, "FIELDS", fields)
    monkeypatch.setattr(contract, "RULES", contract._rules())
    told = command("verify", "--lake", lake, "--source", source, "--format", "json")
    (lines,) = [difference for check in told.json["checks"] for difference in check["differences"]]
    assert lines["what"] == "lines"
    done = replay_at(LATE, lake, LineFilter("bad_user_id"))
    assert (done.lines, done.accepted, done.reasons) == (2, 1, {"bad_price": 1})
    verified(source, lake)
    ingest(source, lake.parent / "fresh")
    assert dump(lake) == dump(lake.parent / "fresh")
    assert answers(lake) == oracle(lake)


def test_verify_names_the_replay(source, lake, monkeypatch):
    """Where all that verify finds in a file are quarantined lines that pass now, it says that a replay mends that."""
    put(source, 0, [event(1), event(2, user_id=[7])])
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
