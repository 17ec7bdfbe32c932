"""Lines that break the contract, packed: a line costs a tenth of its bytes, not a Python object of ten times the size.

In an hour of which one key was renamed every line is such a line, and all are in memory until the batch has ended. Their
reasons are counted when they are packed, so that the breaker unpacks none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate, islice
from typing import NamedTuple, overload

import pyarrow as pa

from shoplake.lake import raw_lines
from shoplake.lake.parquet import arrow_schema
from shoplake.tables import QUARANTINE

_SCHEMA = pa.schema(
    [("line_number", pa.int64()), ("raw", pa.binary()), ("reasons", pa.dictionary(pa.int32(), pa.string()))]
)
_COMPRESSED = pa.ipc.IpcWriteOptions(compression="zstd", use_threads=False)
_TOGETHER = 10_000
FILE_BYTES = 256 << 20
"""Of the lines in one data file of ``quarantine``, before it is compressed."""


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


class _Pack(NamedTuple):
    """Some lines that follow each other.

    Attributes:
        lines: How many.
        reasons: How many have each combination of reasons, the codes joined by commas.
        nbytes: Bytes of memory that they would take unpacked.
        content: The lines, compressed: an Arrow stream of one batch with the columns of ``_SCHEMA``.
    """

    lines: int
    reasons: Counter[str]
    nbytes: int
    content: pa.Buffer

    @classmethod
    def of(cls, batch: pa.RecordBatch) -> _Pack:
        """Pack a batch."""
        import pyarrow.compute as pc

        codes = batch.column("reasons")
        times = pc.value_counts(codes.indices)
        names = codes.dictionary.take(times.field("values")).to_pylist()
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, _SCHEMA, options=_COMPRESSED) as writer:
            writer.write_batch(batch)
        reasons = Counter(dict(zip(names, times.field("counts").to_pylist(), strict=True)))
        return cls(batch.num_rows, reasons, batch.nbytes, sink.getvalue())

    def unpacked(self) -> pa.RecordBatch:
        """The batch."""
        return pa.ipc.open_stream(self.content).read_next_batch()


class QuarantinedLines(Sequence[Quarantined]):
    """The quarantined lines of one source file, in the order of their numbers; each is unpacked when it is asked for."""

    def __init__(self, packs: tuple[_Pack, ...] = ()) -> None:
        """No lines; or packed ones, from the methods below."""
        self.packs = packs

    @property
    def nbytes(self) -> int:
        """Bytes of memory that they take."""
        return sum(pack.content.size for pack in self.packs)

    @property
    def unpacked_nbytes(self) -> int:
        """Bytes of memory that they would take unpacked."""
        return sum(pack.nbytes for pack in self.packs)

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
        return cls._of_batches([pa.record_batch(columns, schema=_SCHEMA)])

    @classmethod
    def joined(cls, parts: Iterable[QuarantinedLines]) -> QuarantinedLines:
        """The lines of several parts of a file, one after the other."""
        return cls(tuple(pack for part in parts for pack in part.packs))

    @classmethod
    def _of_batches(cls, batches: Iterable[pa.RecordBatch]) -> QuarantinedLines:
        return cls(tuple(_Pack.of(batch) for batch in batches if batch.num_rows))

    def __len__(self) -> int:
        """How many lines."""
        return sum(pack.lines for pack in self.packs)

    def __iter__(self) -> Iterator[Quarantined]:
        """Each line in turn."""
        for pack in self.packs:
            batch = pack.unpacked()
            for start in range(0, pack.lines, _TOGETHER):
                columns = (column.to_pylist() for column in batch.slice(start, _TOGETHER).columns)
                for number, raw, codes in zip(*columns, strict=True):
                    yield Quarantined(number, raw, _codes(codes))

    @overload
    def __getitem__(self, position: int) -> Quarantined: ...
    @overload
    def __getitem__(self, position: slice) -> QuarantinedLines: ...
    def __getitem__(self, position: int | slice) -> Quarantined | QuarantinedLines:
        """A line, or some that follow each other."""
        if isinstance(position, slice):
            return QuarantinedLines.of(list(self)[position])
        return next(islice(self, range(len(self))[position], None))

    def only(self, wanted: Sequence[bool]) -> QuarantinedLines:
        """Those of the lines for which a flag is true."""
        starts = accumulate((pack.lines for pack in self.packs), initial=0)
        return self._of_batches(
            pack.unpacked().filter(pa.array(wanted[start : start + pack.lines], pa.bool_()))
            for start, pack in zip(starts, self.packs, strict=False)
        )

    def by_reason(self) -> Counter[str]:
        """How many lines have each reason; a line may have several."""
        counted: Counter[str] = Counter()
        for pack in self.packs:
            for codes, number in pack.reasons.items():
                counted.update(dict.fromkeys(_codes(codes), number))
        return counted

    def batches(self, most_bytes: int) -> Iterator[pa.RecordBatch]:
        """The lines as Arrow, in pieces of at most so many bytes of ``raw``, or of a single line that is longer.

        Each has the columns ``line_number``, ``raw`` and ``reasons``, which are codes joined by commas.
        """
        import numpy as np
        import pyarrow.compute as pc

        for pack in self.packs:
            batch = pack.unpacked()
            ends = np.cumsum(pc.binary_length(batch.column("raw")).to_numpy().astype(np.int64))
            start = 0
            while start < batch.num_rows:
                before = int(ends[start - 1]) if start else 0
                stop = max(start + 1, int(np.searchsorted(ends, before + most_bytes, "right")))
                yield batch.slice(start, stop - start)
                start = stop


def as_rows(path: str, lines: pa.RecordBatch, arrived: datetime, batch: str) -> pa.Table:
    """Packed lines of a source file as rows of ``quarantine``.

    Args:
        path: The source file's path.
        lines: Some of :meth:`QuarantinedLines.batches`.
        arrived: When the file was first ingested.
        batch: The id of the batch that quarantined them.
    """
    schema = arrow_schema(QUARANTINE)
    raw, encoding = raw_lines.to_texts(lines.column("raw"))
    reasons = lines.column("reasons")
    codes = [codes.split(",") if codes else [] for codes in reasons.dictionary.to_pylist()]
    each = pa.array(codes, schema.field("reasons").type)
    columns = {
        "source_file": _throughout(path, lines.num_rows),
        "line_number": lines.column("line_number"),
        "raw": raw,
        "encoding": encoding,
        "reasons": each.take(reasons.indices),
        "arrived_at": pa.repeat(pa.scalar(arrived, schema.field("arrived_at").type), lines.num_rows),
        "batch": _throughout(batch, lines.num_rows),
    }
    return pa.table(columns)


def _throughout(text: str, rows: int) -> pa.Array:
    """A text in each of some rows."""
    import numpy as np

    return pa.DictionaryArray.from_arrays(np.zeros(rows, np.int32), pa.array([text]))


def _codes(codes: str) -> tuple[str, ...]:
    return tuple(codes.split(",")) if codes else ()
