"""``shoplake erase`` removes a person, so that the lake is as if the person's lines had never been in the raw files."""

import base64
import gzip
import io
import json
import random
from collections import Counter
from pathlib import Path

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import shoplake
from shoplake import erasures
from shoplake.commits import Commit
from shoplake.discover import LocalSource
from shoplake.lake import Lake
from tests.s3.path import S3Path
from tests.support import (
    START,
    accepted,
    answers,
    command,
    dump,
    event,
    events,
    everywhere,
    five_answers,
    ingest,
    judge_files,
    key,
    oracle,
    put,
    put_bytes,
)

PERSON = "u_7f3c-victim"
LATE = "2025-11-16T03:04:05Z"


def mine(number, event_type="page_view", **changes):
    """An event of the person; what they looked for and where they went is as personal as their id."""
    if event_type == "search":
        changes = {"search_query": f"secret of {PERSON}"} | changes
    return event(number, event_type, **({"user_id": PERSON, "session_id": f"s_{PERSON}"} | changes))


def tagged(lines, *, person):
    """Lines with whether they are about the person."""
    return [(line, person) for line in lines]


def files():
    """Raw files by slot: tagged lines. The person is in three of them; all fates, duplicates inside and across files."""
    bad = event(70, "purchase", price="free", user_id="u_2")
    broken_mine = [
        mine(71, "purchase", price="free"),
        json.dumps(mine(72)).encode()[:-9],
        json.dumps(mine(73)).encode() + b"\xff",
        json.dumps(event(74) | {"user_id": None, "customer": PERSON}).encode(),
        json.dumps(event(75) | {"user_id": [PERSON]}).encode(),
    ]
    return {
        0: [
            *tagged(events(20), person=False),
            (mine(100), True),
            (mine(100), True),
            (mine(101, "search"), True),
            (bad, False),
            *tagged(broken_mine, person=True),
            (b"", False),
            (mine(102, "purchase", price=12.5, quantity=3), True),
            (b"broken", False),
        ],
        1: [
            (mine(100), True),
            (event(3), False),
            *tagged(events(20, first=20), person=False),
            (mine(103, timestamp=LATE), True),
            (mine(104) | {"device": "phone", "beta": 1}, True),
            (event(105) | {"device": "tablet"}, False),
            (event(106, session_id=f"s_{PERSON}"), False),
        ],
        2: tagged(events(10, first=40), person=False),
        3: [(event(310), False), (mine(102, "purchase", price=12.5, quantity=3), True)],  # a duplicate alone
        15: [(mine(200, timestamp="2025-11-18T15:15:00Z", product_id="p_only", category="rare"), True)],
    }


def write(source, slots, *, without=False):
    """The raw files, with or without the person's lines."""
    for slot, lines in slots.items():
        put(source, slot, [line for line, about in lines if not (without and about)])


def lines_of_person(slots):
    return Counter({key(slot): sum(about for _, about in lines) for slot, lines in slots.items()})


@pytest.fixture
def raw(place):
    write(place / "raw", files())
    return place / "raw"


@pytest.fixture
def lake(place):
    return place / "lake"


@pytest.fixture(scope="module")
def truth(tmp_path_factory):
    """The tables of a lake that ingested the raw files without the person."""
    folder = tmp_path_factory.mktemp("without")
    write(folder / "raw", files(), without=True)
    ingest(folder / "raw", folder / "lake")
    tables = dump(folder / "lake")
    assert five_answers(accepted(judge_files(folder / "raw"))) == answers(folder / "lake")
    return tables


def erase(lake, *words, user=PERSON):
    told = command("erase", "--user", user, "--lake", lake, "--yes", "--format", "json", *words)
    assert (told.code, told.err) == (0, "")
    return told.json


def plain(tables, *, numbers=True):
    """Tables as they are compared: without the list itself, bytes of raw files, and maybe the numbers of lines."""
    left_out = {"quarantine": () if numbers else ("line_number",), "ledger": ("bytes",)}
    return {
        name: sorted(
            ({column: value for column, value in row.items() if column not in left_out.get(name, ())} for row in rows),
            key=repr,
        )
        for name, rows in tables.items()
        if name != "erasures"
    }


