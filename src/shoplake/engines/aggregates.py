"""The gold tables from codes: what ``sql/gold_*.sql`` says, to which a test holds this."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa

from shoplake.contract import EVENT_TYPES
from shoplake.engines import unit_keys
from shoplake.engines.codes import (
    Mapper,
    Vocabulary,
    array,
    cents,
    codes,
    dictionary,
    gathered,
    microseconds,
    quantities,
    vocabulary,
)
from shoplake.engines.native import library
from shoplake.engines.texts import Numbers
from shoplake.engines.unit_keys import Keys
from shoplake.lake.parquet import arrow_schema
from shoplake.tables import PRODUCT_HOURLY, SESSION_HOURLY, USER_HOURLY, Table

COLUMNS = ("event_time", "user_id", "session_id", "event_type", "product_id", "category", "quantity", "price")
"""The columns of events that gold is made of."""

_UNITS = {SESSION_HOURLY: ("session_id",), USER_HOURLY: ("user_id",), PRODUCT_HOURLY: ("product_id", "category")}
_KEYS = tuple(name for names in _UNITS.values() for name in names)
_COUNTS = {
    "page_views": EVENT_TYPES.index("page_view"),
    "add_to_carts": EVENT_TYPES.index("add_to_cart"),
    "removes_from_cart": EVENT_TYPES.index("remove_from_cart"),
    "purchases": EVENT_TYPES.index("purchase"),
    "searches": EVENT_TYPES.index("search"),
}
_KINDS = len(EVENT_TYPES) + 1  # the last one is for whatever else there may be
_HOUR_US = 3_600_000_000
_FITS = 1 << 62
_ONE = np.int32(1)  # of the type of the counts: adding another one takes ten times as long
_LATE = np.iinfo(np.int64).max
_DENSE = 8  # groups for each event: fewer are kept in an array with a place for each, more are sorted
_MOST_DENSE = np.iinfo(np.int32).max


@dataclass(frozen=True)
class _Events:
    """The events of one file that count.

    Attributes:
        rows: The events, encoded; only times and the texts by which they are grouped.
        hours: The place of each one's hour among those that are computed; one number if all are of the same hour.
        kinds: The place of each one's type in the contract.
        purchases: The positions of the purchases.
        pieces: The quantity of each of these.
        paid: Its quantity x price in cents; Python's integers where 64 bits might not do.
    """

    rows: pa.Table
    hours: Numbers | int
    kinds: Numbers
    purchases: Numbers
    pieces: Numbers
    paid: Numbers


@dataclass(frozen=True)
class _Figures:
    """Figures of groups of events; each array has one place for each group.

    Attributes:
        counts: Events by type: a row for each group, a column for each type.
        pieces: Pieces sold.
        paid: Revenue in cents; Python's integers where 64 bits might not do.
        first: Earliest time; only for sessions, as the others.
        last: Latest time.
        user: The place of the first user by name.
    """

    counts: Numbers
    pieces: Numbers
    paid: Numbers
    first: Numbers
    last: Numbers
    user: Numbers

    @classmethod
    def none(cls, groups: int, money: type, *, spans: bool) -> _Figures:
        """Figures of groups without events; with or without times and users."""
        late = np.full(groups if spans else 0, _LATE)
        user = np.full(len(late), np.iinfo(np.int32).max, np.int32)
        counts = np.zeros((groups, _KINDS), np.int32)
        return cls(counts, np.zeros(groups, np.int64), np.zeros(groups, money), late, np.zeros_like(late), user)

    def add(self, events: _Events, groups: Numbers, users: Numbers | None) -> None:
        """Count events.

        Args:
            events: Which.
            groups: The group of each, as integers of 32 bits, as those of ``users``.
            users: The place of each one's user; None for figures without times and users.
        """
        sold = groups[events.purchases].astype(np.int64)
        np.add.at(self.pieces, sold, events.pieces)
        np.add.at(self.paid, sold, events.paid.astype(self.paid.dtype, copy=False))
        moments = None if users is None else microseconds(events.rows, "event_time")
        native = library.load()
        if native is not None:
            inputs = (groups, events.kinds, moments, users)
            outputs = (self.counts, self.first, self.last, self.user)
            native.shoplake_add_up(len(groups), *(_address(values) for values in (*inputs, *outputs)))
            return
        groups = groups.astype(np.int64)
        np.add.at(self.counts.reshape(-1), groups * _KINDS + events.kinds, _ONE)
        if moments is not None and users is not None:
            np.minimum.at(self.first, groups, moments)
            np.maximum.at(self.last, groups, moments)
            np.minimum.at(self.user, groups, users)

    def of(self, groups: Numbers | slice) -> _Figures:
        """The figures of some of the groups."""
        arrays = (getattr(self, field.name) for field in fields(self))
        return _Figures(*(values[groups] if len(values) else values for values in arrays))


class HourlyGold:
    """The gold of some hours."""

    def __init__(self, parts: Sequence[Callable[[], pa.Table]], hours: Collection[datetime], mapper: Mapper) -> None:
        """Compute it.

        Args:
            parts: Each gives events, encoded, with :data:`COLUMNS` at least, and is asked once, since not all of it stays in
                memory; events of other hours do not count.
            hours: Starts of the hours, UTC without a zone; at least one.
            mapper: Spreads the work over threads.
        """
        self._hours = sorted(hours)
        self._mapper = mapper
        seconds = [int(hour.replace(tzinfo=UTC).timestamp()) for hour in self._hours]
        self._starts = np.array(seconds, np.int64) * 1_000_000
        self._events = [one for one in mapper(self._counted, parts) if one is not None]
        texts = mapper(vocabulary, [[dictionary(one.rows, name) for one in self._events] for name in _KEYS])
        self._texts: dict[str, Vocabulary] = dict(zip(_KEYS, texts, strict=True))
        self._groups = dict(zip(_UNITS, mapper(self._grouped, _UNITS), strict=True))

    def rows(self, table: Table) -> list[tuple[datetime, pa.Table]]:
        """The rows of an hourly table, in its order, for each hour that has any."""
        keys, figures = self._groups[table]
        hours, *places = self._parts(table, keys)
        columns: dict[str, Any] = {"event_hour": _times(self._starts[hours])}
        if table is SESSION_HOURLY:
            columns["user_id"] = self._as_texts("user_id", figures.user)
            columns["first_event_time"], columns["last_event_time"] = _times(figures.first), _times(figures.last)
        for name, place in zip(_UNITS[table], places, strict=True):
            columns[name] = self._as_texts(name, place, each_once=len(self._hours) == len(places) == 1)
        columns |= {name: figures.counts[:, kind].astype(np.int64) for name, kind in _COUNTS.items()}
        columns["events"] = figures.counts.sum(axis=1, dtype=np.int64)
        columns |= {"units_sold": figures.pieces, "revenue": money(figures.paid)}
        rows = pa.table({name: columns[name] for name in table.column_names})
        ends = np.searchsorted(hours, np.arange(len(self._hours) + 1)).tolist()
        return [
            (hour, rows.slice(start, end - start))
            for hour, start, end in zip(self._hours, ends[:-1], ends[1:], strict=True)
            if end > start
        ]

    def keys(self, table: Table, salt: str) -> list[Keys]:
        """The units of a table of users or sessions for each hour of :meth:`rows`, as sorted keys."""
        (unit,) = _UNITS[table]
        every = unit_keys.of(self._texts[unit].texts, salt)
        hours, places = self._parts(table, self._groups[table][0])
        hour_of_each = np.split(places, np.flatnonzero(np.diff(hours)) + 1) if len(places) else []
        return self._mapper(lambda of_hour: every.among(of_hour).in_order(), hour_of_each)

    def _counted(self, part: Callable[[], pa.Table]) -> _Events | None:
        """The events of the hours that are computed; None if there are none."""
        rows = part()
        if not rows.num_rows:
            return None
        moments = microseconds(rows, "event_time")
        first, last = int(moments.min()) // _HOUR_US * _HOUR_US, int(moments.max()) // _HOUR_US * _HOUR_US
        if first == last:
            place = int(np.searchsorted(self._starts, first))
            return _events(rows, place) if first in self._starts[place : place + 1] else None
        hours = moments // _HOUR_US * _HOUR_US
        places = np.minimum(np.searchsorted(self._starts, hours), len(self._starts) - 1)
        inside = self._starts[places] == hours
        if not inside.all():
            rows, places = rows.filter(pa.array(inside)), places[inside]
        return _events(rows, places) if rows.num_rows else None

    def _grouped(self, table: Table) -> tuple[Numbers, _Figures]:
        """The groups of an hourly table in their order, as keys, and their figures."""
        events = self._events
        size = math.prod(self._shape(table))
        exact = any(one.paid.dtype == object for one in events)
        exact = exact or sum(int(one.paid.max(initial=0)) * len(one.paid) for one in events) >= _FITS
        few = size <= min(_DENSE * sum(one.rows.num_rows for one in events) + 100_000, _MOST_DENSE)
        groups: Iterable[Numbers]
        if few:
            keys, groups = np.arange(size), (self._keys(table, part) for part in range(len(events)))
        else:
            every = [self._keys(table, part) for part in range(len(events))]
            keys, places = np.unique(np.concatenate([np.empty(0, np.int64), *every]), return_inverse=True)
            groups = np.split(places.astype(np.int32), np.cumsum([len(of_part) for of_part in every]))
        figures = _Figures.none(len(keys), object if exact else np.int64, spans=table is SESSION_HOURLY)
        for part, (one, of_part) in enumerate(zip(events, groups, strict=False)):
            figures.add(one, of_part, self._places("user_id", part) if table is SESSION_HOURLY else None)
        there = np.flatnonzero(figures.counts.any(axis=1))
        if len(there) and there[-1] - there[0] == len(there) - 1:  # as ever, but for NULL: nothing has to be copied
            whole = slice(int(there[0]), int(there[-1]) + 1)
            return keys[whole], figures.of(whole)
        return keys[there], figures.of(there)

    def _keys(self, table: Table, part: int) -> Numbers:
        """The group of each event of a file: the places of its hour and of its unit's texts, as one number."""
        hours, places = self._events[part].hours, [self._places(name, part) for name in _UNITS[table]]
        if len(self._hours) == 1 and len(places) == 1:
            return places[0]
        columns = [np.broadcast_to(hours, len(places[0])), *places]
        shape = self._shape(table)
        keys: Numbers = np.ravel_multi_index(columns, shape)
        return keys.astype(np.int32) if math.prod(shape) <= _MOST_DENSE else keys

    def _parts(self, table: Table, keys: Numbers) -> Sequence[Numbers]:
        """What :meth:`_keys` makes one number of: the places of hours, and those of each text."""
        if len(self._hours) == 1 and len(_UNITS[table]) == 1:
            return np.broadcast_to(0, len(keys)), keys
        return np.unravel_index(keys, self._shape(table))

    def _places(self, name: str, part: int) -> Numbers:
        """The place of each event's text among all."""
        return gathered(self._texts[name].places[part], codes(self._events[part].rows, name))

    def _shape(self, table: Table) -> tuple[int, ...]:
        """How many values the hour and the unit's texts can have; NULL is one."""
        return (len(self._hours), *(self._texts[name].size for name in _UNITS[table]))

    def _as_texts(self, name: str, places: Numbers, *, each_once: bool = False) -> pa.Array:
        texts = self._texts[name].texts
        if each_once and len(places) and int(places[-1]) - int(places[0]) == len(places) - 1 < len(texts):
            return texts.slice(int(places[0]), len(places))  # no dictionary of texts that are of one row each
        missing = places == len(texts)
        indices = pa.array(places.astype(np.int32), mask=missing if missing.any() else None)
        return pa.DictionaryArray.from_arrays(indices, texts)


