"""Adds up the parts of an hour of users or sessions on codes: what ``lake.parts.select`` says in SQL, for maintenance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from shoplake.engines.aggregates import money
from shoplake.engines.codes import array, vocabulary
from shoplake.engines.texts import Numbers
from shoplake.lake.parquet import arrow_schema
from shoplake.lake.parts import combination
from shoplake.tables import MONEY, Table

_FITS = 1 << 62
_LATE = np.iinfo(np.int64).max
_FUNCTIONS: dict[str, Any] = {"sum": (np.add, 0), "min": (np.minimum, _LATE), "max": (np.maximum, -_LATE)}


def add_up_hour(table: Table, parts: Sequence[pa.Table]) -> pa.Table:
    """One row for each user or session of an hour, in their order.

    Args:
        table: A table of users or sessions.
        parts: The rows of its parts, all of one hour; texts as they are. At least one.
    """
    units = vocabulary([array(rows, str(table.unit)) for rows in parts])
    places = [of_part[:-1] for of_part in units.places]  # the last one is NULL's, which no unit is
    size = len(units.texts)
    schema = arrow_schema(table).remove_metadata()
    columns = []
    for column in table.columns:
        values = [array(rows, column.name) for rows in parts]
        if column.name == table.unit:
            columns.append(units.texts)
        elif column.name == table.key:
            columns.append(pa.repeat(values[0][0], size).cast(schema.field(column.name).type))
        elif column.type == "string":
            columns.append(_first_texts(values, places, size))
        elif column.type == MONEY:
            columns.append(money(_sums([_cents(one) for one in values], places, size)))
        else:
            numbers = [one.cast(pa.int64()).to_numpy() for one in values]
            combined = _combined(numbers, places, size, combination(column.name))
            columns.append(pa.array(combined).cast(schema.field(column.name).type))
    return pa.table(columns, schema=schema)


def _combined(values: Sequence[Numbers], places: Sequence[Numbers], size: int, function: str) -> Numbers:
    """Integers of all parts as one for each unit."""
    combine, start = _FUNCTIONS[function]
    found = np.full(size, start, np.int64)
    for of_part, at in zip(values, places, strict=True):
        combine.at(found, at, of_part)
    return found


def _first_texts(values: Sequence[pa.StringArray], places: Sequence[Numbers], size: int) -> pa.DictionaryArray:
    """The first of each unit's texts, by their bytes."""
    coded = [texts.dictionary_encode() for texts in values]
    names = vocabulary([one.dictionary for one in coded])
    ranks = [of_part[one.indices.to_numpy()].astype(np.int64) for of_part, one in zip(names.places, coded, strict=True)]
    first = _combined(ranks, places, size, "min")
    return pa.DictionaryArray.from_arrays(pa.array(first.astype(np.int32)), names.texts).cast(pa.string())


def _sums(values: Sequence[Numbers], places: Sequence[Numbers], size: int) -> Numbers:
    """Sums of cents, in Python's integers where 64 bits might not do."""
    most = sum(int(abs(of_part).max(initial=0)) for of_part in values)
    kind = object if most >= _FITS or any(of_part.dtype == object for of_part in values) else np.int64
    found: Numbers = np.zeros(size, kind)
    for of_part, at in zip(values, places, strict=True):
        np.add.at(found, at, of_part.astype(kind, copy=False))
    return found


def _cents(column: pa.Array) -> Numbers:
    """Sums of money in cents; Python's integers where one of them needs more than 64 bits."""
    # A decimal128 is two words of eight bytes, the lower one first.
    words = np.frombuffer(column.buffers()[1], np.int64)[2 * column.offset :][: 2 * len(column)].reshape(-1, 2)
    if (words[:, 1] == words[:, 0] >> 63).all():
        return words[:, 0].copy()
    unsigned = (1 << 64) - 1
    return np.array([(high << 64) + (low & unsigned) for low, high in words.tolist()], object)
