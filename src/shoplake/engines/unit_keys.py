"""Sets of users and sessions that can be compared without their texts: what makes the day's distinct counts cheap.

Beside each data file of a table of users or sessions lies the sorted set of its units, each as a number of 128 bits. A batch
that adds events looks up its own units in the day's sets, and the day's count grows by those that none of them has
(docs/adr/0019). Such a file may be missing, as where Spark wrote the data file: then the set is made from the texts.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import BinaryIO, NamedTuple, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shoplake.engines.codes import Mapper
from shoplake.engines.native import library
from shoplake.engines.texts import LONGEST, Numbers, hashes, lengths
from shoplake.errors import MissingFileError
from shoplake.lake import parquet
from shoplake.lake.parquet import NewFile
from shoplake.lake.snapshots import DataFile, TableSnapshot, keys_location

_MAGIC = b"shoplake unit keys 1"
_HEAD = 32  # bytes: the magic, then eight that tell the salt
_LANES = 4  # of sets that are looked up side by side
_AT_ONCE = 1 << 16  # keys that are searched while they are in the processor's cache
_STEP = 1 << 13  # keys of each set that are merged while they are in the processor's cache
_BUFFERS = 1 << 23  # keys that all sets together have in memory while they are merged: 128 MiB


class Keys(NamedTuple):
    """A set of units: sorted by the first 64 bits of their keys, then by the others.

    Attributes:
        high: The first 64 bits.
        low: The others.
    """

    high: Numbers
    low: Numbers

    def encoded(self, salt: str) -> bytes:
        """As it lies beside a data file."""
        return b"".join((_head(salt), self.high.tobytes(), self.low.tobytes()))

    def all(self) -> Keys:
        """The set itself, as of stored ones."""
        return self

    def part(self, start: int, count: int) -> Keys:
        """Some keys from a place on, as of stored ones; fewer at the end."""
        return self.among(slice(start, start + count))

    def in_order(self) -> Keys:
        """The keys, sorted."""
        keys = self.among(np.argsort(self.high))
        alike = np.flatnonzero(keys.high[1:] == keys.high[:-1])
        if (keys.low[alike] != keys.low[alike + 1]).any():
            return self.among(np.lexsort((self.low, self.high)))
        return keys

    def among(self, chosen: Numbers | slice) -> Keys:
        """Some of the keys, in their order."""
        return Keys(self.high[chosen], self.low[chosen])


def of(texts: pa.StringArray, salt: str) -> Keys:
    """The key of each text, in the order of the texts.

    Two hashes of 64 bits of all of its bytes: that any two of a billion texts share a key has a chance below 1 in 10**20.

    Args:
        texts: Without NULL.
        salt: Whatever is the lake's own: nobody who writes the data can choose texts that share a key without knowing it.
    """
    seeds = np.frombuffer(hashlib.blake2b(salt.encode(), digest_size=16).digest(), np.uint64)
    lanes = [hashes(texts, int(seed)) for seed in seeds]
    for position in np.flatnonzero(lengths(texts) > LONGEST).tolist():
        digest = hashlib.blake2b(texts[position].as_buffer(), digest_size=16, key=salt.encode()[:64]).digest()
        lanes[0][position], lanes[1][position] = np.frombuffer(digest, np.uint64)
    return Keys(*lanes)


def union(sets: Sequence[Keys]) -> Keys:
    """The keys of several collections together, each once, sorted."""
    high = np.concatenate([np.empty(0, np.uint64), *(keys.high for keys in sets)])
    low = np.concatenate([np.empty(0, np.uint64), *(keys.low for keys in sets)])
    high, low = Keys(high, low).in_order()
    first = np.ones(len(high), bool)
    first[1:] = (high[1:] != high[:-1]) | (low[1:] != low[:-1])
    return Keys(high[first], low[first])


class StoredKeys:
    """The set that lies beside one data file, read as far as it is needed."""

    def __init__(self, snapshot: TableSnapshot, file: DataFile | NewFile, without: Collection[datetime] = ()) -> None:
        """Nothing is read yet.

        Args:
            snapshot: Its table.
            file: The data file.
            without: Hours whose rows do not count.
        """
        self._storage, self._table, self._salt = snapshot.storage, snapshot.table, snapshot.uuid
        self._path, self._without = file.path, without
        self._made: Keys | None = None

    def all(self) -> Keys:
        """The whole set."""
        if self._made is None and (beside := self._beside()):
            with beside as stream:
                return Keys(stream.read(Space()), stream.read(Space()))
        return self._from_texts()

    def part(self, start: int, count: int) -> Keys:
        """Some keys from a place on, read without the others; fewer at the end."""
        if self._made is None and (beside := self._beside()):
            with beside as stream:
                return stream.part(start, count)
        return self._from_texts().part(start, count)

    def has(self, wanted: Keys, space: Space | None = None) -> Numbers:
        """Which of some keys are in the set. Half of the file is enough where none is.

        Args:
            wanted: The keys, sorted.
            space: What to read the set into, if not into memory of its own.
        """
        space = space or Space()
        if self._made is None and (beside := self._beside()):
            with beside as stream:
                return _found(wanted, stream.read(space), lambda: stream.read(space))
        keys = self._from_texts()
        return _found(wanted, keys.high, lambda: keys.low)

    def _beside(self) -> _Lane | None:
        """The file of keys, opened behind its head; None if it cannot be used."""
        if self._without:
            return None
        try:
            stream = self._storage.open(keys_location(self._path))
        except MissingFileError:
            return None
        size = stream.seek(0, os.SEEK_END) - _HEAD
        stream.seek(0)
        if stream.read(_HEAD) != _head(self._salt) or size % 16:
            stream.close()
            return None
        return _Lane(stream, size // 16)

    def _from_texts(self) -> Keys:
        if self._made is None:
            self._made = union([of(self._texts(), self._salt)])
        return self._made

    def _texts(self) -> pa.StringArray:
        table, unit = self._table, str(self._table.unit)
        content = self._storage.read(self._path)
        with parquet.reading(self._path):
            rows = parquet.read_together(table, [content], [unit, table.key] if self._without else [unit])
        if self._without:
            rows = rows.filter(pc.invert(parquet.among(rows.column(table.key), self._without)))
        texts = rows.column(unit).combine_chunks()
        return pc.unique(texts).cast(pa.string())


class Space:
    """Memory that one set after the other is read into: new memory each time would take longer than reading."""

    def __init__(self) -> None:
        """Empty so far."""
        self._numbers = np.empty(0, np.uint64)

    def of(self, count: int) -> Numbers:
        """Room for some numbers; what was there is overwritten."""
        if len(self._numbers) < count:
            self._numbers = np.empty(count, np.uint64)
        return self._numbers[:count]


class _Lane(NamedTuple):
    """A file of keys from which one half after the other is read."""

    stream: BinaryIO
    keys: int

    def read(self, space: Space) -> Numbers:
        """The next half."""
        return self._next(space.of(self.keys))

    def part(self, start: int, count: int) -> Keys:
        """Some keys from a place on; fewer at the end."""
        count = max(0, min(count, self.keys - start))
        halves = []
        for half in range(2):
            self.stream.seek(_HEAD + 8 * (half * self.keys + start))
            halves.append(self._next(np.empty(count, np.uint64)))
        return Keys(*halves)

    def _next(self, numbers: Numbers) -> Numbers:
        rest = numbers.view(np.uint8).data
        while len(rest):
            count = self.stream.readinto(rest)  # type: ignore[attr-defined]
            if not count:
                raise EOFError(f"{self.keys} keys were expected")
            rest = rest[count:]
        return numbers

    def __enter__(self) -> Self:
        """The file itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.stream.close()


