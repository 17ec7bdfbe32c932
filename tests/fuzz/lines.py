"""Seeded lines at the edges of the contract: mutations of valid ones, by byte and by token, and what is no event at all.

Line *number* of seed *seed* is always the same, whatever was made before it.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable

from tests.support import START, event

TYPES = ("page_view", "add_to_cart", "remove_from_cart", "purchase", "search")
TEXTS = ("user_id", "session_id", "event_type", "product_id", "category", "search_query")
FIELDS = tuple(event())

DIGITS = "".join(random.Random("digits").choices("123456789", k=5000))


def _words(text: str) -> list[str]:
    return text.split(" ")


# fmt: off
NUMBERS = (
    *_words(
    "0 -0 1 -1 2 7 10 007 01 -01 00 +1 .5 5. -.5 - 1.0 1.5 2.50 -0.0 0.0 -0.001 -0.009 0.001 0.005 0.0049 0.004999999999"
    " 0.00499999999999999999999999 0.0050000000000000000000000001 1.005 1.015 1.115 19.990 19.995 19.9949999999999999999"
    " 2147483647 2147483648 -2147483648 4294967296 9007199254740993 18446744073709551615 18446744073709551616"
    " 9999999999.99 9999999999.994 9999999999.9949999999999999 9999999999.995 10000000000 99999999999 123456789012e-2"
    " 12345678901234567890.123 1e0 1E0 1e2 1.5e2 15e-1 150e-2 1e-2 5e-3 4e-3 49e-4 1.e2 1e 1e+ 1e1.5 1e10 99e8"
    " 999999999999e-2 1e400 -1e400 1e-400 -1e-400 0e400 -0e1 0e-5 1e99999 1e-99999 1E+02 1e0000000000002 2e0 3.0 3e0 30e-1"
    " 0.3e1 1_0 0x10 1d 1f 1L NaN nan Infinity -Infinity inf -inf INF 1,5 1.2.3 --1 1-1 \u0663 \uff11 \u00bd"),
    *(DIGITS[:60], DIGITS, "0." + DIGITS, "1" + "0" * 400, "0." + "0" * 400 + "1", "0." + "0" * 50 + "1e52"),
    *("1" + "0" * 30 + "e-30", "-0." + "0" * 40 + "1", "1e" + "9" * 40, "-" + DIGITS[:20], "0" * 50 + "1"),
)
_DAY, _CLOCK = f"{START:%Y-%m-%d}", f"{START:%H:%M:%S}"
TIMES = (
    *(f"{_DAY}T{_CLOCK}{fraction}{zone}" for fraction in ("", ".1", ".123456", ".1234567", ".123456789",
    ".1234567891", ".", ",5")
      for zone in ("Z", "", "z", "+00:00", "-00:00", "+0000", "+00")),
    *(f"{_DAY}T{clock}Z" for clock in _words(
      "24:00 24:00:00 24:00:00.000 24:00:00.001 24:01:00 25:00:00 23:59:60 23:59:60.5 23:60:00"
      " 23:59:59.999999 23:59:59.9999999 00:00:00 0:00:00 000000 00 00:00 00:0 00:00:0 14:00:00:00 1:2:3 23:59:61")),
    *(f"{_DAY}T{_CLOCK}{zone}" for zone in _words(
      "+23:59 -23:59 +24:00 +14:00 +15:59 +16:00 -16:00 +1 +1:00 +01:0 +01:60 +99 +000000"
      " +00:00:00 Z+00:00 +00:00Z UTC [UTC] Europe/Berlin +- \u221205:00 +05:30 -0800 +0530 ZZ")),
    *(f"{_DAY}T{_CLOCK}.123{zone}" for zone in ("Z ", " Z", "\n", "\t", "\0", "\u00a0", "Z\0", "Z\n")),
    *(f"{day}T14:00:00Z" for day in _words(
      "0000-01-01 0001-01-01 1969-12-31 1970-01-01 2000-02-29 2024-02-29 2025-02-29 1900-02-29"
      " 2100-02-29 2025-04-31 2025-00-10 2025-10-00 2025-13-01 2025-1-1 25-11-18 20251118 02025-11-18 +2025-11-18 -2025-11-18"
      " 12025-11-18 9999-12-31 2025-W47-2 2025-322 2025/11/18 18.11.2025 \u0662\u0660\u0662\u0665-11-18")),
    *("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59-00:01", "1970-01-01T00:00:00+00:01",
    "1969-12-31T23:59:59.999999-00:01"),
    *("1970-01-01T00:00:00.000000+00:00", "1969-12-31T23:59:59.999Z", "0001-01-01T00:00:00+01:00",
    "0001-01-01T00:00:00.000Z"),
    *(f"{_DAY}", f"{_DAY} {_CLOCK}", f"{_DAY}t{_CLOCK}Z", f" {_DAY}T{_CLOCK}Z", f"{_DAY}T{_CLOCK}Z ", "now", "epoch",
    "infinity"),
    *(f"{_DAY}T 4:00:00.123Z", f"{_DAY}T 4:00:00.123456+00:00", f"{_DAY}T\t4:00:00.123Z", f"{_DAY}T14:00:0 .123Z",
    "", " ", "T"),
    *(f"{_DAY}T14:00:00.12 Z", f"{_DAY}T14: 0:00.123Z", f"{_DAY}T14:00:00.+23Z", f"{_DAY}T24:00:00.000000+00:00",
    "-infinity"),
    *(f" {_DAY[1:]}T14:00:00.123Z", f"{_DAY[:5]} 1-01T14:00:00.123Z", f"{_DAY}T14:00:00.123456+00:0", "1763475825",
    "14:00:00Z"),
    *(f"{_DAY}T14:00:00.123456-00:00", f"{_DAY}T14:00:00.123456+00:00 ", f"{_DAY}T14.00.00.123Z",
    f"{_DAY}T1 :00:00.123Z"),
)
# At the bound on the future that the fuzzer sets, and next to it.
FUTURE = ("2025-12-01T00:00:00Z", "2025-12-01T00:00:00.000001Z", "2025-11-30T23:59:59.999999Z",
    "2025-12-01T01:00:00.000+01:00")
WHITE = (" ", "\t", "\r", "  \t", "\x0b", "\x0c", "\u00a0", "\u2028", "\u2003", "\ufeff", "\x85", "\x1c", "\0", "")
ODD = (
    *("", " ", "\0", "a\0b", "\x7f", "\x85", "\u00a0", "\u2028", "\u2029", "\ufeff", "\ufffe", "\uffff", "\ufffd",
    "e\u0301", "\u00e9"),
    *("{", "[", "{}", "[]", "[x", "{x", "\\", "\\\\", "\\u0041", "|", "}", "]", "~", "`", "Z", "a", "0", '"', "'",
    "/", "null", "true"),
    *("\U0001f6d2", "\U0001f468\u200d\U0001f469", "\u202eabc", "\ud7ff", "\ue000", "\U0010ffff", "\U00010000",
    "x" * 300, "%s", "{0}", ",}"),
    *("page_view ", "PAGE_VIEW", "page\u200b_view", "Search", "NaN", "1e5", "-", "a,}", ": 1e5", "\\ud800",
    "\t\n\r\b\f", "\x1f", "\U000e0041"),
)
NESTED = ("[]", "{}", "[1]", "[1.50, 2e3, -0]", '{"a": 1}', '{"a": {"a": 1, "a": 2}}', '["x", null, true]', "[NaN]",
    "[1,]", '{"a":1,}',
          "[[[[1]]]]", '{"timestamp": 1}', '["\\u00e9", "\u00e9", "\\/"]', "[ ]", "{ }", "[1 2]",
          '{"\\u0061": "\\ud83d\\uded2"}', '["\\ud800"]',
          '{"\\udc00": 1}', "[1e400]", "[1" + "0" * 40 + "]", "[\x0b1]", '{"": ""}', '{"a" : [ 1 , 2 ] }')
TOKENS = ("null", "true", "false", "True", "None", "undefined", "nul", "", "''", "'x'", "x", '"', '"x', "//",
    "/*x*/1", "@", "\\u0031")
PIECES = (
    *(bytes([one]) for one in b"\"\\{}[]:,-+.eE0 \t\r\x00\x01\x0b\x0c\x1f\x7f\x80\xff/'"),
    *(b"\xc3", b"\xc3\xa9", b"\xc0\xaf", b"\xe2\x82", b"\xed\xa0\x80", b"\xed\xb0\x80", b"\xf4\x90\x80\x80"),
    *(b"\xef\xbb\xbf", b"\xe2\x80\xa8", b"\xc2\xa0", b"\xf0\x9f\x9b\x92", b"\xf8\x88\x80\x80\x80"),
    *(b"\\u0041", b"\\ud83d\\uded2", b"\\ud800", b"\\udc00", b"\\x41", b"\\", b"\\u12", b"\\u00g0", b"\\n", b"\\/"),
    *(b"null", b"true", b"}{", b"{}", b",}", b"//", b"NaN", b"1e5", b"00"),
)
DEPTHS = (2, 50, 98, 99, 100, 101, 102, 127, 128, 129, 500, 1000, 5000, 60_000)
SIZES = (1000, 65_536, 300_000, 1_048_000, 1_048_576, 1_100_000)
# fmt: on


def line(seed: int, number: int) -> bytes:
    """One line, without its newline and without any inside."""
    rng = random.Random(f"{seed} {number}")
    kinds: tuple[tuple[int, Callable[[random.Random], bytes]], ...] = (
        (10, _plain),
        (50, _by_token),
        (26, _by_byte),
        (5, _noise),
        (5, _soup),
        (3, _framed),
        (1, _deep),
    )
    kind = rng.choices([kind for _, kind in kinds], [weight for weight, _ in kinds])[0]
    return (_huge(rng) if rng.random() < 0.0003 else kind(rng)).replace(b"\n", b"\\n")


def _event(rng: random.Random) -> dict[str, str]:
    """A valid event, each field as the JSON text of its value."""
    made = event(rng.randrange(2000), rng.choice(TYPES))
    return {name: json.dumps(value) for name, value in made.items()}


def _write(rng: random.Random, fields: list[tuple[str, str]], *, odd: bool = False) -> bytes:
    """Fields as a line: keys and values are JSON texts."""
    after, between = rng.choice(((": ", ", "), (": ", ", "), (":", ",")))

    def gap() -> str:
        return rng.choice(WHITE) if odd and rng.random() < 0.15 else ""

    pairs = [f"{gap()}{key}{gap()}{after}{gap()}{value}{gap()}" for key, value in fields]
    return f"{gap()}{{{between.join(pairs)}{gap()}}}{gap()}".encode("utf-8", "surrogatepass")


def _plain(rng: random.Random) -> bytes:
    return _write(rng, [(f'"{key}"', value) for key, value in _event(rng).items()])


def _text(rng: random.Random) -> str:
    """A JSON string, more or less."""
    how = rng.randrange(5)
    if how == 0:
        text = "".join(chr(_code_point(rng)) for _ in range(rng.randrange(1, 6)))
    else:
        text = rng.choice(ODD) + (rng.choice(ODD) if how == 1 else "")
    written = json.dumps(text, ensure_ascii=rng.random() < 0.5)
    if how == 2:  # some characters as escapes, surrogates perhaps torn apart
        written = '"' + "".join(f"\\u{unit:04{rng.choice('xX')}}" for unit in _utf16(text)[rng.randrange(2) :]) + '"'
    return written


def _code_point(rng: random.Random) -> int:
    """Of any plane; surrogates are rare."""
    plane = rng.choice((0, 0, 0, 1, 2, 3, 14, 15, 16, rng.randrange(17)))
    point = plane * 0x10000 + rng.choice((rng.randrange(0x10000), rng.randrange(0x300), 0xFFFE, 0xFFFF, 0))
    return 0xFFFD if 0xD800 <= point < 0xE000 and rng.random() < 0.7 else point


def _utf16(text: str) -> list[int]:
    octets = text.encode("utf-16-be", "surrogatepass")
    return [octets[at] << 8 | octets[at + 1] for at in range(0, len(octets), 2)]


def _value(rng: random.Random, name: str) -> str:
    """The JSON text of a value that a field may have to bear."""
    if name == "timestamp" and rng.random() < 0.8:
        return json.dumps(rng.choice((*TIMES, *FUTURE)), ensure_ascii=rng.random() < 0.5)
    if name in ("quantity", "price") and rng.random() < 0.8:
        number = rng.choice(NUMBERS)
        return number if rng.random() < 0.6 else json.dumps(number, ensure_ascii=False)
    if name == "event_type" and rng.random() < 0.5:
        return json.dumps(rng.choice(TYPES))
    return rng.choice(
        (_text(rng), _text(rng), rng.choice(NUMBERS), rng.choice(NESTED), rng.choice(TOKENS), "null", '""')
    )


def _by_token(rng: random.Random) -> bytes:
    """A valid event with keys and values changed, dropped, repeated, moved and added."""
    fields = [(f'"{key}"', value) for key, value in _event(rng).items()]
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3))):
        at = rng.randrange(len(fields)) if fields else 0
        key, value = fields[at] if fields else ('"timestamp"', "null")
        name = key.strip('"')
        how = rng.choice(
            ("set",) * 10 + ("drop", "null", "repeat", "repeat", "move", "rename", "escape", "more", "more")
        )
        if how in ("set", "null") and fields:
            fields[at] = (key, _value(rng, name) if how == "set" else "null")
        elif how == "drop" and fields:
            del fields[at]
        elif how == "repeat":
            fields.insert(rng.randrange(len(fields) + 1), (key, _value(rng, name)))
        elif how == "move":
            rng.shuffle(fields)
        elif how == "rename" and fields:
            fields[at] = (
                rng.choice((key.upper(), key.title(), f'"{name} "', f'"{name}\\u0000"', name, f"'{name}'", '""')),
                value,
            )
        elif how == "escape" and fields and name:
            fields[at] = (f'"\\u{ord(name[0]):04x}{name[1:]}"', value)
        elif how == "more":
            extra = (
                rng.choice(
                    ('"x"', '"coupon"', '"coupon"', '"we ird"', '""', '"User_Id"', '"\u00e9"', '"e\\u0301"', _text(rng))
                ),
                "x",
            )
            fields.insert(rng.randrange(len(fields) + 1), (extra[0], _value(rng, "x")))
    return _write(rng, fields, odd=rng.random() < 0.15)


def _by_byte(rng: random.Random) -> bytes:
    """A valid event, sometimes an odd one, with bytes changed."""
    raw = bytearray(_plain(rng) if rng.random() < 0.7 else _by_token(rng))
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        at, to = sorted((rng.randrange(len(raw) + 1), rng.randrange(len(raw) + 1)))
        how = rng.choice(("insert", "insert", "flip", "overwrite", "delete", "cut", "repeat", "piece"))
        if how == "insert":
            raw[at:at] = rng.choice(PIECES)
        elif how == "flip" and at < len(raw):
            raw[at] ^= 1 << rng.randrange(8)
        elif how == "overwrite" and at < len(raw):
            raw[at] = rng.randrange(256)
        elif how == "delete":
            del raw[at : at + rng.choice((1, 1, 2, to - at))]
        elif how == "cut":
            raw = raw[:at] if rng.random() < 0.5 else raw[at:]
        elif how == "repeat":
            raw[at:at] = raw[at:to]
        else:
            raw[at : at + 1] = rng.choice(PIECES)
    return bytes(raw)


def _noise(rng: random.Random) -> bytes:
    return rng.randbytes(rng.choice((1, 1, 2, 5, 40, 300)))


def _soup(rng: random.Random) -> bytes:
    """Pieces of JSON in any order, and lines that hold next to nothing."""
    pieces = (*PIECES, b'"user_id"', b'"price"', b'"x"', b"1", b"{", b"}", b"[", b"]", b":", b",", b" ")
    return b"".join(rng.choices(pieces, k=rng.choice((0, 1, 1, 2, 3, 6, 20))))


def _framed(rng: random.Random) -> bytes:
    """A valid event with something before it or behind it."""
    raw = _plain(rng)
    other = rng.choice(
        (*PIECES, *(white.encode() for white in WHITE), raw, b"\xef\xbb\xbf\xef\xbb\xbf", b"\r\r", b" \r", b"\xff\xfe")
    )
    return rng.choice(
        (
            other + raw,
            raw + other,
            other + raw + other,
            raw + other + _plain(rng),
            b"[" + raw + b"]",
            raw[:-1] + b" " * 500 + b"}",
        )
    )


def _deep(rng: random.Random) -> bytes:
    """Nesting: of the whole line, of an unknown key's value, of a known one's."""
    depth = rng.choice(DEPTHS[:-2] if rng.random() < 0.95 else DEPTHS)
    opened = (
        [rng.choice(("[", '{"a":')) for _ in range(depth)]
        if rng.random() < 0.3
        else [rng.choice(("[", '{"a":'))] * depth
    )
    whole = rng.random() < 0.85
    nested = "".join(opened) + "1" + ("".join("]" if one == "[" else "}" for one in reversed(opened)) if whole else "")
    fields = [(f'"{key}"', value) for key, value in _event(rng).items()]
    where = rng.randrange(4)
    if where == 0:
        return nested.encode()
    if where == 1:
        fields[rng.randrange(len(fields))] = (f'"{rng.choice(FIELDS)}"', nested)
    elif where == 2:
        fields.append((fields[rng.randrange(len(fields))][0], nested))
    else:
        fields.append((rng.choice(('"x"', '"we ird"')), nested))
    return _write(rng, fields)


def _huge(rng: random.Random) -> bytes:
    """A valid event with a very long text, number or gap."""
    size = rng.choice(SIZES)
    fields = [(f'"{key}"', value) for key, value in _event(rng).items()]
    long = rng.choice(
        (f'"{"x" * size}"', f'"{"é" * (size // 2)}"', "1" * size, f'"{chr(92)}u0041{"y" * size}"', " " * size + "1")
    )
    at = rng.randrange(len(fields) + 1)
    if at < len(fields):
        fields[at] = (fields[at][0], long)
    else:
        fields.append(('"x"', long))
    return _write(rng, fields)
