"""Hashes and ranks of texts: the compiled library and NumPy give the same, and the ranks are those of the bytes."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoplake.engines import texts as of_texts
from shoplake.engines.native import library
from tests.native.support import needed

# Close to one another: shared beginnings, zero bytes at the ends, UTF-8, and lengths around whole words.
close = st.builds(
    lambda start, rest: start + rest, st.sampled_from(["", "a", "user_0000", "é" * 9]), st.text("a\0éz", max_size=9)
)
lists = st.lists(close, max_size=40)


@pytest.fixture(params=[pytest.param("native", marks=needed), "numpy"])
def path(request, monkeypatch) -> str:
    if request.param == "numpy":
        monkeypatch.setenv(library.SWITCH, "0")
    return request.param


def check_ranks(entries: list[str]) -> None:
    ranks, firsts = of_texts.ranked(pa.array(["before", *entries, "after"], pa.string())[1:-1])
    different = sorted({text.encode() for text in entries})
    assert [entries[place].encode() for place in firsts.tolist()] == different
    assert [different[rank] for rank in ranks.tolist()] == [text.encode() for text in entries]
    assert (ranks.dtype, firsts.dtype) == (np.int32, np.int32)


@settings(max_examples=200, deadline=None)
@given(lists)
def test_ranks_are_those_of_the_bytes(entries):
    check_ranks(entries)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(library.SWITCH, "0")
        check_ranks(entries)


@pytest.mark.parametrize("size", [8, 63, 64, 65, 100])
def test_many_that_differ_late(path, size):
    """Enough of them to be sorted by their bytes in turn, and texts that are too long for that."""
    rng = np.random.default_rng(size)
    entries = ["s" * (size - 3) + f"{number:03}" for number in rng.integers(0, 1000, 500).tolist()]
    check_ranks([*entries, "s" * (size - 3)])


@needed
@settings(max_examples=200, deadline=None)
@given(lists, st.integers(0, (1 << 64) - 1))
def test_hashes_are_the_same(entries, seed):
    """They are stored in lakes, so every way of making them is for ever."""
    texts = pa.array(["before", *entries, "x" * 70], pa.string())[1:]
    native = of_texts.hashes(texts, seed).tolist()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(library.SWITCH, "0")
        assert of_texts.hashes(texts, seed).tolist() == native


def test_hashes_of_old_lakes(path):
    """What version 1 of the files of keys holds."""
    found = of_texts.hashes(pa.array(["", "a", "user_000001", "3f2504e0-4f89-11d3-9a0c-0305e82c3301"]), 7)
    assert found.tolist() == [8360697188923789789, 9713207982541209238, 12228118601855357505, 13767108784628781920]