def _found(wanted: Keys, high: Numbers, low: Callable[[], Numbers]) -> Numbers:
    """Which of some keys are in a set, of which the second half is asked for only if it is needed."""
    found = np.zeros(len(wanted.high), bool)
    here, there = [], []
    places = _places(wanted.high, high)
    near = np.flatnonzero(places >= 0)
    while len(near):  # one key may share its first half with several
        here.append(near)
        there.append(places[near])
        places[near] += 1
        near = near[places[near] < len(high)]
        near = near[high[places[near]] == wanted.high[near]]
    if here:
        candidates, stored = np.concatenate(here), np.concatenate(there)
        found[candidates[low()[stored] == wanted.low[candidates]]] = True
    return found


def _places(wanted: Numbers, stored: Numbers) -> Numbers:
    """Where in a sorted array the values of another one are, each at its first place; -1 for those that are not there."""
    places = np.full(len(wanted), -1, np.int64)
    if native := library.load():
        wanted, stored = np.ascontiguousarray(wanted), np.ascontiguousarray(stored)
        native.shoplake_find(stored.ctypes.data, len(stored), wanted.ctypes.data, len(wanted), places.ctypes.data)
        return places
    for start in range(0, len(stored), _AT_ONCE):
        block = stored[start : start + _AT_ONCE]
        first = int(np.searchsorted(wanted, block[0]))
        last = int(np.searchsorted(wanted, block[-1], side="right"))
        part = wanted[first:last]
        near = np.searchsorted(block, part)
        there = np.flatnonzero((block[near] == part) & (places[first:last] < 0))
        places[first + there] = start + near[there]
    return places


