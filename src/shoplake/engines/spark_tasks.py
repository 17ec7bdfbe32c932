"""What Spark's executors do, in Python: they read source files, and they write data files.

Nothing here knows Spark. Every attempt of a task writes under names of its own, and only what the attempt that Spark counts
has returned is ever committed: a task that is repeated, or done twice at once, leaves files that nothing names.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from itertools import groupby, pairwise
from typing import Any

import numpy as np
import pyarrow as pa
from isal import isal_zlib

from shoplake.engines.base import CheckRequest
from shoplake.engines.duckdb import DuckDBEngine
from shoplake.lake import parquet
from shoplake.lake.erasures import Erased
from shoplake.lake.parquet import NewFile
from shoplake.lake.snapshots import keys_location
from shoplake.settings import DEFAULT_BOUNDS, Bounds
from shoplake.sources.base import Source, SourceFile
from shoplake.storage.base import Storage
from shoplake.tables import EVENTS, Table

REWRITTEN = "file_order long, removed long, first_source_files array<string>, file binary"
WRITTEN = "file binary"


@dataclass(frozen=True)
class Writer:
    """Writes data files of a lake that no commit knows of yet.

    Attributes:
        storage: The lake's.
    """

    storage: Storage

    def write(self, table: Table, partition: date, rows: pa.Table, *, keys: bytes | None = None) -> NewFile:
        """Write rows that all lie in the partition of the given value, and their units' keys, if they come with them."""
        location = parquet.new_location(f"{self.storage.root}/{table.name}", table, partition)
        if keys is not None:
            self.storage.write(keys_location(location), keys)
        return parquet.write(self.storage, location, table, rows)

    def adopt(self, files: Iterable[NewFile]) -> None:
        """Nothing to do: the driver hands them to its commit."""


def check(
    file: SourceFile,
    source: Source,
    latest: datetime,
    erased: Erased,
    writer: Writer,
    bounds: Bounds = DEFAULT_BOUNDS,
) -> bytes:
    """Read one source file, judge every line, drop its own duplicates, and write what is accepted.

    The embedded engine does it, so that no line can have another fate than on one machine.

    Returns:
        The :class:`~shoplake.engines.base.DedupedFile`, packed; ``rows`` are its data files, one for each hour.
    """
    engine = DuckDBEngine(1, bounds)
    checked = engine.check(CheckRequest(source, [file], latest, erased))
    (deduped,), _ = engine.dedupe(checked, None)
    return _packed(replace(deduped, rows=tuple(engine.write_events([deduped], writer))))


def rewrite(
    batches: Iterable[pa.RecordBatch], parts: Mapping[int, tuple[str, datetime]], writer: Writer
) -> Iterator[pa.RecordBatch]:
    """Rewrite data files without some of their rows.

    Args:
        batches: ``file_order``, ``position`` and ``first_source_file`` of the rows that go; all those of a file together.
        parts: Location and hour of the data files, by ``file_order``.
        writer: Where the new ones go.

    Yields:
        For each file what :data:`REWRITTEN` says; the new file is packed, None if no row remains.
    """
    positions: dict[int, list[int]] = {}
    firsts: dict[int, set[str]] = {}
    for batch in batches:
        columns = (batch.column(name).to_pylist() for name in ("file_order", "position", "first_source_file"))
        for number, position, first in zip(*columns, strict=True):
            positions.setdefault(number, []).append(position)
            firsts.setdefault(number, set()).add(first)
    for number, gone in positions.items():
        path, hour = parts[number]
        with parquet.reading(path):
            rows = parquet.read(EVENTS, writer.storage.read(path))
        keep = np.ones(rows.num_rows, bool)
        keep[gone] = False
        rest = rows.filter(pa.array(keep))
        file = writer.write(EVENTS, hour, rest) if rest.num_rows else None
        yield _record(
            file_order=number, removed=len(gone), first_source_files=sorted(firsts[number]), file=_packed(file)
        )


def write_hours(batches: Iterable[pa.RecordBatch], table: Table, writer: Writer) -> Iterator[pa.RecordBatch]:
    """Write rows of an hourly table, one data file for each hour; an hour's rows come together.

    Yields:
        The files, packed.
    """
    for hour, parts in groupby((part for batch in batches for part in _cut(batch)), _hour_of):
        yield _record(file=_packed(writer.write(table, hour, pa.Table.from_batches(list(parts)))))


def unpacked(octets: bytes) -> Any:
    """What a task of ours returned."""
    return pickle.loads(isal_zlib.decompress(octets))  # noqa: S301 - our own task pickled it


def _packed(returned: Any) -> bytes:
    """Spark bounds what the driver collects: ``spark.driver.maxResultSize``. Quarantined lines are many, and alike."""
    octets: bytes = isal_zlib.compress(pickle.dumps(returned), 1)
    return octets


def _record(**values: object) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([values])


def _hour_of(part: pa.RecordBatch) -> datetime:
    hour: datetime = part.column("event_hour")[0].as_py()
    return hour


def _cut(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """A batch in the order of its hours, cut where the hour changes."""
    hours = batch.column("event_hour").cast(pa.int64()).to_numpy()
    starts = [0, *(np.flatnonzero(hours[1:] != hours[:-1]) + 1).tolist(), len(hours)]
    for start, end in pairwise(starts):
        if end > start:
            yield batch.slice(start, end - start)