def as_without(lake, truth, slots):
    """The lake is as if the person had never been there, but for the counts of the erased lines."""
    found, due = plain(dump(lake), numbers=False), plain(truth, numbers=False)
    persons = lines_of_person(slots)
    rows = zip(found.pop("ledger"), due.pop("ledger"), strict=True)
    assert found == due
    for row, other in rows:
        gone = persons[row["source_file"]]
        assert row["lines"] == row["accepted"] + row["duplicates"] + row["quarantined"] + row["erased"]
        assert row["lines"] == other["lines"] + gone
        assert row["duplicates"] + row["erased"] == other["duplicates"] + gone
        same = row.keys() - {"lines", "erased", "duplicates", "duplicates_of"}
        assert {name: row[name] for name in same} == {name: other[name] for name in same}
    assert answers(lake) == oracle(lake)


def places_of(text, lake):
    """The files of a lake that hold a text, looked for in their bytes and in all that can be decoded from them."""
    found = [path for path in lake.rglob("*") if isinstance(path, S3Path) or path.is_file()]
    return sorted(path.name for path in found if text in _all_of(path))


def _all_of(path: Path | S3Path) -> str:
    content = path.read_bytes()
    parts = [content.decode("latin-1"), content.decode("utf-8", "replace")]
    if path.name.endswith(".parquet"):
        file = pq.ParquetFile(io.BytesIO(content))
        parts += [repr(file.read(columns=[name]).to_pylist()) for name in file.schema_arrow.names]
        parts.append(repr(file.metadata.to_dict()))
        if "encoding" in file.schema_arrow.names:
            rows = file.read(columns=["raw", "encoding"]).to_pylist()
            parts += [repr(base64.b64decode(row["raw"])) for row in rows if row["encoding"] == "base64"]
        # Dictionary pages may hold texts that no row has: read them as they are.
        texts = [field.name for field in file.schema_arrow if pa.types.is_string(field.type)]
        read = pq.ParquetFile(io.BytesIO(content), read_dictionary=texts).read()
        for column in read.columns:
            parts += [repr(chunk.dictionary.to_pylist()) for chunk in column.chunks if hasattr(chunk, "dictionary")]
    elif path.name.endswith(".avro"):
        parts.append(repr(list(fastavro.reader(io.BytesIO(content)))))
    return "\n".join(parts)


def clean(lake, raw=None):
    told = command("verify", "--lake", lake, *(("--source", raw) if raw else ()), "--format", "json")
    assert [one for check in told.json["checks"] for one in check["differences"]] == []
    assert told.code == 0


# ---------------------------------------------------------------------------------------------------------------- tables


def test_as_if_the_person_had_never_been(raw, lake, truth):
    """After an erasure the tables are those of the raw files without the person, and verify agrees."""
    ingest(raw, lake)
    assert places_of(PERSON, lake)
    receipt = erase(lake, "--source", raw)
    as_without(lake, truth, files())
    clean(lake, raw)
    assert receipt["removed"] == {"events": 6, "quarantine": 5, "user_hourly": 3}
    assert receipt["hours"] == ["2025-11-16T03:00:00Z", "2025-11-18T14:00:00Z", "2025-11-18T15:00:00Z"]
    assert {one["file"]: one["lines"] for one in receipt["raw"]} == +lines_of_person(files())
    assert not any(one["rewritten"] for one in receipt["raw"])


@everywhere
def test_no_byte_of_the_lake_holds_the_person(raw, lake):
    """No file of the lake holds the id, or what the person looked for, in its bytes, values, statistics or dictionaries."""
    slots = files()
    slots[1] = [row for row in slots[1] if row[0] != event(106, session_id=f"s_{PERSON}")]
    slots[5] = [(event(600), False), (mine(601, "search"), True), (event(602), False)]
    write(raw, slots)
    ingest(raw, lake)
    put(raw, 2, [*events(10, first=40), mine(300)])
    ingest(raw, lake)
    put(raw, 2, events(10, first=40))
    ingest(raw, lake)
    receipt = erase(lake)
    assert places_of(PERSON, lake) == []
    assert receipt["snapshots"] >= 10
    assert receipt["files"] >= 10
    assert all(table.snapshot_count <= 1 for table in Lake(str(lake)).view().tables.values())
    clean(lake)


