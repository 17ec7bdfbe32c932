"""Keys of users and sessions: sets of 128 bits that are compared as the texts would be."""

from __future__ import annotations

import io

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoplake.engines import unit_keys
from shoplake.engines.unit_keys import Keys, StoredKeys
from shoplake.lake.snapshots import keys_location
from shoplake.tables import USER_HOURLY

texts = st.text(st.characters(codec="utf-8"), max_size=80)


def mapper(function, items):
    return [function(item) for item in items]


class Beside:
    """A data file whose keys lie beside it; it plays the table's snapshot, its storage and the file."""

    table = USER_HOURLY
    uuid = "salt"
    path = "f.parquet"

    def __init__(self, keys: Keys) -> None:
        self.storage = self
        self.content = keys.encoded(self.uuid)

    def open(self, location: str) -> io.BytesIO:
        assert location == keys_location(self.path)
        return io.BytesIO(self.content)


def stored(keys: Keys) -> StoredKeys:
    beside = Beside(keys)
    return StoredKeys(beside, beside)  # type: ignore[arg-type]


def as_set(keys: Keys) -> set[tuple[int, int]]:
    return set(zip(keys.high.tolist(), keys.low.tolist(), strict=True))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sets(texts, max_size=30), max_size=4), st.sets(texts, max_size=30))
def test_sets_of_keys_count_like_sets_of_texts(others, new):
    """Any texts, of any lengths, over any number of files."""
    sets = [unit_keys.of(pa.array(sorted(one), pa.string()), "salt").in_order() for one in others]
    wanted = unit_keys.of(pa.array(sorted(new), pa.string()), "salt").in_order()
    assert unit_keys.count_new(wanted, [stored(one) for one in sets], mapper) == len(new - set().union(*others))
    assert unit_keys.count([*map(stored, sets), wanted]) == len(new.union(*others))
    assert len(unit_keys.union([*sets, wanted]).high) == len(new.union(*others))


# With pairs that share their first 64 bits, which no data will ever show.
pairs = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=12, unique=True)


def made_of(numbers: list[tuple[int, int]]) -> Keys:
    high, low = (np.array([pair[place] for pair in numbers], np.uint64) for place in (0, 1))
    return Keys(high << np.uint64(62), low).in_order()


@settings(max_examples=300, deadline=None)
@given(pairs, pairs, st.integers(1, 5), st.integers(1, 20))
def test_keys_that_share_half_of_their_bits(some, others, step, at_once):
    first, second = made_of(some), made_of(others)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(unit_keys, "_AT_ONCE", 3)
        found = stored(second).has(first)
    assert as_set(first.among(found)) == as_set(first) & as_set(second)
    assert as_set(unit_keys.union([first, second])) == as_set(first) | as_set(second)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(unit_keys, "_STEP", step)
        patch.setattr(unit_keys, "_BUFFERS", at_once)
        assert unit_keys.count([first, stored(second)]) == len(set(some) | set(others))


@pytest.mark.parametrize("length", [1, 8, 36, 63, 64, 65, 200])
def test_every_byte_counts(length):
    """Texts of one length that differ in a single byte, wherever it is, and in the salt."""
    plain = "a" * length
    different = [plain, *(plain[:place] + "b" + plain[place + 1 :] for place in range(length)), plain + "a", plain[:-1]]
    keys = unit_keys.of(pa.array(different), "salt")
    assert len(set(keys.high.tolist())) == len(set(keys.low.tolist())) == len(different)
    assert not set(keys.high.tolist()) & set(unit_keys.of(pa.array(different), "pepper").high.tolist())


def test_bits_are_spread():
    """Of 200,000 numbered ids no two share 64 bits, and each bit is set in half of them."""
    keys = unit_keys.of(pa.array([f"user_{number:06}" for number in range(200_000)]), "salt")
    for lane in keys:
        assert len(np.unique(lane)) == 200_000
        shares = [np.count_nonzero(lane & np.uint64(1 << bit)) / 200_000 for bit in range(64)]
        assert 0.49 < min(shares) <= max(shares) < 0.51


def test_slices_of_texts():
    """The same keys for texts that lie in the middle of an array."""
    every = pa.array(["first", "x", "second", "y" * 70, ""])
    whole, part = unit_keys.of(every, "salt"), unit_keys.of(every[2:], "salt")
    assert part.high.tolist() == whole.high.tolist()[2:]
    assert part.low.tolist() == whole.low.tolist()[2:]


@pytest.mark.parametrize("share", [0.001, 0.1, 1.0])
def test_natively_the_same_keys_are_found(monkeypatch, share):
    """Few and many, over the blocks of both ways, some sharing their first 64 bits."""
    monkeypatch.setattr(unit_keys, "_AT_ONCE", 64)
    random = np.random.default_rng(3)
    high, low = random.integers(0, 30_000, 20_000, np.uint64), random.integers(0, 3, 20_000, np.uint64)
    there = unit_keys.union([Keys(high, low)])
    wanted = unit_keys.union(
        [Keys(random.permutation(high)[: int(20_000 * share)], random.permutation(low)[: int(20_000 * share)])]
    )
    found = {}
    for switch in "10":
        monkeypatch.setenv("SHOPLAKE_NATIVE", switch)
        found[switch] = stored(there).has(wanted)
    assert found["1"].tolist() == found["0"].tolist()
    assert as_set(wanted.among(found["1"])) == as_set(wanted) & as_set(there)
    assert found["1"].any()
