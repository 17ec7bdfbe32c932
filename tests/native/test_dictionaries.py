"""Texts keep their own codes, also those whose keys are equal; and days are those of the calendar, in every year."""

import itertools
import json
import random
from datetime import datetime

import pytest

from tests.native import support
from tests.native.support import check, needed, read
from tests.support import event

pytestmark = needed
SEED = 0x0123456789ABCDEF
WORD = (1 << 64) - 1
LETTERS = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.:;<=>?@^~!#$%&()*+,/{}|`' []"


def mix(one, other):
    """The product of two words, folded, as in plain.c."""
    product = one * other
    return (product ^ product >> 64) & WORD


def start(rng):
    """A text of 8 bytes, and what plain.c makes of it as the start of one of 24."""
    text = bytes(rng.choices(LETTERS, k=8))
    return text, mix(SEED ^ 24 ^ int.from_bytes(text, "little"), 0x9E3779B97F4A7C15)


def same_key():
    """Two texts of 24 bytes that are looked up by the same key."""
    rng = random.Random(1)
    while True:
        (one, first), (other, second), middle = start(rng), start(rng), bytes(rng.choices(LETTERS, k=8))
        twin = (int.from_bytes(middle, "little") ^ first ^ second).to_bytes(8, "little")
        if all(byte in LETTERS for byte in twin):
            return one + middle + b"the end.", other + twin + b"the end."


def key_of_a_short_text():
    """A text of 24 bytes, and one of 16 that is looked up by the same key."""
    rng = random.Random(2)
    begin, half = start(rng)
    while True:
        middle = bytes(rng.choices(LETTERS, k=8))
        short = mix(half ^ int.from_bytes(middle, "little"), 0x9E3779B97F4A7C15).to_bytes(8, "little")
        if all(byte in LETTERS for byte in short):
            return begin + middle + b"the end.", short + b"the end."


@pytest.mark.parametrize("made", [same_key, key_of_a_short_text])
def test_texts_of_one_key_are_two(monkeypatch, made):
    """Whichever comes first."""
    monkeypatch.setattr("os.urandom", lambda count: SEED.to_bytes(count, "little"))
    texts = [text.decode() for text in made()]
    for one, other in (texts, texts[::-1]):
        users = [one, other, one, "a", other]
        lines = [json.dumps(event(number, user_id=user)).encode() for number, user in enumerate(users)]
        column = read(b"\n".join(lines)).rows.column("user_id").combine_chunks()
        assert column.to_pylist() == users
        assert column.dictionary.to_pylist() == [one, other, "a"]


def test_very_many_texts():
    """However large the dictionary grows, of every length."""
    users = [f"{'u' * (number % 23)}{number}" for number in range(30_000)]
    lines = [json.dumps(event(number, user_id=user)).encode() for number, user in enumerate([*users, *users])]
    column = read(b"\n".join(lines)).rows.column("user_id").combine_chunks()
    assert column.dictionary.to_pylist() == users
    assert column.indices.to_pylist() == [*range(30_000), *range(30_000)]


def test_every_day_of_the_calendar(monkeypatch):
    """The first and last days of all months, those around leap days, and days that there are none, up to the year 9999."""
    monkeypatch.setattr(support, "LATEST", datetime.max)  # noqa: DTZ901 - times of the lake are UTC without a zone
    years = (1969, *range(1970, 2110), 2199, 2200, 2300, 2399, 2400, 4000, 9996, 9999)
    days = [*itertools.product(years, range(14), (0, 1, 27, 28, 29, 30, 31, 32))]
    lines = [
        json.dumps(event(1, timestamp=f"{year:04}-{month:02}-{day:02}T23:59:59.999999Z")).encode()
        for year, month, day in days
    ]
    assert check(lines) == sum(_is_day(*day) for day in days)


def _is_day(year, month, day):
    try:
        return datetime(year, month, day).year >= 1970  # noqa: DTZ001 - a day
    except ValueError:
        return False