def test_in_merged_files(raw, lake, truth):
    """Files that maintenance merged are rewritten as well."""
    ingest(raw, lake)
    assert command("maintain", "--lake", lake).code == 0
    assert len(Lake(str(lake)).view()["events"].files) == 3
    erase(lake)
    as_without(lake, truth, files())
    clean(lake)


def test_an_hour_and_a_day_that_held_nobody_else(raw, lake):
    """Hours and days without other events leave the gold tables; rows of the person alone leave an hour."""
    ingest(raw, lake)
    erase(lake)
    tables = dump(lake)
    assert {row["event_date"].isoformat() for row in tables["activity_daily"]} == {"2025-11-18"}
    assert {row["event_hour"].hour for name in ("user_hourly", "product_hourly") for row in tables[name]} == {14}
    assert "p_only" not in {row["product_id"] for row in tables["product_hourly"]}


# ------------------------------------------------------------------------------------------------- what arrives later on


def test_doing_files_again_does_not_bring_the_person_back(raw, lake, truth):
    """A replay of all files gives the tables without the person; now every line of the person counts as erased."""
    ingest(raw, lake)
    erase(lake)
    told = command("replay", "--lake", lake, "--source", raw, "--files", *map(key, files()), "--format", "json")
    assert (told.code, told.json["erased"]) == (0, lines_of_person(files()).total())
    as_without(lake, truth, files())
    assert {row["source_file"]: row["erased"] for row in dump(lake)["ledger"]} == dict(lines_of_person(files()))
    assert places_of(f"secret of {PERSON}", lake) == []
    clean(lake, raw)


def test_erased_before_the_first_line_arrives(raw, lake, tmp_path, truth):
    """An unknown person is put on the list; files that arrive later, new or replaced, are taken in without them."""
    put(raw, 2, events(3))
    for slot in (0, 1, 3, 15):
        (raw / key(slot)).unlink()
    ingest(raw, lake)
    receipt = erase(lake, "--source", raw)
    assert not receipt["found"]
    assert not receipt["repeated"]
    write(raw, files())
    told = command("ingest", "--lake", lake, "--source", raw)
    assert f" + {lines_of_person(files()).total()} erased" in told.out
    as_without(lake, truth, files())
    assert {row["source_file"]: row["erased"] for row in dump(lake)["ledger"]} == dict(lines_of_person(files()))
    assert next(row for row in dump(lake)["ledger"] if row["source_file"] == key(1))["unknown_keys"] == '{"device": 1}'
    clean(lake, raw)


def test_a_careful_reading_drops_the_person_too(raw, lake):
    """A line that is too long for the quick reader has its file read by the careful one, which drops the person as well."""
    write(raw, {6: [(event(400, "search", search_query="x" * 2_000_000), False), (mine(401) | {"beta": 1}, True)]})
    ingest(raw, lake)
    erase(lake)
    before = plain(dump(lake))
    assert command("replay", "--lake", lake, "--source", raw, "--files", key(6)).code == 0
    assert plain(dump(lake)) == before
    assert [row["unknown_keys"] for row in before["ledger"] if row["source_file"] == key(6)] == [None]


def test_an_empty_list_costs_nothing(raw, lake, monkeypatch):
    """As long as nobody was erased, ingest does not look for anybody."""
    monkeypatch.setattr(erasures.Erased, "among", lambda *_: pytest.fail("looked for somebody"))
    monkeypatch.setattr(erasures.Erased, "named_in", lambda *_: pytest.fail("looked for somebody"))
    ingest(raw, lake)


def test_two_people(raw, lake):
    """A second erasure adds to the list; both stay away."""
    ingest(raw, lake)
    erase(lake)
    erase(lake, user="u_2")
    rows = dump(lake)["erasures"]
    assert len({row["user_hash"] for row in rows}) == 2
    assert len({row["salt"] for row in rows}) == 1
    command("replay", "--lake", lake, "--source", raw, "--files", *map(key, files()))
    assert not {row["user_id"] for row in dump(lake)["events"]} & {PERSON, "u_2"}
    clean(lake, raw)


def test_twice(raw, lake):
    """A second erasure of the same person finds nothing, and says that it was done before."""
    ingest(raw, lake)
    erase(lake)
    before = dump(lake)
    again = erase(lake)
    assert (again["found"], again["repeated"], again["snapshots"]) == (False, True, 0)
    assert dump(lake) == before


