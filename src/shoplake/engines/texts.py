"""Hashes and ranks of the texts of an array: natively where the compiled library is, else the same in NumPy."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shoplake.engines.native import library
from shoplake.errors import FatalError

Numbers = np.ndarray[Any, Any]
"""Integers or flags, one for each row, group or text."""

LONGEST = 64
"""Bytes of a text that its hash is made of, at most; its length counts as well."""

_MASKS = np.array([0, *(((1 << 8 * count) - 1) << (64 - 8 * count) for count in range(1, 9))], np.uint64)
_FACTORS = (np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53))  # MurmurHash3's finalizer
_SHIFT = np.uint64(33)


def lengths(texts: pa.StringArray) -> Numbers:
    """How many bytes each text has."""
    return np.diff(_offsets(texts))


def hashes(texts: pa.StringArray, seed: int) -> Numbers:
    """A number of 64 bits for each text, made of its length and its first bytes: the same whatever other texts there are.

    Args:
        texts: Without NULL.
        seed: Other seeds give other numbers.
    """
    native = library.load()
    if native is not None:
        found = np.empty(len(texts), np.uint64)
        native.shoplake_hashes(*_pointers(texts), LONGEST, seed, found.ctypes.data)
        return found
    words, sizes = _words(texts, LONGEST)
    found = _mixed(sizes.astype(np.uint64) ^ np.uint64(seed))
    for place, word in enumerate(words):
        mixed, longer = _mixed(found ^ word), sizes > 8 * place
        found = mixed if longer.all() else np.where(longer, mixed, found)
    return found


def ranked(texts: pa.StringArray) -> tuple[Numbers, Numbers]:
    """The order of texts by their UTF-8 bytes.

    Args:
        texts: Without NULL.

    Returns:
        For each text its place among the different ones, and for each of these where it is, both as integers of 32 bits.
    """
    if not len(texts):
        return np.empty(0, np.int32), np.empty(0, np.int32)
    if int(lengths(texts).max()) > LONGEST:
        return _ranked_by_texts(texts)
    common = _common(texts)
    native = library.load()
    if native is None:
        return _ranked_by_words(texts, common)
    ranks, firsts = np.empty(len(texts), np.int32), np.empty(len(texts), np.int32)
    different = native.shoplake_rank(*_pointers(texts), common, ranks.ctypes.data, firsts.ctypes.data)
    if different < 0:
        raise FatalError("no memory to sort texts", remedy="Use a machine with more memory.")
    return ranks, firsts[:different].copy()


def _ranked_by_words(texts: pa.StringArray, common: int) -> tuple[Numbers, Numbers]:
    """By the first eight bytes; those that share these by the next ones, if they differ there."""
    words, sizes = _words(texts, LONGEST, common)
    # Texts that differ only in zero bytes at their end have the same words; the shorter one comes first.
    first, *others = [key for key in (*words, sizes) if len(key) and key.min() != key.max()] or [sizes]
    order = np.argsort(first)  # of single numbers: numpy sorts those ten times as fast as rows of several
    starts = _starts(first[order])
    for key in others:
        ordered = key[order]
        differing = np.flatnonzero(~starts[1:] & (ordered[1:] != ordered[:-1])) + 1
        if not len(differing):
            continue
        runs = np.cumsum(starts) - 1
        mixed = np.zeros(int(runs[-1]) + 1, bool)
        mixed[runs[differing]] = True
        places = np.flatnonzero(mixed[runs])
        order[places] = order[places][np.lexsort((ordered[places], runs[places]))]
        ordered = key[order]
        starts[1:] |= ordered[1:] != ordered[:-1]
    return _ranks(order, starts)


def _ranked_by_texts(texts: pa.StringArray) -> tuple[Numbers, Numbers]:
    coded = texts.dictionary_encode()
    ranks = pc.rank(coded.dictionary, tiebreaker="dense").to_numpy()[coded.indices.to_numpy()]
    order = np.argsort(ranks)
    return _ranks(order, _starts(ranks[order]))


def _ranks(order: Numbers, starts: Numbers) -> tuple[Numbers, Numbers]:
    ranks = np.empty(len(order), np.int32)
    ranks[order] = np.cumsum(starts) - 1
    return ranks, order[starts].astype(np.int32)


def _starts(ordered: Numbers) -> Numbers:
    """Where another value begins."""
    starts = np.ones(len(ordered), bool)
    starts[1:] = ordered[1:] != ordered[:-1]
    return starts


def _common(texts: pa.StringArray) -> int:
    """How many bytes all texts begin with that are the same."""
    ends = pc.min_max(texts)
    first, last = ((ends[name].as_py() or "").encode() for name in ("min", "max"))
    differing = (place for place, (one, other) in enumerate(zip(first, last, strict=False)) if one != other)
    return next(differing, min(len(first), len(last)))


def _words(texts: pa.StringArray, most: int, begin: int = 0) -> tuple[list[Numbers], Numbers]:
    """The bytes of texts as big-endian integers, filled up with zeros: they sort as the texts do.

    Args:
        texts: Without NULL.
        most: How many bytes of each to take, at most.
        begin: How many bytes of each to pass over.

    Returns:
        The first eight bytes of every text, the next eight and so on, and the lengths.
    """
    if not len(texts):
        return [], np.empty(0, np.int64)
    octets = texts.buffers()[2]
    offsets = _offsets(texts).astype(np.int64)
    sizes = np.diff(offsets)
    shortest, longest = int(sizes.min()), min(int(sizes.max()), most)
    padded = np.zeros(offsets[-1] - offsets[0] + most + 8, np.uint8)
    if octets is not None:
        padded[: offsets[-1] - offsets[0]] = np.frombuffer(octets, np.uint8)[offsets[0] : offsets[-1]]
    words = []
    for place in range(begin, longest, 8):
        if shortest == sizes.max():  # as of most ids: no place has to be looked up
            mask = _MASKS[min(shortest - place, 8)]
            words.append(np.ndarray((len(sizes),), ">u8", padded.data, place, (shortest,)).astype(np.uint64) & mask)
            continue
        everywhere = np.ndarray(
            (len(padded) - 7,), ">u8", padded.data, strides=(1,)
        )  # the eight bytes from each place on
        first = offsets[:-1] - offsets[0] + place
        mask = _MASKS[np.clip(sizes - place, 0, 8)]
        words.append(everywhere[np.minimum(first, len(everywhere) - 1)].astype(np.uint64) & mask)
    return words, sizes


def _offsets(texts: pa.StringArray) -> Numbers:
    return np.frombuffer(texts.buffers()[1], np.int32)[texts.offset : texts.offset + len(texts) + 1]


def _pointers(texts: pa.StringArray) -> tuple[ctypes.c_void_p, ctypes.c_void_p, int]:
    """The bytes of an array's texts, where each begins, and how many there are, as the library's functions take them."""
    _, offsets, octets = texts.buffers()
    data = ctypes.c_void_p(octets.address if octets is not None else None)
    return data, ctypes.c_void_p(offsets.address + 4 * texts.offset), len(texts)


def _mixed(keys: Numbers) -> Numbers:
    for factor in _FACTORS:
        keys = (keys ^ (keys >> _SHIFT)) * factor
    mixed: Numbers = keys ^ (keys >> _SHIFT)
    return mixed
