"""Whatever an id looks like, its lines are found, and nobody else's."""

import json

import pytest

from tests.behaviour.erase.support import clean, erase, plain
from tests.support import command, dump, event, events, ingest, put

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


SPACED = (
    b"2025-11-18T14:00:00Z;%s;page_view",
    b"2025-11-18T14:00:00Z\t%s",
    b"%s",
    b"\xef\xbb\xbf%s,s_1",
    b'{"user_id": %s, "session_id": "s_1"}',
)
CLOSE = (b"user_id=%s&page=3", b"{'user_id':%s}", b"GET /users/%s?tab=orders", b"user:%s \xff")


@pytest.mark.parametrize("user", ["u_77", "a@b.example", "x=1"])
def test_exact_ids_in_lines_that_are_not_json(tmp_path, user):
    """They are found without quotes, also in files that come later; what merely contains the id is somebody else's."""
    raw, lake = tmp_path / "raw", tmp_path / "lake"
    mine = [line % user.encode() for line in (*SPACED, *(CLOSE if user == "u_77" else ()))]
    others = [line % other.encode() for line in (*SPACED, *CLOSE) for other in (f"{user}x", f"y{user}", f"{user}-2")]
    others += [json.dumps(event(5, "search", search_query=f"about {user}")).encode()]
    put(raw, 0, [*others, *mine])
    ingest(raw, lake)
    receipt = erase(lake, "--source", raw, user=user)
    assert (receipt["removed"]["quarantine"], receipt["removed"]["events"]) == (len(mine), 0)
    assert [one["lines"] for one in receipt["raw"]] == [len(mine)]
    put(raw, 1, [*mine, *events(3, first=50)])
    assert ingest(raw, lake).erased == len(mine)
    clean(lake, raw)


@pytest.mark.parametrize(("user", "said"), [("", "is empty"), ("half \ud800", "not UTF-8")])
def test_ids_that_nobody_can_have(raw, lake, user, said):
    """An id that no event can have is refused, and nothing is done."""
    ingest(raw, lake)
    told = command("erase", "--user", user, "--lake", lake, "--yes")
    assert told.code == 2
    assert said in told.err
    assert dump(lake)["erasures"] == []