# ------------------------------------------------------------------------------------------------------------- raw files


def rewritten(raw, lake):
    return erase(lake, "--source", raw, "--raw")


@everywhere
def test_raw_files_without_the_person(raw, lake, tmp_path, truth):
    """Rewritten raw files hold the other lines byte for byte; the lake is that of the raw files without the person."""
    write(tmp_path / "due", files(), without=True)
    ingest(raw, lake)
    arrived = {row["source_file"]: row["arrived_at"] for row in full_ledger(lake)}
    untouched = (raw / key(2)).stat().st_mtime_ns
    receipt = rewritten(raw, lake)
    for slot in files():
        content, due = (gzip.decompress((folder / key(slot)).read_bytes()) for folder in (raw, tmp_path / "due"))
        assert content == due
    assert (raw / key(2)).stat().st_mtime_ns == untouched
    if isinstance(raw, S3Path):
        assert raw.store.get(str((raw / key(0)).path)).attributes["Content-Encoding"] == "gzip"
    assert {one["file"] for one in receipt["raw"] if one["rewritten"]} == set(+lines_of_person(files()))
    assert plain(dump(lake)) == plain(truth)
    assert {row["source_file"]: row["arrived_at"] for row in full_ledger(lake)} == arrived
    clean(lake, raw)
    told = command("ingest", "--lake", lake, "--source", raw, "--format", "json")
    assert (told.json["files"], told.json["batches"]) == (0, 0)


def full_ledger(lake):
    with shoplake.open(str(lake)) as opened:
        return opened.sql("SELECT * FROM ledger").to_arrow_table().to_pylist()


def test_raw_after_an_erasure_without_it(raw, lake, truth):
    """Raw files can be rewritten later on: what was dropped is found by the ledger, duplicates by its links."""
    ingest(raw, lake)
    erase(lake)
    receipt = rewritten(raw, lake)
    assert {one["file"]: one["lines"] for one in receipt["raw"]} == +lines_of_person(files())
    assert plain(dump(lake)) == plain(truth)
    clean(lake, raw)


def test_raw_files_that_wait(raw, lake, truth):
    """Raw files that were not ingested yet are rewritten, too, and stay news."""
    (raw / key(1)).unlink()
    ingest(raw, lake)
    write(raw, files())
    receipt = rewritten(raw, lake)
    assert {one["file"] for one in receipt["raw"] if one["rewritten"]} == set(+lines_of_person(files()))
    assert ingest(raw, lake).files >= 1
    assert plain(dump(lake)) == plain(truth)


@pytest.mark.parametrize(
    ("lines", "newline"),
    [
        ([(event(1), False), (mine(2), True)], b"\n"),
        ([(mine(2), True), (event(1), False), (b"", False)], b"\n"),
        ([(mine(2), True)], b"\n"),
        ([(mine(2), True), (b"", False), (b"  ", False), (event(1), False), (mine(3), True), (b"", False)], b"\r\n"),
    ],
)
def test_shapes_of_raw_files(tmp_path, lines, newline):
    """Whatever ends the lines, and with or without a newline at the end: the other lines stay as they are."""
    raw, due, lake = tmp_path / "raw", tmp_path / "due", tmp_path / "lake"
    put(raw, 0, [line for line, _ in lines], newline=newline)
    put(due, 0, [line for line, about in lines if not about], newline=newline)
    ingest(raw, lake)
    rewritten(raw, lake)
    assert gzip.decompress((raw / key(0)).read_bytes()) == gzip.decompress((due / key(0)).read_bytes())
    clean(lake, raw)


def test_readers_of_a_raw_file_see_one_version(tmp_path):
    """A raw file is replaced at once: who reads it reads the old one to its end; its permissions stay."""
    path = tmp_path / put_bytes(tmp_path, 0, random.Random(1).randbytes(300_000))
    path.chmod(0o640)
    old = path.read_bytes()
    source = LocalSource(tmp_path)
    (file,) = source.list()
    with source.open(file) as reader:
        start = reader.read(10)
        source.replace(file, b"new")
        assert start + reader.read() == old
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o640
    assert list(path.parent.iterdir()) == [path]


