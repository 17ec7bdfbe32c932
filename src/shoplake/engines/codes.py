"""A batch's rows as codes: each text is in memory once, in a dictionary, and its rows hold integers.

What follows the reading of files compares, counts and sorts millions of texts. On integers that costs a tenth.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shoplake.contract import EVENT_COLUMNS, FIELDS

Numbers = np.ndarray[Any, Any]
"""Integers or flags, one for each row, group or text."""

Mapper = Callable[[Callable[[Any], Any], Iterable[Any]], list[Any]]
"""Applies a function to values, several at once where there are threads for it; results come in their order."""

TEXTS = tuple(field.column for field in FIELDS if field.type == "string")
"""The text columns of events that are held as codes."""

_LONGEST = 64  # bytes of the texts that are compared as a few integers, at most
_MASKS = np.array([0, *(((1 << 8 * count) - 1) << (64 - 8 * count) for count in range(1, 9))], np.uint64)
_SPREAD = np.uint64(0x9E3779B97F4A7C15)  # odd and without a pattern, as multiplicative hashes want it
_HALF = np.uint64(32)
_MOST_BITS = 26


def encoded(rows: pa.Table) -> pa.Table:
    """Rows of events with each of :data:`TEXTS` that they have as one dictionary array, whatever they come as.

    A dictionary that comes with the rows must hold no text twice. Rows that are encoded already come back as they are.
    """
    columns = []
    for name, column in zip(rows.column_names, rows.columns, strict=True):
        if pa.types.is_dictionary(column.type):
            columns.append(column if column.num_chunks == 1 else column.unify_dictionaries().combine_chunks())
        elif name in TEXTS:
            columns.append(column.combine_chunks().dictionary_encode())
        else:
            columns.append(column)
    if any(pa.types.is_string(rows.schema.field(name).type) for name in TEXTS if name in rows.column_names):
        # DuckDB gives all columns of a result in one piece of memory: a number that is kept would keep the texts as well.
        columns = [column if pa.types.is_dictionary(column.type) else _copied(column) for column in columns]
    return pa.table(columns, names=rows.column_names)


def _copied(column: pa.ChunkedArray) -> pa.Array:
    return pa.concat_arrays([pa.array([], column.type), *column.chunks, pa.array([], column.type)])


def array(rows: pa.Table, name: str) -> pa.Array:
    """A column as one array."""
    column = rows.column(name)
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def codes(rows: pa.Table, name: str) -> Numbers:
    """The codes of an encoded text column; NULL's comes after those of the dictionary."""
    column = array(rows, name)
    indices = column.indices.cast(pa.int32())  # another type could be too small for NULL's
    numbers: Numbers = (indices.fill_null(len(column.dictionary)) if indices.null_count else indices).to_numpy()
    return numbers


def dictionary(rows: pa.Table, name: str) -> pa.StringArray:
    """The texts of an encoded column; some may be of no row."""
    return array(rows, name).dictionary


def microseconds(rows: pa.Table, name: str) -> Numbers:
    """A column of times, none of them NULL, as microseconds since 1970."""
    numbers: Numbers = array(rows, name).cast(pa.int64()).to_numpy()
    return numbers


def quantities(column: pa.Array) -> Numbers:
    """Quantities, -1 for NULL."""
    numbers: Numbers = (column.fill_null(-1) if column.null_count else column).to_numpy().astype(np.int64)
    return numbers


def cents(column: pa.Array) -> Numbers:
    """Prices in cents, exact, -1 for NULL."""
    if not len(column):
        return np.empty(0, np.int64)
    # A decimal128 is two words of eight bytes, the lower one first; twelve digits fit into that one.
    words = np.frombuffer(column.buffers()[1], np.int64)[2 * column.offset :: 2][: len(column)]
    return np.where(column.is_valid().to_numpy(zero_copy_only=False), words, -1) if column.null_count else words


@dataclass(frozen=True)
class Vocabulary:
    """The texts of several dictionaries together, so that codes of different files can be compared.

    Attributes:
        texts: Each once, in the order of their UTF-8 bytes, which is the order of every engine's ``min``.
        places: For each dictionary, by code, where in ``texts`` its text is; the last value is that of NULL, which comes
            after all texts.
    """

    texts: pa.StringArray
    places: tuple[Numbers, ...]

    @property
    def size(self) -> int:
        """How many codes there are, NULL's included."""
        return len(self.texts) + 1


def vocabulary(dictionaries: Sequence[pa.StringArray]) -> Vocabulary:
    """The texts of several dictionaries together."""
    entries = pa.concat_arrays([pa.array([], pa.string()), *dictionaries])
    order, starts = _sorted_by_words(entries) if _longest(entries) <= _LONGEST else _sorted_by_texts(entries)
    texts = entries.take(pa.array(order[starts]))
    places = np.empty(len(entries), np.int64)
    places[order] = np.cumsum(starts) - 1
    ends = np.cumsum([len(one) for one in dictionaries])
    return Vocabulary(texts, tuple(np.append(part, len(texts)) for part in np.split(places, ends)[:-1]))


def row_keys(rows: pa.Table) -> Numbers:
    """A number for each row of encoded events, always the same for equal events, whatever file they are in.

    It is made of time, user and session. Different events can have the same one; hardly any do.
    """
    keys = _mixed(microseconds(rows, "event_time").astype(np.uint64))
    for name in ("user_id", "session_id"):
        hashes = np.append(_hashes(dictionary(rows, name)), np.uint64(0))
        keys = _mixed(keys ^ hashes[codes(rows, name)])
    return keys


