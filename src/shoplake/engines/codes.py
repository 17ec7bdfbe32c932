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
from shoplake.engines.texts import Numbers, hashes, ranked
from shoplake.lake import parquet

Mapper = Callable[[Callable[[Any], Any], Iterable[Any]], list[Any]]
"""Applies a function to values, several at once where there are threads for it; results come in their order."""

TEXTS = tuple(field.column for field in FIELDS if field.type == "string")
"""The text columns of events that are held as codes."""

_SPREAD = np.uint64(0x9E3779B97F4A7C15)  # odd and without a pattern, as multiplicative hashes want it
_HALF = np.uint64(32)
_MOST_BITS = 26


def encoded(rows: pa.Table) -> pa.Table:
    """Rows of events with each of :data:`TEXTS` that they have as one dictionary array, whatever they come as.

    So is ``extra`` where it has few different values. A dictionary that comes with the rows must hold no text twice. Rows that
    are encoded already come back as they are.
    """
    columns = []
    for name, column in zip(rows.column_names, rows.columns, strict=True):
        if pa.types.is_dictionary(column.type):
            columns.append(column if column.num_chunks == 1 else column.unify_dictionaries().combine_chunks())
        elif name in TEXTS:
            columns.append(column.combine_chunks().dictionary_encode())
        elif name == "extra":
            columns.append(pa.chunked_array([parquet.encoded_if_repeated(column.combine_chunks())]))
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


def gathered(values: Numbers, places: Numbers) -> Numbers:
    """The values at some places, given as integers of 32 bits; there must be such places.

    NumPy's own way would turn the places into integers of 64 bits first, in memory that each time is new.
    """
    found: Numbers = pc.take(pa.array(values), pa.array(places), boundscheck=False).to_numpy()
    return found


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
    ranks, firsts = ranked(entries)
    ends = np.cumsum([len(one) for one in dictionaries])
    null = np.int32(len(firsts))
    return Vocabulary(
        entries.take(pa.array(firsts)), tuple(np.append(part, null) for part in np.split(ranks, ends)[:-1])
    )


def row_keys(rows: pa.Table) -> Numbers:
    """A number for each row of encoded events, always the same for equal events, whatever file they are in.

    It is made of time, user and session. Different events can have the same one; hardly any do.
    """
    keys = _mixed(microseconds(rows, "event_time").astype(np.uint64))
    for name in ("user_id", "session_id"):
        of_texts = np.append(hashes(dictionary(rows, name), seed=0), np.uint64(0))
        keys = _mixed(keys ^ gathered(of_texts, codes(rows, name)))
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
    keys ^= keys >> _HALF
    return keys


def _starts(ordered: Numbers) -> Numbers:
    """Where another value begins."""
    starts = np.ones(len(ordered), bool)
    starts[1:] = ordered[1:] != ordered[:-1]
    return starts