def test_an_unreadable_raw_file(raw, lake):
    """A raw file that cannot be looked through is named, and the exit code says that it may still hold the person."""
    path = raw / key(4)
    path.write_bytes((raw / put(raw, 4, [mine(500)])).read_bytes()[:-9])
    ingest(raw, lake)
    told = command("erase", "--user", PERSON, "--lake", lake, "--source", raw, "--raw", "--format", "json")
    assert told.code == 1
    assert [one["file"] for one in told.json["raw"] if one["error"]] == [key(4)]
    assert len([one for one in told.json["raw"] if one["rewritten"]]) == 4


def test_raw_files_that_are_gone(raw, lake):
    """A raw file of the person that is gone from the source is named as such."""
    ingest(raw, lake)
    (raw / key(15)).unlink()
    receipt = erase(lake, "--source", raw)
    assert [one["file"] for one in receipt["raw"] if one["gone"]] == [key(15)]


def test_raw_files_named_by_the_tables(raw, lake):
    """Without a source the receipt names the raw files that the tables know of."""
    ingest(raw, lake)
    assert {one["file"] for one in erase(lake)["raw"]} == set(+lines_of_person(files())) - {key(3)}


# ------------------------------------------------------------------------------------------------------------------- ids

HOSTILE = (
    *(
        "o'neil",
        'say "hi"',
        "back\\slash",
        "tab\t",
        "\u0000nul",
        "\u00fcn\u00efc\u00f6de \U0001f9d8",
        "'; DROP TABLE events; --",
    ),
    *("x" * 100_000, "17", " ", "{", "\ufeff"),
)


def test_hostile_ids(tmp_path):
    """Ids of any text are found, however a producer writes them, and nobody else's lines are touched."""
    raw, lake = tmp_path / "raw", tmp_path / "lake"
    others: list[dict | bytes] = [event(1), b"broken"]
    of_them: list[bytes] = []
    for number, user in enumerate(HOSTILE, 100):
        others += [event(number, user_id=f"{user}x"), event(number, "search", user_id=f"y{user}")]
        for extra in ({}, {"note": 'a "quoted" \\ text'}, {"price": "free", "event_type": "purchase"}):
            line = event(number, user_id=user, session_id=f"s{len(of_them)}") | extra
            of_them.append(json.dumps(line, ensure_ascii=bool(extra)).encode())
    put(raw, 0, [*others, *of_them])
    put(tmp_path / "due", 0, others)
    ingest(tmp_path / "due", tmp_path / "without")
    ingest(raw, lake)
    for user in HOSTILE:
        receipt = erase(lake, "--source", raw, user=user)
        assert [one["lines"] for one in receipt["raw"]] == [3], user
        assert sum(receipt["removed"][name] for name in ("events", "quarantine")) == 3, user
    found, due = (plain(dump(one), numbers=False) for one in (lake, tmp_path / "without"))
    assert found.pop("ledger")[0]["erased"] == len(of_them)
    due.pop("ledger")
    assert found == due
    clean(lake, raw)


@pytest.mark.parametrize(("user", "said"), [("", "is empty"), ("half \ud800", "not UTF-8")])
def test_ids_that_nobody_can_have(raw, lake, user, said):
    """An id that no event can have is refused, and nothing is done."""
    ingest(raw, lake)
    told = command("erase", "--user", user, "--lake", lake)
    assert told.code == 2
    assert said in told.err
    assert dump(lake)["erasures"] == []


# --------------------------------------------------------------------------------------------------------------- command