def repeated(arrays: Sequence[Numbers]) -> Numbers:
    """The keys that occur more than once in all arrays together, in order, each once."""
    ordered = np.sort(np.concatenate(arrays))
    twice: Numbers = ordered[1:][ordered[1:] == ordered[:-1]]
    return twice[_starts(twice)]


def members(keys: Numbers, wanted: Numbers) -> Numbers:
    """The positions of the keys that are among the wanted ones, which are in order."""
    if not len(wanted):
        return np.empty(0, np.int64)
    # Most keys are not. A look at their last bits tells it of nearly all of them.
    last = np.uint64((1 << min(len(wanted).bit_length() + 5, _MOST_BITS)) - 1)
    marked = np.zeros(int(last) + 1, bool)
    marked[wanted & last] = True
    near = np.flatnonzero(marked[keys & last])
    places = np.minimum(np.searchsorted(wanted, keys[near]), len(wanted) - 1)
    found: Numbers = near[wanted[places] == keys[near]]
    return found


def equal_rows(rows: pa.Table, order: Sequence[Numbers]) -> tuple[Numbers, Numbers]:
    """Which rows are equal, in all nine fields, to one that comes before: what ``sql/dedupe.sql`` says.

    Args:
        rows: Events, their texts as dictionaries or not.
        order: By what they are ordered: the most important numbers first, which together tell every row from the others.

    Returns:
        The rows that are equal to an earlier one, and for each the very first that it is equal to, by position.
    """
    fields = [_comparable(rows, name) for name in EVENT_COLUMNS]
    by = np.lexsort([*reversed(order), *fields])
    starts = np.zeros(len(by), bool)
    starts[:1] = True
    for field in fields:
        ordered = field[by]
        starts[1:] |= ordered[1:] != ordered[:-1]
    firsts = by[np.maximum.accumulate(np.where(starts, np.arange(len(by)), 0))]
    return by[~starts], firsts[~starts]


def _comparable(rows: pa.Table, name: str) -> Numbers:
    """A column as integers that are equal where its values are; NULL is -1, which no value of the contract is."""
    if name == "price":
        return cents(array(rows, name))
    if name == "quantity":
        return quantities(array(rows, name))
    if name == "event_time":
        return microseconds(rows, name)
    texts = array(rows, name)
    texts = texts.cast(pa.string()) if pa.types.is_dictionary(texts.type) else texts
    numbers: Numbers = texts.dictionary_encode().indices.fill_null(-1).to_numpy()
    return numbers


def _mixed(keys: Numbers) -> Numbers:
    keys = keys * _SPREAD
    mixed: Numbers = keys ^ (keys >> _HALF)
    return mixed


def _hashes(texts: pa.StringArray) -> Numbers:
    """A number for each text, made of its length and its first bytes: the same whatever other texts there are."""
    words, lengths = text_words(texts, _LONGEST)
    hashes: Numbers = lengths.astype(np.uint64)
    for place, word in enumerate(words):
        hashes = np.where(lengths > 8 * place, _mixed(hashes ^ word), hashes)
    return hashes


def _longest(texts: pa.StringArray) -> int:
    return int(pc.max(pc.binary_length(texts)).as_py() or 0)


def _sorted_by_words(texts: pa.StringArray) -> tuple[Numbers, Numbers]:
    """The order of texts, and in this order where another text begins; ten times as fast as comparing them.

    They are sorted by their first eight bytes. Those that share these are sorted by the next ones, if they differ there.
    """
    words, lengths = text_words(texts, _LONGEST, _common(texts))
    # Texts that differ only in zero bytes at their end have the same words; the shorter one comes first.
    first, *others = [key for key in (*words, lengths) if len(key) and key.min() != key.max()] or [lengths]
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
    return order, starts


def _sorted_by_texts(texts: pa.StringArray) -> tuple[Numbers, Numbers]:
    coded = texts.dictionary_encode()
    ranks = pc.rank(coded.dictionary, tiebreaker="dense").to_numpy()[coded.indices.to_numpy()]
    order = np.argsort(ranks)
    return order, _starts(ranks[order])


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


def text_words(texts: pa.StringArray, most: int, begin: int = 0) -> tuple[list[Numbers], Numbers]:
    """The bytes of texts as big-endian integers, filled up with zeros: they sort as the texts do.

    Args:
        texts: None is NULL.
        most: How many bytes of each to take, at most.
        begin: How many bytes of each to pass over.

    Returns:
        The first eight bytes of every text, the next eight and so on, and the lengths.
    """
    if not len(texts):
        return [], np.empty(0, np.int64)
    _, starts, octets = texts.buffers()
    offsets = np.frombuffer(starts, np.int32)[texts.offset : texts.offset + len(texts) + 1].astype(np.int64)
    lengths = np.diff(offsets)
    shortest, longest = int(lengths.min()), min(int(lengths.max()), most)
    padded = np.zeros(offsets[-1] - offsets[0] + most + 8, np.uint8)
    if octets is not None:
        padded[: offsets[-1] - offsets[0]] = np.frombuffer(octets, np.uint8)[offsets[0] : offsets[-1]]
    words = []
    for place in range(begin, longest, 8):
        if shortest == lengths.max():  # as of most ids: no place has to be looked up
            mask = _MASKS[min(shortest - place, 8)]
            words.append(np.ndarray((len(lengths),), ">u8", padded.data, place, (shortest,)).astype(np.uint64) & mask)
            continue
        everywhere = np.ndarray(
            (len(padded) - 7,), ">u8", padded.data, strides=(1,)
        )  # the eight bytes from each place on
        first = offsets[:-1] - offsets[0] + place
        mask = _MASKS[np.clip(lengths - place, 0, 8)]
        words.append(everywhere[np.minimum(first, len(everywhere) - 1)].astype(np.uint64) & mask)
    return words, lengths
