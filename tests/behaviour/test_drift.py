"""Keys that the contract does not know are counted, reported and kept."""

import json
from typing import Any

import pytest

import shoplake
from tests.support import dump, event, events, ingest, key, ledger, put

BIG = 12345678901234567890


def extras(lake):
    """The unknown keys of every event that has some, by user."""
    with shoplake.open(lake) as opened:
        rows = opened.sql("SELECT user_id, extra FROM events WHERE extra IS NOT NULL").fetchall()
    return {user: json.loads(extra) for user, extra in rows}


VALUES = {
    "text": 'a, "b" \u2028 é',
    "number": 2.5,
    "large number": BIG,
    "truth": True,
    "structure": {"a": [1, {"b": None}], "c": {}},
    "empty": "",
}


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
@pytest.mark.parametrize("careful", [False, True], ids=["fast", "careful"])
def test_values_are_kept(tmp_path, value, careful):
    """The value of an unknown key is kept as JSON, beside the event."""
    name = "wei rd" if careful else "coupon"
    put(tmp_path / "raw", 0, [*events(5), event(50, user_id="x", **{name: value}), event(51, user_id="y", tier=1)])
    report = ingest(tmp_path / "raw", tmp_path / "lake")
    assert report.unknown_keys == {name: 1, "tier": 1}
    assert extras(tmp_path / "lake") == {"x": {name: value}, "y": {"tier": 1}}


HOSTILE = [
    "a'b",
    'q"q',
    "back\\slash",
    "{latest}",
    "",
    "User_ID",
    "TIMESTAMP",
    "x" * 3000,
    "é",
    "select",
    "extra",
    "width",
    "accepted",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_keys(tmp_path, name):
    """A key may be any text, also one that differs from a known one only in its case."""
    unknown: dict[str, Any] = {"user_id": "x", name: 1}
    put(tmp_path / "raw", 0, [*events(5), event(50, **unknown)])
    report = ingest(tmp_path / "raw", tmp_path / "lake")
    assert (report.accepted, report.unknown_keys) == (6, {name: 1})
    assert extras(tmp_path / "lake") == {"x": {name: 1}}


def test_very_many_keys(tmp_path):
    """However many keys there are, each is kept."""
    unknown: list[dict[str, Any]] = [{"user_id": f"u{number}", f"k{number}": number} for number in range(300)]
    put(tmp_path / "raw", 0, [event(number, **keys) for number, keys in enumerate(unknown)])
    assert len(ingest(tmp_path / "raw", tmp_path / "lake").unknown_keys) == 300
    assert extras(tmp_path / "lake") == {f"u{number}": {f"k{number}": number} for number in range(300)}


def test_counted_by_file(tmp_path):
    """The ledger says for each file in how many lines a key stands, quarantined lines included."""
    put(tmp_path / "raw", 0, [event(1, coupon=1), event(2, coupon=None), event(3, coupon=2, user_id=None), b"broken"])
    put(tmp_path / "raw", 1, events(5, first=10))
    ingest(tmp_path / "raw", tmp_path / "lake")
    found = {path: row["unknown_keys"] for path, row in ledger(tmp_path / "lake").items()}
    assert found == {key(0): '{"coupon": 3}', key(1): None}


@pytest.mark.parametrize("addition", ["currency=EUR", "platform=web", "locale=en_US"])
def test_keys_that_lengthen_every_line_alike(tmp_path, addition):
    """A new key is seen whatever it does to the size of a file: these make each line as long as the spaces that it lacks."""
    name, value = addition.split("=")
    lines = [json.dumps(one | {name: value}, separators=(",", ":")).encode() for one in events(20)]
    put(tmp_path / "raw", 0, lines)
    assert ingest(tmp_path / "raw", tmp_path / "lake").unknown_keys == {name: 20}
    assert set(map(str, extras(tmp_path / "lake").values())) == {str({name: value})}


@pytest.mark.parametrize("name", ["event_time", "price_value", "Quantity_Value", "odd", "keys", "json", "position"])
def test_keys_named_like_columns_of_ours(tmp_path, name):
    """A key has no namespace in common with SQL: the file is ingested, and so is the next."""
    put(tmp_path / "raw", 0, [*events(5), event(50, **{"user_id": "x", name: "y"}), event(51) | {"price": 1, name: 2}])
    put(tmp_path / "raw", 1, events(5, first=100))
    report = ingest(tmp_path / "raw", tmp_path / "lake")
    assert (report.accepted, report.quarantined, report.unknown_keys) == (11, 1, {name: 2})
    assert extras(tmp_path / "lake") == {"x": {name: "y"}}


def test_counted_in_quarantined_lines(tmp_path):
    """Unknown keys of quarantined lines are counted too."""
    put(tmp_path / "raw", 0, [*events(5), event(9, user_id="", coupon="A")])
    assert ingest(tmp_path / "raw", tmp_path / "lake").unknown_keys == {"coupon": 1}


def test_equal_but_for_unknown_keys(tmp_path):
    """Unknown keys do not make an event another one: the first keeps its own."""
    put(tmp_path / "raw", 0, [event(1, user_id="x", coupon="A"), event(1, user_id="x", coupon="B")])
    assert ingest(tmp_path / "raw", tmp_path / "lake").duplicates == 1
    assert extras(tmp_path / "lake") == {"x": {"coupon": "A"}}
    assert len(dump(tmp_path / "lake")["events"]) == 1


def test_a_key_in_the_place_of_a_known_one(tmp_path):
    """An unknown key is seen where a known one may be absent, though the line is as long as before."""
    swapped = json.dumps(event(1)).replace('"quantity": null', '"QUANTITY": 1234').encode()
    put(tmp_path / "raw", 0, [swapped])
    assert ingest(tmp_path / "raw", tmp_path / "lake").unknown_keys == {"QUANTITY": 1}


@pytest.mark.parametrize("native", ["1", "0"])
def test_many_keys_are_bounded(tmp_path, monkeypatch, native):
    """However many keys a producer invents, and however long they are, the ledger's row stays small and says so."""
    monkeypatch.setenv("SHOPLAKE_NATIVE", native)
    lines = [event(number) | {f"key {number:05}": 1, "often": 1, "long" * 2000: 1} for number in range(1500)]
    put(tmp_path / "raw", 0, lines)
    report = ingest(tmp_path / "raw", tmp_path / "lake")
    text = ledger(tmp_path / "lake")[key(0)]["unknown_keys"]
    assert len(text) < 50_000
    counted = json.loads(text)
    assert len(counted) == 501
    assert (counted["often"], counted["(other keys)"]) == (1500, 1500 - 498)
    assert counted[("long" * 2000)[:4093] + "..."] == 1500
    assert report.unknown_keys == counted
    assert len(extras(tmp_path / "lake")) == 7
    shoplake.replay(tmp_path / "raw", tmp_path / "lake", files=[key(0)])
    assert json.loads(ledger(tmp_path / "lake")[key(0)]["unknown_keys"]) == counted