def tree(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("words", [(), ("--raw",)])
def test_dry_run(raw, lake, words):
    """A dry run changes nothing and shows what an erasure then does."""
    ingest(raw, lake)
    before = tree(lake.parent)
    shown = erase(lake, "--source", raw, "--dry-run", *words)
    assert tree(lake.parent) == before
    done = erase(lake, "--source", raw, *words)
    same = ("removed", "hours", "snapshots", "found", "repeated")
    assert {name: shown[name] for name in same} == {name: done[name] for name in same}
    assert [(one["file"], one["lines"]) for one in shown["raw"]] == [(one["file"], one["lines"]) for one in done["raw"]]


def test_receipt_as_text(raw, lake):
    """The receipt says what was removed, and names the person by the keyed hash alone."""
    ingest(raw, lake)
    told = command("erase", "--user", PERSON, "--lake", lake, "--source", raw, "--raw", "--yes")
    assert (told.code, told.err) == (0, "")
    assert PERSON not in told.out
    listed = dump(lake)["erasures"]
    assert [row["user_hash"] for row in listed if row["user_hash"] in told.out] == [row["user_hash"] for row in listed]
    for text in ("6 of events", "5 of quarantine", "3 hours", "rewritten without them", listed[0]["request"]):
        assert text in told.out


def test_asks_on_a_terminal_alone(raw, lake, monkeypatch):
    """On a terminal a person is asked first; --yes and other callers are not."""
    ingest(raw, lake)
    monkeypatch.setattr("sys.stdin", Terminal("n\n"))
    told = command("erase", "--user", PERSON, "--lake", lake)
    assert told.code == 130
    assert "cannot be undone" in told.err
    assert dump(lake)["erasures"] == []
    monkeypatch.setattr("sys.stdin", Terminal(""))
    assert command("erase", "--user", PERSON, "--lake", lake, "--yes").code == 0
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert command("erase", "--user", PERSON, "--lake", lake).code == 0


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_no_lake_and_no_source(tmp_path, raw, lake):
    """A missing lake, or no source for --raw, is a wrong call."""
    assert command("erase", "--user", "u", "--lake", tmp_path / "none").code == 2
    ingest(raw, lake)
    told = command("erase", "--user", "u", "--lake", lake, "--raw")
    assert told.code == 2
    assert "--source" in told.err


def test_a_read_only_source(raw, lake, monkeypatch):
    """Where raw files cannot be written, that is said; the same command later on finishes."""
    ingest(raw, lake)

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(LocalSource, "replace", refuse)
        told = command("erase", "--user", PERSON, "--lake", lake, "--source", raw, "--raw")
    assert told.code == 1
    assert "Permission denied" in told.err
    rewritten(raw, lake)
    clean(lake, raw)


# ------------------------------------------------------------------------------------------------ other eyes on the lake


def test_verify_finds_people_who_should_be_gone(raw, lake):
    """Verify finds rows of an erased person in events and quarantine, and raw lines that are in the tables."""
    ingest(raw, lake)
    view = Lake(str(lake)).view()
    now = START.replace(tzinfo=None)
    with Commit(Lake(str(lake)), view, now, {}) as commit:
        erasures.add(commit, erasures.read(view["erasures"]), PERSON, "r", now)
        commit.publish()
    told = command("verify", "--lake", lake, "--source", raw, "--format", "json")
    assert told.code == 1
    found = {check["name"]: check["differences"] for check in told.json["checks"]}
    assert [one["where"] for one in found["erased"] if one["table"] == "events"] == [
        "2025-11-16T03:00:00Z",
        "2025-11-18T14:00:00Z",
        "2025-11-18T15:00:00Z",
    ]
    assert len([one for one in found["erased"] if one["table"] == "quarantine"]) == 5
    assert {one["where"] for one in found["lines"]} == set(+lines_of_person(files()))


def test_other_engines_read_it(raw, lake):
    """PyIceberg reads the tables after an erasure with the same rows, and finds no other snapshot."""
    from pyiceberg.table import StaticTable

    ingest(raw, lake)
    ingest(raw, lake)
    erase(lake)
    for name, rows in dump(lake).items():
        table = StaticTable.from_metadata(str(Lake(str(lake)).view()[name].location))
        assert table.scan().to_arrow().num_rows == len(rows)
        assert len(table.snapshots()) <= 1


def test_status_and_metrics_count_the_fourth_fate(raw, lake, tmp_path):
    """Status and metrics account for erased lines."""
    ingest(raw, lake)
    receipt = erase(lake)
    state = command("status", "--lake", lake, "--format", "json").json
    assert state["ledger"]["erased"] == receipt["removed"]["events"] + receipt["removed"]["quarantine"]
    assert [one["verdict"] for one in state["checks"] if one["check"] == "whole"] == ["ok"]
    text = command("status", "--lake", lake, "--format", "openmetrics").out
    assert f'fate="erased"}} {state["ledger"]["erased"]}' in text