def count_new(wanted: Keys, stored: Sequence[StoredKeys], mapper: Mapper) -> int:
    """How many keys of a sorted set none of the stored ones has; those that are likely to have many come first."""

    def missing(some: Sequence[StoredKeys]) -> Numbers:
        left, space = np.arange(len(wanted.high)), Space()
        for one in some:
            left = left[~one.has(wanted.among(left), space)]
        return left

    nowhere = np.ones(len(wanted.high), bool)
    for left in mapper(missing, [stored[start::_LANES] for start in range(_LANES)]):
        there = np.ones(len(nowhere), bool)
        there[left] = False
        nowhere &= ~there
    return int(np.count_nonzero(nowhere))


def count(sets: Sequence[Keys | StoredKeys]) -> int:
    """How many different keys several sorted sets have together; stored ones are read once, a part at a time."""
    at_once = max(_BUFFERS // max(len(sets), 1), _STEP)
    runs = [_Run(keys, at_once) for keys in sets]
    total = 0
    while runs:
        limit = min((limit for run in runs if (limit := run.limit) is not None), default=None)
        total += len(union([run.take(limit) for run in runs]).high)
        runs = [run for run in runs if len(run.keys.high)]
    return total


class _Run:
    """A sorted set while it is merged with others."""

    def __init__(self, keys: Keys | StoredKeys, at_once: int) -> None:
        """Read its first keys."""
        self._set, self._at_once, self._read = keys, at_once, 0
        self.keys = Keys(np.empty(0, np.uint64), np.empty(0, np.uint64))
        self._more = True
        self._fill()

    @property
    def limit(self) -> int | None:
        """The first half of the last key of its next step; None if it needs no further one."""
        if not self._more and len(self.keys.high) <= _STEP:
            return None
        return int(self.keys.high[min(_STEP, len(self.keys.high)) - 1])

    def take(self, limit: int | None) -> Keys:
        """Its next keys: those whose first half is at most a limit, or all."""
        while self._more and (limit is None or self.keys.high[-1] <= limit):
            self._fill()
        high = self.keys.high
        end = len(high) if limit is None else int(np.searchsorted(high, np.uint64(limit), side="right"))
        taken, self.keys = self.keys.among(slice(end)), self.keys.among(slice(end, None))
        if self._more and len(self.keys.high) < _STEP:
            self._fill()
        return taken

    def _fill(self) -> None:
        new = self._set.part(self._read, self._at_once)
        self._read += len(new.high)
        self._more = len(new.high) == self._at_once
        self.keys = Keys(*(np.concatenate(halves) for halves in zip(self.keys, new, strict=True)))


def _head(salt: str) -> bytes:
    return _MAGIC.ljust(_HEAD - 8) + hashlib.blake2b(salt.encode(), digest_size=8).digest()