def _events(rows: pa.Table, hours: Numbers | int) -> _Events:
    texts = dictionary(rows, "event_type").to_pylist()
    numbers = [EVENT_TYPES.index(text) if text in EVENT_TYPES else _KINDS - 1 for text in [*texts, None]]
    kinds = gathered(np.array(numbers, np.int8), codes(rows, "event_type"))
    purchases = np.flatnonzero(kinds == _COUNTS["purchases"])
    pieces = np.maximum(quantities(array(rows, "quantity").take(pa.array(purchases))), 0)
    prices = np.maximum(cents(array(rows, "price").take(pa.array(purchases))), 0)
    rows = rows.select(["event_time", *_KEYS])
    if int(pieces.max(initial=0)) * int(prices.max(initial=0)) >= _FITS:
        return _Events(rows, hours, kinds, purchases, pieces, pieces.astype(object) * prices.astype(object))
    return _Events(rows, hours, kinds, purchases, pieces, pieces * prices)


def _address(values: Numbers | None) -> Any:
    return None if values is None else values.ctypes.data


def _times(moments: Numbers) -> pa.Array:
    return pa.array(moments, pa.int64()).cast(pa.timestamp("us"))


def money(paid: Numbers) -> pa.Array:
    """Cents, not below 0, as decimals with two places: two words of eight bytes each, the lower one first."""
    words = np.empty((len(paid), 2), np.int64)
    if paid.dtype == object:
        words[:, 0] = [(value & ((1 << 63) - 1)) - (value & (1 << 63)) for value in paid]
    else:
        words[:, 0] = paid
    words[:, 1] = [value >> 64 for value in paid] if paid.dtype == object else 0
    kind = arrow_schema(USER_HOURLY).field("revenue").type
    return pa.Array.from_buffers(kind, len(paid), [None, pa.py_buffer(words)])
