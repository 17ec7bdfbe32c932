"""The native reader of one source file: takes plain lines into Arrow columns, and leaves all others."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shoplake.contract import EVENT_TYPES, FIELDS
from shoplake.engines.native import library
from shoplake.errors import FatalError
from shoplake.lake import parquet

_Array = np.ndarray[Any, Any]
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - times of the lake are UTC without a zone
_TEXTS = tuple(place for place, field in enumerate(FIELDS) if field.type == "string" and field.name != "event_type")
_DTYPES = {"timestamp": np.int64, "int": np.int32, "decimal(12,2)": np.int64}
# Places of results beside the columns, as plain.c numbers them.
_OFFSETS, _DATA, _LEFT, _LEFT_BYTES, _KEY_COUNTS, _KEY_OFFSETS, _KEY_DATA = 10, 20, 30, 31, 32, 33, 34
_EXTRA_ROWS, _EXTRA_ENDS, _EXTRA_DATA = 35, 36, 37
_AT_ONCE = 10_000


@dataclass(frozen=True)
class Left:
    """The lines that were not taken, packed.

    Attributes:
        numbers: Their numbers in the file, from 1.
        ranks: How many lines were taken before each.
        ends: Where the bytes of each end in ``data``.
        sizes: Bytes that each has in the file; more than are here for a line over the bound.
        data: Their bytes.
    """

    numbers: _Array
    ranks: _Array
    ends: _Array
    sizes: _Array
    data: memoryview

    def __len__(self) -> int:
        """How many there are."""
        return len(self.numbers)

    def __iter__(self) -> Iterator[tuple[int, bytes, int]]:
        """Each of them: number, bytes and size. The bytes are copied one line at a time: all at once may be too many."""
        begin = 0
        for start in range(0, len(self), _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            places = (values[part].tolist() for values in (self.numbers, self.ends, self.sizes))
            for number, end, size in zip(*places, strict=True):
                yield number, bytes(self.data[begin:end]), size
                begin = end


class PlainReader:
    """Takes the bytes of one inflated file, in blocks of any size.

    Not for several threads at once; different readers run side by side, without the GIL.
    """

    def __init__(self, latest: datetime, longest_line: int) -> None:
        """Start a file.

        Args:
            latest: The latest time that an event may have, UTC without a zone.
            longest_line: Bytes of the longest line that is read; of a longer one the first bytes are kept.
        """
        loaded = library.load()
        if loaded is None:
            raise RuntimeError(library.available().reason)
        required = (ctypes.c_uint16 * len(EVENT_TYPES))(
            *(
                sum(1 << place for place, field in enumerate(FIELDS) if name in field.present_for)
                for name in EVENT_TYPES
            )
        )
        microseconds = (latest - _EPOCH) // timedelta(microseconds=1)
        # The seed keeps whoever writes the data from choosing texts whose hashes collide.
        seed = int.from_bytes(os.urandom(8), "little")
        self._memory = _Memory(loaded, loaded.shoplake_open(microseconds, longest_line, seed, required))

    def feed(self, block: ctypes.Array[ctypes.c_char], count: int) -> None:
        """Take the next bytes: the first ``count`` of a block, which is free for others afterwards."""
        self._memory.call("feed", block, count)

    def finish(self) -> Left:
        """The file has ended: what was not taken. It is gone once :meth:`rows` was asked."""
        self._memory.call("finish")
        lines = self._memory.array(_LEFT, np.int64).reshape(-1, 4)
        numbers, ranks, ends, sizes = lines.T
        return Left(numbers, ranks, ends, sizes, memoryview(self._memory.buffer(_LEFT_BYTES)))

    @property
    def taken(self) -> int:
        """How many lines were taken."""
        return int(self._memory.call("rows"))

    def unknown_keys(self) -> dict[str, int]:
        """In how many lines that were taken each key stands that the contract does not know."""
        counts = self._memory.array(_KEY_COUNTS, np.int64).tolist()
        keys = self._memory.strings(_KEY_OFFSETS, _KEY_DATA).to_pylist()
        return dict(zip(keys, counts, strict=True))

    def rows(self, others: pa.Table, ranks: _Array) -> pa.Table:
        """All accepted rows in the order of the lines. Nothing else can be asked afterwards.

        Args:
            others: Rows that the exact reader made of left lines, their texts not yet encoded.
            ranks: How many lines were taken before each of them.

        Returns:
            One chunk for each column. Texts are dictionaries: codes of 32 bits, of 8 for ``event_type``, whose dictionary
            is the contract's; ``extra`` is one where it has few different values.
        """
        places = range(len(FIELDS))
        coded = {place: self._codes(place, others) for place in places} if len(ranks) else {}
        names = [field.column for field in FIELDS]
        columns = [self._column(place, coded.get(place), ranks) for place in places]
        extra = self._extra(others.column("extra"), ranks)
        self._memory.call("trim")
        return pa.table([*columns, extra], names=[*names, "extra"])

    def _codes(self, place: int, others: pa.Table) -> _Array:
        """A column of other rows as plain.c keeps it: texts as codes of its dictionary."""
        field = FIELDS[place]
        column = others.column(field.column).combine_chunks()
        if field.name == "event_type":
            return pc.index_in(column, pa.array(EVENT_TYPES)).to_numpy().astype(np.int8)  # type: ignore[no-any-return]
        if place in _TEXTS:
            found = np.empty(len(column), np.int32)
            present = column.drop_null().cast(pa.string())
            codes = np.empty(len(present), np.int32)
            _, offsets, data = pa.concat_arrays([present]).buffers()
            address = ctypes.c_void_p(data.address if data is not None else None)
            self._memory.call("intern", place, address, ctypes.c_void_p(offsets.address), len(present), codes.ctypes)
            valid = column.is_valid().to_numpy(zero_copy_only=False)
            found[~valid] = -1
            found[valid] = codes
            return found
        if field.type == "decimal(12,2)":
            cents = pc.multiply(column.cast(pa.decimal128(18, 2)), pa.scalar(100)).cast(pa.int64())
            return cents.fill_null(-1).to_numpy()  # type: ignore[no-any-return]
        return column.cast(pa.int64()).fill_null(0).to_numpy().astype(_DTYPES[field.type])  # type: ignore[no-any-return]

    def _column(self, place: int, others: _Array | None, ranks: _Array) -> pa.Array:
        field = FIELDS[place]
        kind = np.int8 if field.name == "event_type" else _DTYPES.get(field.type, np.int32)
        values = self._memory.array(place, kind)
        if others is not None:
            values = np.insert(values, ranks, others)
        if field.name == "event_type":
            return pa.DictionaryArray.from_arrays(pa.array(values), pa.array(EVENT_TYPES))
        if field.type == "timestamp":
            return pa.array(values).view(pa.timestamp("us"))
        valid = _bits(values > 0 if field.type == "int" else values >= 0)
        if place in _TEXTS:
            codes = pa.Array.from_buffers(pa.int32(), len(values), [valid, pa.py_buffer(values)])
            texts = self._memory.strings(_OFFSETS + place, _DATA + place)
            return pa.DictionaryArray.from_arrays(codes, texts, safe=False)
        if field.type == "int":
            return pa.Array.from_buffers(pa.int32(), len(values), [valid, pa.py_buffer(values)])
        wide = np.zeros((len(values), 2), np.int64)
        wide[:, 0] = values
        return pa.Array.from_buffers(pa.decimal128(12, 2), len(values), [valid, pa.py_buffer(wide)])

    def _extra(self, others: pa.ChunkedArray, ranks: _Array) -> pa.Array:
        rows, ends = self._memory.array(_EXTRA_ROWS, np.int64), self._memory.array(_EXTRA_ENDS, np.int64)
        if not len(rows) and others.null_count == len(others):
            return pa.nulls(self.taken + len(others), pa.string())
        lengths = np.zeros(self.taken + 1, np.int64)
        lengths[rows + 1] = np.diff(ends, prepend=0)
        buffers = [
            _bits(lengths[1:] > 0),
            pa.py_buffer(np.cumsum(lengths).astype(np.int32)),
            self._memory.buffer(_EXTRA_DATA),
        ]
        extra = pa.Array.from_buffers(pa.string(), self.taken, buffers)
        if len(ranks):
            order = np.insert(np.arange(self.taken), ranks, self.taken + np.arange(len(ranks)))
            extra = pa.concat_arrays([extra, *others.chunks]).take(pa.array(order))
        repeated = parquet.encoded_if_repeated(extra)
        if repeated is not extra:
            return repeated
        return pa.concat_arrays([extra, extra[:0]])  # a copy, since the bytes themselves are freed


class _Memory:
    """The C reader and what it has allocated, freed once nothing in Python refers to it."""

    def __init__(self, loaded: ctypes.CDLL, handle: int | None) -> None:
        self._library, self._handle = loaded, handle
        if handle is None:
            raise _no_memory()

    def __del__(self) -> None:
        self._library.shoplake_free(self._handle)

    def call(self, name: str, *arguments: Any) -> Any:
        """Call a function; those that give a number below 0 had no memory."""
        result = getattr(self._library, f"shoplake_{name}")(self._handle, *arguments)
        if result is not None and result < 0:
            raise _no_memory()
        return result

    def buffer(self, what: int) -> pa.Buffer:
        """One result, where it lies."""
        address = ctypes.c_void_p()
        size = self.call("view", what, ctypes.byref(address))
        return pa.foreign_buffer(address.value, size, self) if size else pa.py_buffer(b"")

    def array(self, what: int, kind: Any) -> _Array:
        """One result as numbers."""
        return np.frombuffer(self.buffer(what), kind)

    def strings(self, offsets: int, data: int) -> pa.Array:
        """Two results as texts."""
        buffers = [None, self.buffer(offsets), self.buffer(data)]
        return pa.Array.from_buffers(pa.string(), buffers[1].size // 4 - 1, buffers)


def _bits(flags: _Array) -> pa.Buffer | None:
    """Flags as Arrow's validity, None where all are true."""
    return None if flags.all() else pa.py_buffer(np.packbits(flags, bitorder="little"))


def _no_memory() -> FatalError:
    return FatalError("no memory to read a source file", remedy="Use fewer threads, or a machine with more memory.")
