"""Whatever an id looks like, its lines are found, and nobody else's."""

import json

import pytest

from tests.behaviour.erase.support import clean, erase, plain
from tests.support import command, dump, event, ingest, put

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
