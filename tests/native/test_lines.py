"""Whatever the native reader takes, the judge accepts with the same values; and it takes what producers write.

200,000 fuzzed lines in `make test`, 5 million in `make proofs`. Another seed: SHOPLAKE_FUZZ_SEED=7.
"""

import itertools
import json
import os
import random

import pytest

from tests.fuzz.lines import FUTURE, NESTED, NUMBERS, ODD, PIECES, TIMES, TOKENS, WHITE, line
from tests.native.support import check, needed, read, taken
from tests.support import event, proofs

pytestmark = needed
SEED = int(os.environ.get("SHOPLAKE_FUZZ_SEED", "1"))
TURN = 50_000
TYPES = ("page_view", "add_to_cart", "remove_from_cart", "purchase", "search")
SPACINGS = ((", ", ": "), (",", ":"))


def both_spacings(lines):
    """A line of one spacing after each of the other."""
    return [one for line in lines for one in (line, line.replace(b": ", b":").replace(b", ", b","))]


def written(fields, spacing=SPACINGS[0], *, ascii_only=True):
    """An event as a JSON library writes it."""
    return json.dumps(fields, separators=spacing, ensure_ascii=ascii_only).encode()


PLAIN = {
    "as the starter writes them": [written(event(number, name)) for number, name in enumerate(TYPES * 3)],
    "compact": [written(event(number, name), SPACINGS[1]) for number, name in enumerate(TYPES * 3)],
    "both in turn": both_spacings([written(event(number, name)) for number, name in enumerate(TYPES * 3)]),
    "without nulls": [
        written({key: value for key, value in event(number, name).items() if value is not None})
        for number, name in enumerate(TYPES * 3)
    ],
    "sorted keys": [written(dict(sorted(event(number, name).items()))) for number, name in enumerate(TYPES * 3)],
    "every key first": [
        written(dict(itertools.islice(itertools.cycle(event(number, name).items()), number % 9, number % 9 + 9)))
        for number, name in enumerate(TYPES * 9)
    ],
    "carriage returns": [written(event(number, name)) + b"\r" for number, name in enumerate(TYPES)],
    "white space": [written(event(number, name), (" ,\t", " :  ")) for number, name in enumerate(TYPES)],
    "escapes": [
        written(event(number, "search", search_query=text, user_id=text or "u"))
        for number, text in enumerate(('the "big" atlas', "crème brûlée", "\U0001f6d2", "a\\b\n\t", "", "\x7f\u2028"))
    ],
    "UTF-8": [
        written(event(number, "search", search_query=text, session_id=text), ascii_only=False)
        for number, text in enumerate(("crème brûlée", "\U0001f6d2", "\ue000\uffff", "\u0800"))
    ],
    "unknown keys": [
        written(event(number, name) | {"currency": "EUR", "is mobile": True, "Zeit": None, "é": {"a": [1.50, "é\n"]}})
        for number, name in enumerate(TYPES)
    ],
    "identifiers of any length": [
        written(event(size, user_id="u" * size, session_id="{" * size, product_id="é" * size)) for size in range(1, 40)
    ],
    "numbers as text": [written(event(1, "purchase", quantity="12", price="3.999", user_id=17, category=-1.5e3))],
    "times": [
        written(event(1, timestamp=text))
        for text in (
            "2025-11-18T14:00",
            "2024-02-29T00:00:00.1",
            "1970-01-01T00:00:00-00:00",
            "2025-11-18T23:59:59+14:00",
        )
    ],
}


@pytest.mark.parametrize("name", PLAIN)
def test_plain_lines_are_taken(name):
    """All of them, with the judge's values."""
    assert check(PLAIN[name]) == len(PLAIN[name])


def test_blocks_may_end_anywhere():
    """Blank lines, a carried line, a newline at either side of the border, no newline at the end: nothing changes."""
    lines = [line for lines in PLAIN.values() for line in lines[:2]]
    content = b"\n".join([lines[0], b"", b" \t", *lines, b"broken", b""])
    whole = read(content, (len(content),))
    for size in [*range(1, 300), *range(300, len(content), 37)]:
        cut = read(content, (size, len(content)))
        assert (cut.left, cut.unknown, cut.rows.equals(whole.rows)) == (whole.left, whole.unknown, True)
    for size in (1, 7, 63, 64, 65, 200):
        again = read(content, (size,))
        assert (again.left, again.rows.equals(whole.rows)) == (whole.left, True)


def test_a_byte_order_mark_leaves_one_line():
    """The first, which is no blank one whatever follows the mark."""
    assert taken(read(b"\xef\xbb\xbf" + b"\n".join(PLAIN["compact"])), PLAIN["compact"]) == list(range(2, 16))
    assert list(read(b"\xef\xbb\xbf\n\n").left) == [1]


def edges():
    """Every value of the fuzzer's lists in the place of every field and of an unknown key, in both spacings."""
    values = [json.dumps(one, ensure_ascii=one.isascii()) for one in (*TIMES, *FUTURE, *ODD, *NUMBERS)]
    values += [json.dumps(one, ensure_ascii=False) for one in (*ODD, *WHITE)]
    values = [*dict.fromkeys((*values, *NUMBERS, *NESTED, *TOKENS))]
    for kind, spacing in itertools.product(("purchase", "search"), SPACINGS):
        fields = {f'"{key}"': json.dumps(value) for key, value in event(3, kind).items()} | {'"x"': "1"}
        for name, value in itertools.product(fields, values):
            pairs = (f"{key}{spacing[1]}{one}" for key, one in (fields | {name: value}).items())
            yield f"{{{spacing[0].join(pairs)}}}".encode("utf-8", "surrogatepass").replace(b"\n", b"")


def pieces():
    """Every piece of the fuzzer at every place of a few lines: in place of a byte, and between two."""
    for raw in (
        PLAIN["as the starter writes them"][3],
        PLAIN["compact"][4],
        PLAIN["unknown keys"][1],
        PLAIN["escapes"][0],
    ):
        for at, piece in itertools.product(range(len(raw) + 1), PIECES):
            yield raw[:at] + piece.replace(b"\n", b"") + raw[at + 1 :]
            yield raw[:at] + piece.replace(b"\n", b"") + raw[at:]
        yield from (raw[:at] for at in range(len(raw)))


@pytest.mark.parametrize("made", [edges, pieces])
def test_edges(made):
    """Of the neighbours of valid lines, none is taken that the judge turns down."""
    lines = list(made())
    assert 1000 < check(lines) < len(lines)


@pytest.mark.parametrize("turn", [*range(4), *proofs(*range(4, 100))])
def test_fuzzed_lines(turn):
    """Of fuzzed lines neither."""
    for first in range(turn * TURN, (turn + 1) * TURN, 10_000):
        rng = random.Random(f"{SEED} {first}")
        lines = [line(SEED, number) for number in range(first, first + 10_000)]
        assert check(lines, [rng.choice((1 << 18, 100, 1000, 64)) for _ in range(50)]) > len(lines) / 20
