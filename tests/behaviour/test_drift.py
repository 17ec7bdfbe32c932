"""Keys that the contract does not know are counted, reported and kept."""

import json
from typing import Any

import pytest

import shoplake
from shoplake.engines.reading import Reading
from tests.support import dump, event, events, ingest, key, ledger, put

BIG = 12345678901234567890


def extras(lake):
    """The unknown keys of every event that has some, by user."""
    with shoplake.open(lake) as opened:
        rows = opened.sql("SELECT user_id, extra FROM events WHERE extra IS NOT NULL").fetchall()
    return {user: json.loads(extra) for user, extra in rows}


@pytest.fixture
def searches(monkeypatch):
    """The files that were looked through for unknown keys."""
    looked = []
    real = Reading._look

    def look(self, path):
        looked.append(self.file.path)
        return real(self, path)

    monkeypatch.setattr(Reading, "_look", look)
    return looked


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


ESCAPED = (
    'the "big" atlas',
    "crème brûlée",
    "\U0001f600",
    "back\\slash",
    "a\tb\nc\x01\x7f",
    "\u2028",
    "plain",
    "plain",
    "",
)


ORDINARY_BUT_QUARANTINED = [*events(5), event(9, user_id="", coupon="A")]


def test_counted_in_quarantined_lines_of_an_ordinary_file(tmp_path):
    """Lines that are read again anyway have their unknown keys counted, also in a file that is not looked through."""
    put(tmp_path / "raw", 0, ORDINARY_BUT_QUARANTINED)
    assert ingest(tmp_path / "raw", tmp_path / "lake").unknown_keys == {"coupon": 1}


def test_an_ordinary_file_is_not_searched(tmp_path, searches):
    """A file whose size the nine fields explain, broken lines set aside, costs no search; another one does.

    It is the same reader for every engine; here it is asked in this process.
    """
    compact = [json.dumps(one, separators=(",", ":")).encode() for one in events(20, first=100)]
    put(tmp_path / "raw", 0, [*events(20), b"broken", event(7, user_id="")])
    put(tmp_path / "raw", 1, compact)
    texts = [event(number, "search", search_query=text) for number, text in enumerate(ESCAPED, 400)]
    put(tmp_path / "raw", 4, texts)
    put(tmp_path / "raw", 5, [json.dumps(one | {"user_id": "é"}, ensure_ascii=False).encode() for one in texts])
    put(tmp_path / "raw", 6, ORDINARY_BUT_QUARANTINED)
    ingest(tmp_path / "raw", tmp_path / "lake", engine="duckdb")
    assert searches == []
    put(tmp_path / "raw", 2, [*events(20, first=200), event(300, x=1)])
    put(tmp_path / "raw", 3, [*compact[:-1], compact[-1].replace(b",", b" ,")])
    ingest(tmp_path / "raw", tmp_path / "lake", engine="duckdb")
    assert sorted(searches) == [key(2), key(3)]


def test_equal_but_for_unknown_keys(tmp_path):
    """Unknown keys do not make an event another one: the first keeps its own."""
    put(tmp_path / "raw", 0, [event(1, user_id="x", coupon="A"), event(1, user_id="x", coupon="B")])
    assert ingest(tmp_path / "raw", tmp_path / "lake").duplicates == 1
    assert extras(tmp_path / "lake") == {"x": {"coupon": "A"}}
    assert len(dump(tmp_path / "lake")["events"]) == 1


def test_the_limit_of_detection(tmp_path):
    """An unknown key in the place of a known one that may be absent, byte for byte as long as its null, is not noticed."""
    swapped = json.dumps(event(1)).replace('"quantity": null', '"QUANTITY": 1234').encode()
    put(tmp_path / "raw", 0, [swapped])
    assert ingest(tmp_path / "raw", tmp_path / "lake").unknown_keys == {}
    put(tmp_path / "raw", 1, [swapped.replace(b"u_1", b"u_2").replace(b"1234", b"12345")])
    assert ingest(tmp_path / "raw", tmp_path / "lake").unknown_keys == {"QUANTITY": 1}
