"""The event contract: each line is accepted or quarantined, with every reason and byte for byte."""

# ruff: noqa: DTZ001 - times of the lake are UTC without a zone

import base64
import gzip
import json
import tempfile
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shoplake.contract import REASON_CODES, RULES, TOO_LONG
from tests.fuzz.compare import disagreements
from tests.support import both, dump, event, ingest, key, put, put_bytes

ABSENT = object()
SOON = f"{datetime.now(UTC) + timedelta(hours=25):%Y-%m-%dT%H:%M:%S.%f}"


def line(start="purchase", /, **changes):
    """A line of valid shape with changed or absent fields."""
    fields = event(1, start) | changes
    return json.dumps({name: value for name, value in fields.items() if value is not ABSENT}).encode()


def several(name, start, *values):
    return [line(start, **{name: value}) for value in values]


BROKEN = {
    "malformed_json": [
        *(b"{", b"}", b"null", b"true", b"42", b'"page_view"', b"[]", b"[{}]", b"{}{}", b"no json", b"'{}'", b"\x00"),
        b"\xef\xbb\xbf" + line(),  # a byte order mark stands at the start of a file alone
        *(line()[:-1], line() + line(), line() + b" x", b"[" + line() + b"]", line().replace(b'"', b"'")),
        *(line().replace(b"u_1", raw) for raw in (b"u\x01", b"u\ty", b"u\\x", b"\\ud800", b"u\x00")),
        *(
            line().replace(b"19.99", raw)
            for raw in (b"019.99", b"19.", b".99", b"+1", b"1_0", b"0x1", b"NaN", b"Infinity")
        ),
    ],
    "invalid_utf8": [
        line().replace(b"u_1", raw)
        for raw in (b"\xff", b"\xc3", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82")
    ],
    "missing_timestamp": several("timestamp", "purchase", ABSENT, None, ""),
    "bad_timestamp": several(
        "timestamp",
        "page_view",
        *("yesterday", "2025-11-18", "2025-11-18 14:23:45Z", "20251118T142345Z", "18/11/2025 14:23", "T", " ", "epoch"),
        *("2025-13-01T00:00:00Z", "2025-02-29T00:00:00Z", "2025-11-18T25:00:00Z", "2025-11-18T14:60:00Z"),
        *("2025-11-18T14:23:45.Z", "2025-11-18T14:23:45,5Z", "2025-11-18T14:23:45+", "2025-11-18T14:23:45+1"),
        *(" 2025-11-18T14:23:45Z", "2025-11-18T14:23:45Z ", "2025-11-18T14:23:45 UTC", "2025-11-18T14:23:45z"),
        *("2025-11-18T 4:23:45.123Z", "2025-11-18T\t4:23:45.123Z", "2025-11-18T 4:23:45.123456+00:00"),
        *("2025-11-18T14:23:45+99:00", "2025-11-18T14:23:45+01:60", "2025-11-18T14:23:45.123456+90:00"),
        *("1969-12-31T23:59:59.999Z", "0001-01-01T00:00:00Z", "1970-01-01T00:00:00+00:01"),
        *(1763475825, 1763475825.5, True, [], {}, ["2025-11-18T14:23:45Z"]),
    ),
    "future_timestamp": several(
        *("timestamp", "page_view", "9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999+00:00"),
        *("2999-01-01T00:00:00-05:00", SOON + "Z", SOON + "+00:00"),
    ),
    "missing_user_id": several("user_id", "search", ABSENT, None, ""),
    "bad_user_id": several("user_id", "page_view", [], {}, ["u_1"], {"id": "u_1"}),
    "missing_session_id": several("session_id", "page_view", ABSENT, None, ""),
    "bad_session_id": several("session_id", "purchase", [], {}, [1], {"id": 1}),
    "missing_event_type": several("event_type", "purchase", ABSENT, None, ""),
    "unknown_event_type": several(
        "event_type", "page_view", "teleport", "PAGE_VIEW", " page_view", "page_view ", 1, True, [], {}, ["page_view"]
    ),
    "missing_product_id": several("product_id", "page_view", ABSENT, None, ""),
    "bad_product_id": several("product_id", "add_to_cart", [], {}, ["p_1"]),
    "unexpected_product_id": several("product_id", "search", "p_1", "", 0, [], False),
    "missing_category": several("category", "remove_from_cart", ABSENT, None, ""),
    "bad_category": several("category", "purchase", [], {}, ["books"]),
    "unexpected_category": several("category", "search", "books", "", 0),
    "missing_quantity": several("quantity", "purchase", ABSENT, None, ""),
    "bad_quantity": several(
        *(
            "quantity",
            "remove_from_cart",
            0,
            -1,
            2.5,
            2.0,
            1e3,
            "many",
            "0",
            "-1",
            "2.5",
            " 1",
            "1 ",
            "+1",
            "01",
            "1_0",
        ),
        *("\u0663", 2**31, 10**30, True, False, [], [1], {}),
    ),
    "unexpected_quantity": [
        *several("quantity", "page_view", 1, 0, "", "many", []),
        *several("quantity", "search", 1, ""),
    ],
    "missing_price": several("price", "add_to_cart", ABSENT, None, ""),
    "bad_price": several(
        *("price", "purchase", -1, -0.01, -0.001, "-1", "free", "1,50", "$5", "NaN", "Infinity", "1e", "0x1", "\u0663"),
        *(1e10, 9_999_999_999.995, 1e300, True, False, [], [1], {}),
    ),
    "unexpected_price": [*several("price", "page_view", 1, 0, "", "free"), *several("price", "search", 0.5)],
    "missing_search_query": several("search_query", "search", ABSENT, None),
    "unexpected_search_query": [
        line(name, search_query=value)
        for name in ("page_view", "add_to_cart", "remove_from_cart", "purchase")
        for value in ("yoga mat", "", 0)
    ],
}


@pytest.fixture(scope="module")
def broken(tmp_path_factory):
    """The reasons of every broken line, ingested in one file whose first line is fine."""
    folder = tmp_path_factory.mktemp("broken")
    put(folder / "raw", 0, [event(0), *(raw for lines in BROKEN.values() for raw in lines)])
    ingest(folder / "raw", folder / "lake")
    return {row["line_number"]: (stored(row), row["reasons"]) for row in dump(folder / "lake")["quarantine"]}


def stored(row):
    """The raw bytes that a row of quarantine stands for."""
    return base64.b64decode(row["raw"]) if row["encoding"] == "base64" else row["raw"].encode()


@pytest.mark.parametrize("code", BROKEN)
def test_reason(code, broken):
    """A line that breaks one rule is quarantined as it is, with that rule's reason and no other."""
    first = 2 + sum(
        len(lines) for other, lines in BROKEN.items() if list(BROKEN).index(other) < list(BROKEN).index(code)
    )
    found = {raw: broken.get(number, (raw, "accepted"))[1] for number, raw in enumerate(BROKEN[code], first)}
    assert found == {raw: [code] for raw in BROKEN[code]}
    assert all(broken[number][0] == raw for number, raw in enumerate(BROKEN[code], first))


def test_reasons_are_complete():
    """The contract lists these reason codes, each once and with its meaning, and each is tested above."""
    assert set(REASON_CODES) == {*BROKEN, TOO_LONG}  # which has tests of its own
    assert len(REASON_CODES) == len(set(REASON_CODES)) == len(RULES)
    assert all(rule.meaning for rule in RULES)


def test_time_after_the_last_year(tmp_path):
    """A time that is beyond the year 9999 in UTC is a bad timestamp, and holds up nobody."""
    put(tmp_path / "raw", 0, [line(timestamp="9999-12-31T23:59:59-01:00"), event(1)])
    assert ingest(tmp_path / "raw", tmp_path / "lake").reasons == {"bad_timestamp": 1}


MIXED = {
    "nothing is there": (b"{}", "missing_timestamp missing_user_id missing_session_id missing_event_type"),
    "three at once": (line(user_id=None, quantity=0, price=-1.0), "missing_user_id bad_quantity bad_price"),
    "a search like a purchase": (
        line("purchase", event_type="search"),
        "unexpected_product_id unexpected_category unexpected_quantity unexpected_price missing_search_query",
    ),
    "a purchase like a search": (
        line("search", event_type="purchase"),
        "missing_product_id missing_category missing_quantity missing_price unexpected_search_query",
    ),
    "an unknown type is not judged further": (
        line("purchase", event_type="refund", quantity=-1, session_id=""),
        "missing_session_id unknown_event_type",
    ),
}


def test_several_reasons(tmp_path):
    """A line that breaks several rules has all of their reasons."""
    put(tmp_path / "raw", 0, [raw for raw, _ in MIXED.values()])
    ingest(tmp_path / "raw", tmp_path / "lake")
    found = {row["line_number"]: set(row["reasons"]) for row in dump(tmp_path / "lake")["quarantine"]}
    for number, (name, (_, reasons)) in enumerate(MIXED.items(), 1):
        assert found[number] == set(reasons.split()), name


FINE = {
    "Z and milliseconds": ("timestamp", "2025-11-18T14:23:45.123Z", datetime(2025, 11, 18, 14, 23, 45, 123000)),
    "offset 0 and microseconds": (
        *("timestamp", "2025-11-19T17:44:54.718325+00:00"),
        datetime(2025, 11, 19, 17, 44, 54, 718325),
    ),
    "an offset": ("timestamp", "2025-11-18T14:23:45+05:30", datetime(2025, 11, 18, 8, 53, 45)),
    "an offset without colon": ("timestamp", "2025-11-18T14:23:45-0800", datetime(2025, 11, 18, 22, 23, 45)),
    "an offset of hours": ("timestamp", "2025-11-18T14:23:45+01", datetime(2025, 11, 18, 13, 23, 45)),
    "no offset": ("timestamp", "2025-11-18T14:23:45", datetime(2025, 11, 18, 14, 23, 45)),
    "no seconds": ("timestamp", "2025-11-18T14:23Z", datetime(2025, 11, 18, 14, 23)),
    "nanoseconds": ("timestamp", "2025-11-18T14:23:45.123456789Z", datetime(2025, 11, 18, 14, 23, 45, 123456)),
    "a leap day": ("timestamp", "2024-02-29T00:00:00Z", datetime(2024, 2, 29)),
    "the first moment": ("timestamp", "1970-01-01T00:00:00Z", datetime(1970, 1, 1)),
    "the last moment": ("timestamp", "9999-12-31T23:59:59.999Z", datetime(9999, 12, 31, 23, 59, 59, 999000)),
    "a number as an id": ("user_id", 17, "17"),
    "a space as an id": ("session_id", " ", " "),
    "a zero byte in an id": ("session_id", "a\0b", "a\0b"),
    "beyond the basic plane": ("user_id", "\U0001f6d2\U0010ffff" * 20, "\U0001f6d2\U0010ffff" * 20),
    "quotes and backslashes": ("category", 'it\'s "so" \\ much', 'it\'s "so" \\ much'),
    "a newline in a text": ("product_id", "a\nb", "a\nb"),
    "a quantity as text": ("quantity", "3", 3),
    "the largest quantity": ("quantity", 2**31 - 1, 2**31 - 1),
    "a price of nothing": ("price", 0, Decimal("0.00")),
    "a price as text": ("price", "19.90", Decimal("19.90")),
    "a price in whole": ("price", 20, Decimal("20.00")),
    "half a cent": ("price", 0.005, Decimal("0.01")),
    "less than half a cent": ("price", 19.994, Decimal("19.99")),
    "a price with an exponent": ("price", 1.5e2, Decimal("150.00")),
    "the largest price": ("price", 9_999_999_999.99, Decimal("9999999999.99")),
}


@pytest.mark.parametrize("careful", [False, True], ids=["fast", "beside a broken line"])
def test_valid_values(tmp_path, careful):
    """What the contract allows is stored with its exact value, also where a broken line has the file read again."""
    columns = {"timestamp": "event_time"}
    lines = [
        json.dumps(event(number, "purchase", **({"session_id": name} | {field: value}))).encode()
        for number, (name, (field, value, _)) in enumerate(FINE.items())
    ]
    put(tmp_path / "raw", 0, [b"broken", b"\x0b", *lines] if careful else lines)
    done = ingest(tmp_path / "raw", tmp_path / "lake", max_future_hours=1e9)
    tables = dump(tmp_path / "lake")
    assert [row["raw"].encode() for row in tables["quarantine"]] == ([b"broken"] if careful else [])
    assert done.accepted == len(FINE)
    found = {row["session_id"]: row for row in tables["events"]}
    for name, (field, _, expected) in FINE.items():
        row = found[expected if field == "session_id" else name]
        assert row[columns.get(field, field)] == expected, name


def test_line_as_written_otherwise(tmp_path):
    """The order of keys, escapes, white space and unknown keys do not matter; of a repeated key the first counts."""
    plain = event(1, "search", search_query="crème")
    backwards = json.dumps(dict(reversed((plain | {"session_id": "b"}).items())), separators=(",", ":")).encode()
    escaped = json.dumps(plain | {"session_id": "e"}).replace('"e"', '"\\u0065"').encode()
    unescaped = json.dumps(plain | {"session_id": "u"}, ensure_ascii=False).encode()
    spaced = b" \t" + json.dumps(plain | {"session_id": "s"}).replace(" ", "\t \r").encode()
    extra = json.dumps(plain | {"session_id": "x", "more": {"deep": [1, {"user_id": None}]}, "User_Id": ""}).encode()
    twice = json.dumps(plain | {"session_id": "t"}).encode()[:-1] + b', "session_id": "second"}'
    put(tmp_path / "raw", 0, [backwards, escaped, unescaped, spaced, extra, twice])
    ingest(tmp_path / "raw", tmp_path / "lake")
    rows = dump(tmp_path / "lake")["events"]
    assert sorted(row["session_id"] for row in rows) == ["b", "e", "s", "t", "u", "x"]
    assert {row["search_query"] for row in rows} == {"crème"}


@both
def test_quarantine_keeps_the_line(tmp_path):
    """Quarantine has the raw line byte for byte, its number with blank lines counted, its file and its encoding."""
    lines = [
        line("search"),
        b"",
        b'  {"a": "\xc3\xa9\\u00e9"}\t\r',
        b" ",
        b"bad \xff\xfe bytes\r",
        b"nul \x00 byte",
        b"last",
    ]
    put_bytes(tmp_path / "raw", 0, gzip.compress(b"\n".join(lines)))
    ingest(tmp_path / "raw", tmp_path / "lake")
    rows = sorted(dump(tmp_path / "lake")["quarantine"], key=lambda row: row["line_number"])
    assert [(row["line_number"], stored(row)) for row in rows] == [(n, lines[n - 1]) for n in (3, 5, 6, 7)]
    assert [row["encoding"] for row in rows] == ["utf-8", "base64", "utf-8", "utf-8"]
    assert {row["source_file"] for row in rows} == {key(0)}


# Lines on which the engine and the judge once disagreed, with what is right: reasons, or a column and its value.
SETTLED = {
    "a byte order mark is one only where a file begins": (b"\xef\xbb\xbf" + line(), "malformed_json"),
    "a trailing comma": (line()[:-1] + b",}", "malformed_json"),
    "a trailing comma in an unknown key's value": (line()[:-1] + b', "x": [1,]}', "malformed_json"),
    "not a number, for an identifier": (line(user_id="X").replace(b'"X"', b"NaN"), "malformed_json"),
    "infinity, in an unknown key": (line()[:-1] + b', "x": -Infinity}', "malformed_json"),
    "a form feed before": (b"\x0c" + line(), "malformed_json"),
    "a vertical tab behind": (line() + b"\x0b", "malformed_json"),
    "nested too deep": (line()[:-1] + b', "x": ' + b"[" * 100 + b"]" * 100 + b"}", "malformed_json"),
    "not nested too deep": (line()[:-1] + b', "x": ' + b"[" * 99 + b"]" * 99 + b"}", ("quantity", 2)),
    "brackets in a text": (line(user_id="[" * 200), ("user_id", "[" * 200)),
    "a braced identifier": (
        line(user_id="{3F2504E0-4F89-11D3-9A0C-0305E82C3301}"),
        ("user_id", "{3F2504E0-4F89-11D3-9A0C-0305E82C3301}"),
    ),
    "a bracketed category": (line(category="[Sale] Toys"), ("category", "[Sale] Toys")),
    "the hour 24": (line(timestamp="2025-11-18T24:00:00Z"), "bad_timestamp"),
    "the hour 24 with milliseconds": (line(timestamp="2025-11-18T24:00:00.000Z"), "bad_timestamp"),
    "a leap second": (line(timestamp="2016-12-31T23:59:60Z"), "bad_timestamp"),
    "an identifier that starts with a backslash": (line(user_id="\\u"), ("user_id", "\\u")),
    "a fraction as an identifier": (line(user_id="X").replace(b'"X"', b"1.50"), ("user_id", "1.50")),
    "a fraction as an identifier, as long as what a double makes of it": (
        line(category="X").replace(b'"X"', b"122e-2"),
        ("category", "122e-2"),
    ),
    "a large number as an identifier": (line(user_id="X").replace(b'"X"', b"1" * 40), ("user_id", "1" * 40)),
    "a fraction as an identifier, with its key escaped": (
        line(user_id="X").replace(b'"X"', b"1.50").replace(b"user_id", b"\\u0075ser_id"),
        ("user_id", "1.50"),
    ),
    "minus zero as an identifier": (line(user_id="X").replace(b'"X"', b"-0"), ("user_id", "-0")),
    "a structure as a search": (
        line("search", search_query="X").replace(b'"X"', b'[1.50, {"a": "\\u00e9"}]'),
        ("search_query", '[1.50,{"a":"é"}]'),
    ),
    "a search that looks like one": (line("search", search_query="[1,  2]"), ("search_query", "[1,  2]")),
    "almost half a cent": (line(price="X").replace(b'"X"', b"0.00499999999999999999999"), ("price", Decimal("0.00"))),
    "a negative price that is next to nothing": (line(price="-1e-400"), "bad_price"),
    "a price with more digits than the decimal": (line(price="123456789012e-2"), ("price", Decimal("1234567890.12"))),
    "a price with far too small a mantissa": (line(price="0." + "0" * 50 + "1e52"), ("price", Decimal("10.00"))),
    "an exponent of nothing": (line(price="0e999999999"), ("price", Decimal("0.00"))),
    "a price with an underscore": (line(price="1_0"), "bad_price"),
    "a price with a plus": (line(price="+1"), "bad_price"),
    "a price without its first digit": (line(price=".5"), "bad_price"),
    "a price without its last digit": (line(price="5."), "bad_price"),
    "a price with a space": (line(price=" 1"), "bad_price"),
    "a number of 5,000 digits in an unknown key": (line()[:-1] + b', "x": ' + b"7" * 5000 + b"}", ("quantity", 2)),
    "a number without end in an unknown key": (line()[:-1] + b', "x": 1e400}', ("extra", '{"x": 1e400}')),
    "a quote in an unknown key": (line()[:-1] + b', "\\"": 1}', ("extra", '{"\\"": 1}')),
    "a backslash in an unknown key": (line()[:-1] + b', "a\\\\": 1}', ("extra", '{"a\\\\": 1}')),
    "null in an unknown key is no value": (line()[:-1] + b', "x": null}', ("extra", None)),
    "a key repeated in an unknown key's value": (
        line()[:-1] + b', "we ird": {"a": 1, "a": 2}}',
        ("extra", '{"we ird": {"a":1}}'),
    ),
}


@pytest.fixture(scope="module", params=[True, False], ids=["alone", "beside another"])
def settled(request, tmp_path_factory):
    """A lake of files with one of those lines each, and what its tables say otherwise than the judge."""
    folder = tmp_path_factory.mktemp("settled")
    for slot, (raw, _) in enumerate(SETTLED.values()):
        mine = raw.replace(b'"s_1"', b'"s_1%03d"' % slot)  # no file's line is a duplicate of another's
        beside = [] if request.param else [b" " + line(user_id="and another", session_id=f"s_2{slot}")]
        put(folder / "raw", slot, [event(9, user_id="other", session_id=f"s_3{slot}"), *beside, mine])
    ingest(folder / "raw", folder / "lake", max_quarantine_rate=1)
    return dump(folder / "lake"), disagreements(folder / "raw", folder / "lake")


@pytest.mark.parametrize("name", SETTLED)
def test_settled(settled, name):
    """What engine and judge were once of two minds about stays settled, whatever reads the file."""
    tables, differences = settled
    path, right = key([*SETTLED].index(name)), SETTLED[name][1]
    assert path not in differences
    of_file = {
        table: [row for row in tables[table] if row["source_file"] == path] for table in ("events", "quarantine")
    }
    if isinstance(right, str):
        assert [row["reasons"] for row in of_file["quarantine"]] == [[right]]
    else:
        assert of_file["quarantine"] == []
        (row,) = (row for row in of_file["events"] if row["user_id"] not in ("other", "and another"))
        name, value = right
        assert row[str(name)] == value


def test_counts_that_cancel_out(tmp_path):
    """Lines that a reader may take for two, beside lines that it may take for none, do not shift the others."""
    good = [line("search", session_id=f"id{number}") for number in range(6)]
    odd = [b"{}{}", b"\x0b", b"\x00", b"\r", b"[1][2]", b"{}\r{}", b'"a" "b"', b"\x1e{}", b"\xef\xbb\xbf"]
    for number, raws in enumerate(([one] for one in odd), 1):
        put(tmp_path / "raw", number, [*good[:3], *raws, *good[3:], line(user_id="")])
        good = [one.replace(b'"id', b'"id%d-' % number) for one in good]
    put(tmp_path / "raw", 0, [one for pair in zip(odd, good * 2, strict=False) for one in pair])
    ingest(tmp_path / "raw", tmp_path / "lake")
    agrees(tmp_path)


def agrees(folder):
    """Events, quarantine and ledger are what the judge says of the raw lines."""
    assert disagreements(folder / "raw", folder / "lake") == {}


values = st.sampled_from(
    [
        *(
            None,
            "",
            " ",
            "x",
            "{",
            "[x",
            "null",
            "é",
            "\u2028",
            "\0",
            "\ufeff",
            "page_view",
            "search",
            "purchase",
            "Search",
        ),
        *(0, 1, 2, -1, 2**31 - 1, 2**31, 2**63, 10**25, True, False, [], {}, [1], {"a": 1}),
        *(0.0, 2.5, 3.0, -0.01, 0.001, 0.125, 1e9, 1e10, 1e-7, "1", "1.5", "-1", "007", "1e3"),
        *("2025-11-18T14:00:00Z", "2025-11-18T14:00:00.5+02:00", "2025-11-18T14:00", "2025-11-18", "14:00"),
    ]
)
names = st.sampled_from(list(event()))


@st.composite
def mutated(draw):
    fields = event(draw(st.integers(0, 3)), draw(st.sampled_from(["page_view", "add_to_cart", "purchase", "search"])))
    for _ in range(draw(st.integers(0, 3))):
        name = draw(names)
        how = draw(st.sampled_from(["set", "set", "set", "drop", "rename", "more"]))
        if how == "set":
            fields[name] = draw(values)
        elif how == "drop":
            fields.pop(name, None)
        elif how == "rename":
            fields[name.upper()] = fields.pop(name, None)
        else:
            fields["more"] = draw(values)
    raw = json.dumps(fields, ensure_ascii=draw(st.booleans())).encode("utf-8", "surrogatepass")
    if draw(st.integers(0, 3)) == 0:
        at = draw(st.integers(0, len(raw)))
        raw = draw(
            st.sampled_from(
                [
                    *(
                        raw[:at],
                        raw[at:],
                        raw + raw,
                        raw[:at] + raw,
                        b"[" + raw + b"]",
                        raw[:1] + b'"user_id": "first", ' + raw[1:],
                    ),
                    *(raw[:at] + piece + raw[at:] for piece in PIECES),
                ]
            )
        )
    return raw


PIECES = (
    *(
        b"\xff",
        b"\xc3",
        b"\xc3\xa9",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\xef\xbb\xbf",
        b"\x00",
        b"\x01",
        b"\t",
        b"\r",
    ),
    *(
        b'"',
        b"\\",
        b"{",
        b"}",
        b"}{",
        b"[",
        b"]",
        b":",
        b"null",
        b"\\u0041",
        b"\\ud83d\\uded2",
        b"\\ud800",
        b"\x7f",
        b"//",
    ),
)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.lists(mutated(), min_size=1, max_size=40))
def test_any_lines(lines):
    """For any lines, the fate of each and its reasons are those of an independent judge, and quarantine has its bytes.

    A line with so much white space in front that nothing can make up for it has every file looked through for unknown keys.
    """
    blank = b" " * 3000
    with tempfile.TemporaryDirectory() as folder:
        half = len(lines) // 2
        put(Path(folder, "raw"), 0, [blank + line(session_id="s_98"), *lines[:half]])
        put(Path(folder, "raw"), 1, [blank + line(session_id="s_99"), *lines[half:]])
        ingest(Path(folder, "raw"), Path(folder, "lake"))
        agrees(Path(folder))
