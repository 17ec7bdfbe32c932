"""What Spark makes of raw files is what DuckDB makes of them, row for row, and the two can take turns on one lake."""

import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest

from shoplake.generator.faults import Faults
from shoplake.generator.files import generate_files
from tests.behaviour.test_contract import BROKEN, FINE, MIXED, PIECES, line
from tests.support import (
    accepted,
    answers,
    command,
    dump,
    event,
    events,
    five_answers,
    ingest,
    judge_files,
    key,
    oracle,
    proof,
    proofs,
    put,
    put_bytes,
    snapshots,
)

pytestmark = pytest.mark.usefixtures("session")
STARTER = Path(__file__).parents[1] / "data" / "starter"


def tables(lake):
    """Every row of every table, but for the name of the engine."""
    found = dump(lake)
    for row in found["ledger"]:
        del row["engine"]
    return found


def same(folder, **settings):
    """Both engines make the same tables of the raw files, and they are those of the judge."""
    for engine in ("spark", "duckdb"):
        ingest(folder / "raw", folder / engine, engine=engine, **settings)
    found = tables(folder / "spark")
    assert found == tables(folder / "duckdb")
    assert {row["engine"] for row in dump(folder / "spark")["ledger"]} == {"spark"}
    truth = five_answers(accepted(judge_files(folder / "raw")))
    assert answers(folder / "spark") == oracle(folder / "spark") == truth
    return found


def test_every_fault(tmp_path):
    """On files with every fault of the generator."""
    start = datetime(2025, 11, 18, 14, tzinfo=UTC)
    generate_files(tmp_path / "raw", 4, (150, 150), start, 42, "realistic", faults=Faults.heavy())
    found = same(tmp_path)
    assert {row["status"] for row in found["ledger"]} == {"ingested", "unreadable"}
    assert all(sum(row[name] for row in found["ledger"]) for name in ("accepted", "duplicates", "quarantined"))


@proof
def test_starter(tmp_path):
    """On files of the course's own generator."""
    for file in STARTER.iterdir():
        put_bytes(tmp_path / "raw", f"events/{file.name}", file.read_bytes())
    assert same(tmp_path)["events"]


@proof
def test_every_kind_of_line(tmp_path):
    """On lines that break each rule, that look odd, that are cut and mended: the fate, the reasons and the exact values."""
    good = [line("search", session_id=f"s{number}") for number in range(2 * len(PIECES))]
    odd = [raw[:40] + piece + raw[40:] for raw, piece in zip(good, PIECES, strict=False)]
    values = [
        json.dumps(event(number, "purchase", **({"session_id": name} | {field: value}))).encode()
        for number, (name, (field, value, _)) in enumerate(FINE.items())
    ]
    put(tmp_path / "raw", 0, [raw for lines in BROKEN.values() for raw in lines])
    put(tmp_path / "raw", 1, [raw for raw, _ in MIXED.values()], bom=True)
    put(tmp_path / "raw", 2, values, newline=b"\r\n")
    put(tmp_path / "raw", 3, [*odd, b"", b" ", b"\r", *good, b"{", b'{"more": 1}'])
    put(tmp_path / "raw", 4, [event(1, extra=[1, {"a": None}]), event(2, extra="x", User_id="other")])
    for engine in ("duckdb", "spark"):
        ingest(tmp_path / "raw", tmp_path / engine, engine=engine, max_quarantine_rate=1)
    assert tables(tmp_path / "spark") == tables(tmp_path / "duckdb")
    found = [row["reasons"] for row in dump(tmp_path / "spark")["quarantine"] if row["source_file"] == key(0)]
    assert Counter(map(tuple, found)) == {(code,): len(lines) for code, lines in BROKEN.items()}


def test_duplicates(tmp_path):
    """Inside a file, across files whose times overlap, and across hours; also files of which nothing remains."""
    shared = [event(900, "purchase"), event(901), event(902, timestamp="2025-11-19T01:00:00Z")]
    put(tmp_path / "raw", 0, [*events(20), *events(5), *shared])
    put(tmp_path / "raw", 1, [*shared, *events(20, first=20), *shared, events(4)[3] | {"extra": "other"}])
    put(tmp_path / "raw", 2, [*shared, *shared])
    put(tmp_path / "raw", 3, [event(50, session_id="s_0"), event(51, price=None), *events(3, first=18)])
    put(tmp_path / "raw", 4, [])
    found = same(tmp_path)
    counts = {row["source_file"]: (row["accepted"], row["duplicates"]) for row in found["ledger"]}
    assert counts == {key(0): (23, 5), key(1): (20, 7), key(2): (0, 6), key(3): (2, 3), key(4): (0, 0)}


def test_erased_people(tmp_path):
    """Lines about erased people are dropped and counted by either engine, repeated and broken ones too."""
    put(tmp_path / "raw", 0, events(10))
    found = {}
    for engine in ("duckdb", "spark"):
        ingest(tmp_path / "raw", tmp_path / engine, engine="duckdb")
        assert command("erase", "--user", "u_3", "--lake", tmp_path / engine, "--yes").code == 0
    of_them = [event(203, user_id="u_3", more=1), event(204, user_id="u_3")]
    put(tmp_path / "raw", 1, [*events(10, first=20), *of_them, *of_them, b'{"user_id": "u_3"', event(205, more=2)])
    for engine in ("duckdb", "spark"):
        ingest(tmp_path / "raw", tmp_path / engine, engine=engine)
        found[engine] = tables(tmp_path / engine)
        del found[engine]["erasures"]  # salted by each lake for itself
    assert found["spark"] == found["duckdb"]
    assert {row["source_file"]: row["erased"] for row in found["spark"]["ledger"]}[key(1)] >= 5


def first(source):
    put(source, 2, [*events(20), *events(3), event(900, "purchase", price=1.25), b"broken"])
    put(source, 3, [*events(20, first=20), event(900, "purchase", price=1.25)])


def late(source):
    """Events of hours that are there already, one of them known, and a file that cannot be read."""
    put(source, 14, [*events(4, first=100), event(7, "search"), event(1, "add_to_cart"), event(950, user_id="")])
    put_bytes(source, 15, b"no gzip at all")


def replaced(source):
    """A file whose event stands in another one too is replaced, and the unreadable one is put right."""
    put(source, 2, [*events(10), event(901, timestamp="2025-11-17T23:00:00Z")])
    put(source, 15, [event(960), event(4)])


def before_the_others(source):
    """A file arrives that comes first by name and holds events of the others."""
    put(source, 0, [*events(2, first=30), event(101), event(970)])
    put(source, 30, [event(971, "purchase", timestamp="2025-11-18T16:31:00Z")])


STEPS = (first, late, replaced, before_the_others)


@pytest.mark.parametrize(
    ("steps", "turns"), [((first, replaced), "ds"), *proofs((STEPS, "dsss"), (STEPS, "ssss"), (STEPS, "dsds"))]
)
def test_turns(tmp_path, steps, turns):
    """Late, replaced, repeated and unreadable files over several runs, by Spark and by the engines in turn."""
    source, lake = tmp_path / "raw", tmp_path / "lake"
    for step, turn in zip(steps, turns, strict=True):
        step(source)
        ingest(source, tmp_path / "undisturbed", engine="duckdb")
        ingest(source, lake, engine={"s": "spark", "d": "duckdb"}[turn])
        assert answers(lake) == oracle(lake)
    assert tables(lake) == tables(tmp_path / "undisturbed")
    assert answers(lake) == five_answers(accepted(judge_files(source)))
    before = snapshots(lake)
    assert ingest(source, lake, engine="spark").batches == 0
    assert snapshots(lake) == before
