"""What Spark's executors do, in Python: they read source files, and they write data files.

Nothing here knows Spark. Every attempt of a task writes under names of its own, and only what the attempt that Spark counts
has returned is ever committed: a task that is repeated, or done twice at once, leaves files that nothing names.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
from isal import isal_zlib

from shoplake.engines.aggregates import COLUMNS, HourlyGold
from shoplake.engines.base import CheckRequest, GoldRequest, WrittenLines
from shoplake.engines.codes import encoded
from shoplake.engines.duckdb import DuckDBEngine, stored_parts
from shoplake.engines.gold import WrittenHours, day_row, write_hours
from shoplake.engines.quarantined import FILE_BYTES, QuarantinedLines, as_rows
from shoplake.engines.unit_keys import Keys, StoredKeys
from shoplake.lake import parquet
from shoplake.lake.parquet import NewFile
from shoplake.lake.snapshots import keys_location
from shoplake.settings import DEFAULT_BOUNDS, Bounds
from shoplake.sources.base import SourceFile
from shoplake.storage.base import Storage
from shoplake.tables import EVENTS, QUARANTINE, UNIT_TABLES, Table

_MANY_BYTES = 1 << 20  # of quarantined lines that pass through the driver, at most, for each source file
REWRITTEN = "file_order long, removed long, first_source_files array<string>, file binary"


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


class _Recorded:
    """A writer that knows what it has written."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self.locations: list[str] = []

    def write(self, table: Table, partition: date, rows: pa.Table, *, keys: bytes | None = None) -> NewFile:
        file = self._writer.write(table, partition, rows, keys=keys)
        self.locations += [file.path, keys_location(file.path)]
        return file

    def adopt(self, files: Iterable[NewFile]) -> None:
        self._writer.adopt(files)


def check(file: SourceFile, request: CheckRequest, writer: Writer, bounds: Bounds = DEFAULT_BOUNDS) -> bytes:
    """Read one source file, judge every line, drop its own duplicates, and write what is accepted.

    The embedded engine does it, so that no line can have another fate than on one machine. Many quarantined lines of a new
    file are written here as well: the driver has no room for those of a batch.

    Args:
        file: The file.
        request: Of the batch, without its files.
        writer: Where data files go.
        bounds: How much is read at once.

    Returns:
        The :class:`~shoplake.engines.base.DedupedFile`, packed; ``rows`` are its data files, one for each hour.
    """
    engine = DuckDBEngine(1, bounds)
    checked = engine.check(replace(request, files=[file]))
    (deduped,), _ = engine.dedupe(checked, None)
    arrival, lines = request.arrival, deduped.quarantined
    if arrival and file.path in arrival.paths and lines.unpacked_nbytes > _MANY_BYTES:
        batches = lines.batches(FILE_BYTES)
        rows = (as_rows(file.path, batch, arrival.at, arrival.batch) for batch in batches)
        written = WrittenLines(
            tuple(writer.write(QUARANTINE, arrival.at, part) for part in rows), len(lines), lines.by_reason()
        )
        deduped = replace(deduped, quarantined=QuarantinedLines(), written=written)
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


def gold_of_hours(
    hours_and_files: tuple[list[datetime], list[str]], request: GoldRequest, paths: frozenset[str], writer: Writer
) -> bytes:
    """Compute and write the hourly gold of some hours.

    Args:
        hours_and_files: The hours, and the locations of the batch's data files of events that hold their rows.
        request: Of the batch, without its files.
        paths: The batch's source files, whose stored rows do not count.
        writer: Where the data files go.

    Returns:
        The :class:`~shoplake.engines.gold.WrittenHours`, packed; the keys of a single hour are those beside its files.
    """
    hours, files = hours_and_files
    request = replace(request, hours=hours, grown=request.grown.intersection(hours))
    fresh: list[Callable[[], pa.Table]] = [partial(_events, writer.storage, file) for file in files]
    computed = HourlyGold([*fresh, *stored_parts(request, paths)], hours, _in_turn)
    output = _Recorded(writer)
    try:
        written = write_hours(computed, request, output, _in_turn)
    except BaseException:
        writer.storage.delete(output.locations)  # the driver will never hear of them
        raise
    if len(hours) == 1:
        of_files = {table: written.files[table.name] for table in UNIT_TABLES}
        beside: dict[str, dict[datetime, Keys | StoredKeys]] = {
            table.name: dict.fromkeys(hours, StoredKeys(request.base[table.name], files[0])) if files else {}
            for table, files in of_files.items()
        }
        written = replace(written, keys=beside)
    return _packed(written)


def day(of: date, request: GoldRequest, written: WrittenHours) -> dict[str, Any] | None:
    """The row that ``activity_daily`` has of a day now; None if it has no events."""
    return day_row(of, request, written, _in_turn)


def _events(storage: Storage, location: str) -> pa.Table:
    with parquet.reading(location):
        return encoded(parquet.read_together(EVENTS, [storage.read(location)], COLUMNS))


def _in_turn(function: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
    """A task has one core."""
    return [function(item) for item in items]


def unpacked(octets: bytes) -> Any:
    """What a task of ours returned."""
    return pickle.loads(isal_zlib.decompress(octets))  # noqa: S301 - our own task pickled it


def _packed(returned: Any) -> bytes:
    """Spark bounds what the driver collects: ``spark.driver.maxResultSize``. Quarantined lines are many, and alike."""
    octets: bytes = isal_zlib.compress(pickle.dumps(returned), 1)
    return octets


def _record(**values: object) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([values])
