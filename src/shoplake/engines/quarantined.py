"""Lines that break the contract, packed: a line costs its bytes and a few more, not a Python object of ten times the size.

In an hour of which one key was renamed every line is such a line, and all are in memory until the batch has ended.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import overload

import pyarrow as pa

_SCHEMA = pa.schema(
    [("line_number", pa.int64()), ("raw", pa.binary()), ("reasons", pa.dictionary(pa.int32(), pa.string()))]
)
_TOGETHER = 10_000


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A line that breaks the contract, with all that is needed to correct and replay it.

    Attributes:
        line_number: From 1, blank lines counted.
        raw: The bytes as they came, without the newline.
        reasons: Codes of every rule it breaks.
    """

    line_number: int
    raw: bytes
    reasons: tuple[str, ...]


class QuarantinedLines(Sequence[Quarantined]):
    """The quarantined lines of one source file, in the order of their numbers; each is unpacked when it is asked for."""

    def __init__(self, rows: pa.Table | None = None) -> None:
        """No lines; or packed ones, from the methods below."""
        self._rows = rows

    @property
    def rows(self) -> pa.Table:
        """All of them packed: ``line_number``, ``raw`` and ``reasons``, which are codes joined by commas."""
        if self._rows is None:
            self._rows = _SCHEMA.empty_table()
        return self._rows

    @classmethod
    def of(cls, lines: Iterable[Quarantined]) -> QuarantinedLines:
        """Pack lines."""
        all_lines = list(lines)
        return cls.packed(
            [line.line_number for line in all_lines],
            [line.raw for line in all_lines],
            pa.array([",".join(line.reasons) for line in all_lines], pa.string()),
        )

    @classmethod
    def packed(cls, numbers: Sequence[int], raw: Sequence[bytes], reasons: pa.StringArray) -> QuarantinedLines:
        """Pack the columns of lines; the reasons of each are codes joined by commas."""
        columns = [pa.array(numbers, pa.int64()), pa.array(raw, pa.binary()), reasons.dictionary_encode()]
        return cls(pa.table(columns, schema=_SCHEMA))

    @classmethod
    def joined(cls, parts: Iterable[QuarantinedLines]) -> QuarantinedLines:
        """The lines of several parts of a file, one after the other."""
        return cls(pa.concat_tables([_SCHEMA.empty_table(), *(part.rows for part in parts)]))

    def __len__(self) -> int:
        """How many lines."""
        return int(self.rows.num_rows)

    def __iter__(self) -> Iterator[Quarantined]:
        """Each line in turn."""
        for batch in self.rows.to_batches(max_chunksize=_TOGETHER):
            for number, raw, codes in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                yield Quarantined(number, raw, _codes(codes))

    @overload
    def __getitem__(self, position: int) -> Quarantined: ...
    @overload
    def __getitem__(self, position: slice) -> QuarantinedLines: ...
    def __getitem__(self, position: int | slice) -> Quarantined | QuarantinedLines:
        """A line, or some that follow each other."""
        if isinstance(position, slice):
            start, stop, step = position.indices(len(self))
            return QuarantinedLines(self.rows.take(pa.array(range(start, stop, step), pa.int64())))
        place = range(len(self))[position]
        number, raw, codes = (column[place].as_py() for column in self.rows.columns)
        return Quarantined(number, raw, _codes(codes))

    def only(self, wanted: Sequence[bool]) -> QuarantinedLines:
        """Those of the lines for which a flag is true."""
        return QuarantinedLines(self.rows.filter(pa.array(wanted, pa.bool_())))

    def by_reason(self) -> Counter[str]:
        """How many lines have each reason; a line may have several."""
        import numpy as np

        counted: Counter[str] = Counter()
        for chunk in self.rows.column("reasons").chunks:
            times = np.bincount(chunk.indices.to_numpy(), minlength=len(chunk.dictionary))
            for codes, number in zip(chunk.dictionary.to_pylist(), times.tolist(), strict=True):
                counted.update(dict.fromkeys(_codes(codes), number) if number else {})
        return counted

    def batches(self, most_bytes: int) -> Iterator[pa.RecordBatch]:
        """The packed lines, in pieces of at most so many bytes of ``raw``, or of a single line that is longer."""
        import numpy as np
        import pyarrow.compute as pc

        for batch in self.rows.to_batches():
            ends = np.cumsum(pc.binary_length(batch.column("raw")).to_numpy().astype(np.int64))
            start = 0
            while start < batch.num_rows:
                before = int(ends[start - 1]) if start else 0
                stop = max(start + 1, int(np.searchsorted(ends, before + most_bytes, "right")))
                yield batch.slice(start, stop - start)
                start = stop


def _codes(codes: str) -> tuple[str, ...]:
    return tuple(codes.split(",")) if codes else ()
