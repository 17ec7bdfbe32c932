"""The embedded engine: a batch's rows are Arrow tables of codes, from reading to the files that PyArrow writes.

How it reads and judges a source file is in :mod:`shoplake.engines.reading`, what becomes of the rows in
:mod:`shoplake.engines.duplicates` and :mod:`shoplake.engines.aggregates`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cached_property, partial
from queue import SimpleQueue
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shoplake.contract import EVENT_COLUMNS
from shoplake.engines import aggregates, duplicates, packing
from shoplake.engines.base import CheckedFile, CheckRequest, Deduped, DedupedFile, Gold, GoldRequest, Output
from shoplake.engines.codes import dictionary, encoded, microseconds
from shoplake.engines.duplicates import Duplicates, StoredEvents
from shoplake.engines.gold import write_gold
from shoplake.engines.judging import chunks, judge, no_events
from shoplake.engines.quarantined import QuarantinedLines
from shoplake.engines.reading import Reading
from shoplake.engines.sql import events_of_hours, only_of
from shoplake.lake import parquet
from shoplake.lake.erasures import Erased, without_keys
from shoplake.lake.hours import start_of_hour
from shoplake.lake.parquet import NewFile
from shoplake.lake.snapshots import DataFile, TableSnapshot
from shoplake.parsing import parse_line, without_bom
from shoplake.settings import DEFAULT_BOUNDS, Bounds
from shoplake.sources.base import SourceFile
from shoplake.sources.lines import Spool
from shoplake.tables import EVENTS

if TYPE_CHECKING:
    import duckdb

    from shoplake.lake.scans import Scans

_Part = tuple[str, pa.Table]
"""The path of a source file, and rows of it."""

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - times of the lake are UTC without a zone
_HOUR_US = 3_600_000_000
# Of a batch: a full hour, so that its memory and what a kill costs are bounded whatever the files hold.
_MOST_LINES = 8_000_000
_MOST_BYTES = 1 << 30
_MOST_HOURS = 200


class _Held:
    """What was read of a batch so far; files in other threads that were begun come on top of it."""

    def __init__(self) -> None:
        self._lines = self._bytes = 0
        self._hours: set[int] = set()

    def add(self, checked: CheckedFile) -> None:
        """Count a file."""
        self._lines += checked.lines
        self._bytes += checked.quarantined.nbytes
        if checked.rows is not None and checked.rows.num_rows:
            self._bytes += checked.rows.nbytes
            moments = microseconds(checked.rows, "event_time")
            first, last = int(moments.min()) // _HOUR_US, int(moments.max()) // _HOUR_US
            self._hours.update([first] if first == last else np.unique(moments // _HOUR_US).tolist())

    @property
    def much(self) -> bool:
        """Whether it is enough for a batch."""
        return self._lines >= _MOST_LINES or self._bytes >= _MOST_BYTES or len(self._hours) >= _MOST_HOURS


class DuckDBEngine:
    """Computes on this machine, in this process."""

    name = "duckdb"

    def __init__(self, threads: int, bounds: Bounds = DEFAULT_BOUNDS) -> None:
        """Nothing is started before it is needed.

        Args:
            threads: How many cores it may use.
            bounds: How much it reads of a source at once.
        """
        self._threads = threads
        self._bounds = bounds

    def check(self, request: CheckRequest) -> list[CheckedFile]:
        """Read files, judge every line, keep the accepted rows at hand; drop and count the lines about erased people."""
        held = _Held()

        def one(file: SourceFile) -> CheckedFile | None:
            if held.much and not request.whole:
                return None
            started = time.perf_counter()
            spool = spools.get()
            try:
                reading = Reading(connect, request.source, file, request.latest, self._bounds)
                checked = _encoded(reading.check(spool))
            finally:
                spools.put(spool)
            held.add(checked)
            request.progress(file.bytes, checked.lines)
            return replace(checked, seconds=time.perf_counter() - started)

        spools: SimpleQueue[Spool] = SimpleQueue()
        at_once = min(self._threads, len(request.files))
        one_by_one, limited = Lock(), False
        with ExitStack() as stack:
            for _ in range(at_once):
                spools.put(stack.enter_context(closing(Spool())))

            def connect() -> duckdb.DuckDBPyConnection:
                nonlocal limited
                with one_by_one:
                    if not limited:
                        stack.enter_context(self._cores(self._threads // max(1, at_once)))
                        limited = True
                    return self._database.cursor()

            # They are begun in their order, so those that were read are the first ones.
            checked = [result for result in self._map(one, request.files) if result]
        if request.erased:
            checked = _without_lines_of(request.erased, _without_rows_of(request.erased, checked))
        return [replace(result, present=_values_of(result.rows)) for result in checked]

    def judge(self, lines: Sequence[tuple[int, bytes]], latest: datetime) -> tuple[pa.Table, QuarantinedLines]:
        """Judge single lines of a file, given by number and bytes.

        Returns:
            Their accepted rows, texts as they are, and the lines that break the contract.
        """
        judged = [judge(self._database.cursor(), chunk, latest) for chunk in chunks(lines)]
        rows = pa.concat_tables([no_events(), *(part.rows for part in judged)])
        return rows, QuarantinedLines.joined(part.quarantined for part in judged)

    def dedupe(self, checked: Sequence[CheckedFile], stored: TableSnapshot | None) -> Deduped:
        """Drop rows equal to an earlier one: inside a file, across the batch (the first path keeps it), and stored ones."""
        files = [_encoded(result) for result in checked]
        paths = {result.file.path for result in files}
        full = [order for order, result in enumerate(files) if result.rows is not None and result.rows.num_rows]
        if not full:
            return Deduped([_measured(result) for result in files], frozenset())
        tables = [files[order].rows for order in full]
        near = _near(stored, tables, paths) if stored else []
        found = duplicates.find([files[order].file.path for order in full], tables, near, self._map)
        del tables
        conflicts: set[tuple[str, str]] = set()
        for place, gone in found.items():
            result = files[full[place]]
            conflicts |= {(result.file.path, first) for first in gone.firsts - paths if first > result.file.path}
            files[full[place]] = _without(result, gone)
        return Deduped([_measured(result) for result in files], frozenset(conflicts))

    def discard(self, files: Sequence[CheckedFile]) -> None:
        """Nothing to do: nothing is written before the batch is published."""

    def write_events(self, files: Sequence[DedupedFile], output: Output) -> list[NewFile]:
        """Write the accepted rows: a data file for each source file and hour; one for many of few rows of the same hour."""
        hours: dict[datetime, list[_Part]] = {}
        for result in files:
            for hour, rows in _by_hour(result.rows, result.hours) if result.accepted else ():
                hours.setdefault(hour, []).append((result.file.path, rows))
        parts = (
            (hour, shared)
            for hour, of_hour in hours.items()
            for shared in packing.together(((part, part[1].num_rows) for part in of_hour), packing.FEW_ROWS)
        )
        return self._map(lambda part: output.write(EVENTS, part[0], _with_lineage(part[1])), parts)

    def gold(self, request: GoldRequest, output: Output) -> Gold:
        """Compute every gold table for some hours and their days; of grown hours from the batch's rows alone."""
        fresh: list[Callable[[], pa.Table]] = [partial(_rows_of, result) for result in request.files if result.accepted]
        parts = [*fresh, *stored_parts(request, {result.file.path for result in request.files})]
        return write_gold(aggregates.HourlyGold(parts, request.hours, self._map), request, output, self._map)

    @cached_property
    def _database(self) -> duckdb.DuckDBPyConnection:
        from shoplake.lake.scans import connect

        database = connect(self._threads)
        database.execute("SET GLOBAL enable_external_file_cache = false")  # a spool's path names file after file
        return database

    @cached_property
    def _scans(self) -> Scans:
        from shoplake.lake.scans import Scans

        return Scans(self._database)

    @contextmanager
    def _cores(self, number: int) -> Iterator[None]:
        """Cores for each query meanwhile, where several run at once: more threads than cores get into each other's way."""
        self._database.execute(f"SET GLOBAL threads = {number}")
        try:
            yield
        finally:
            self._database.execute(f"SET GLOBAL threads = {self._threads}")

    def _map(self, function: Any, items: Iterable[Any]) -> list[Any]:
        with ThreadPoolExecutor(self._threads, thread_name_prefix="shoplake") as pool:
            return list(pool.map(function, items))


def stored_parts(request: GoldRequest, paths: Collection[str]) -> list[Callable[[], pa.Table]]:
    """The stored events of the hours that are computed whole, but for those of some source files, as gold takes them."""
    stored = request.base[EVENTS.name]
    return [
        partial(_stored, stored, file, names=aggregates.COLUMNS, paths=paths)
        for file in events_of_hours(request.base, set(request.hours) - request.grown, paths)
    ]


def _encoded(result: CheckedFile) -> CheckedFile:
    return result if result.rows is None else replace(result, rows=encoded(result.rows))


def _rows_of(result: CheckedFile) -> pa.Table:
    return result.rows


def _near(stored: TableSnapshot, tables: Sequence[pa.Table], paths: Collection[str]) -> list[StoredEvents]:
    """Stored events of the same times, of other source files than these: what the lake holds of these goes."""
    files = {file.path: file for rows in tables for span in _spans(rows) for file in stored.within(*span)}
    return [
        StoredEvents(
            _microseconds(file.lower["event_time"]),
            _microseconds(file.upper["event_time"]),
            partial(_stored, stored, file, names=duplicates.STORED_COLUMNS, paths=paths),
        )
        for file in files.values()
        if not only_of(file, paths)
    ]


def _stored(events: TableSnapshot, file: DataFile, *, names: Sequence[str], paths: Collection[str]) -> pa.Table:
    """Columns of a data file of ``events``, encoded, without the rows of some source files."""
    content = events.storage.read(file.path)
    with parquet.reading(file.path):
        rows = parquet.read_together(EVENTS, [content], list(dict.fromkeys((*names, "source_file"))))
    if file.may_hold("source_file", sorted(paths)):
        rows = rows.filter(pc.invert(parquet.among(rows.column("source_file"), paths)))
    return encoded(rows.select(names))


def _values_of(rows: pa.Table | None) -> dict[str, int]:
    """In how many of some rows each column of an event has a value."""
    return {name: rows.num_rows - rows.column(name).null_count for name in EVENT_COLUMNS} if rows is not None else {}


def _without_rows_of(erased: Erased, checked: Sequence[CheckedFile]) -> list[CheckedFile]:
    """Files without the accepted rows of erased people; the users of all files are hashed together, each once."""
    users: set[str] = set()
    for result in checked:
        if result.rows is not None:
            users.update(dictionary(result.rows, "user_id").to_pylist())
    gone = erased.among(users)
    found = list(checked)
    for order, result in enumerate(checked) if gone else ():
        if result.rows is None:
            continue
        of_them = parquet.among(result.rows.column("user_id"), gone)
        lost = result.rows.filter(of_them)
        found[order] = replace(
            result,
            erased=result.erased + lost.num_rows,
            unknown_keys=without_keys(result.unknown_keys, lost.column("extra").to_pylist()),
            rows=result.rows.filter(pc.invert(of_them)),
        )
    return found


def _without_lines_of(erased: Erased, checked: Sequence[CheckedFile]) -> list[CheckedFile]:
    """Files without the quarantined lines about erased people."""
    found = list(checked)
    for order, result in enumerate(checked):
        others = [not erased.named_in(line.raw) for line in result.quarantined]
        if not all(others):
            of_them = result.quarantined.only([not other for other in others])
            extras = [parse_line(without_bom(line.line_number, line.raw)).extra for line in of_them]
            found[order] = replace(
                result,
                erased=result.erased + len(of_them),
                unknown_keys=without_keys(result.unknown_keys, extras),
                quarantined=result.quarantined.only(others),
            )
    return found


def _without(result: CheckedFile, gone: Duplicates) -> CheckedFile:
    """A file without its duplicates."""
    keep = np.ones(result.rows.num_rows, bool)
    keep[gone.positions] = False
    return replace(
        result,
        duplicates=result.duplicates + len(gone.positions),
        duplicates_of=result.duplicates_of | gone.firsts - {result.file.path},
        rows=result.rows.filter(pa.array(keep)),
    )


def _measured(result: CheckedFile) -> DedupedFile:
    """A file whose duplicates are gone, with the counts and times of the rows that remain."""
    if result.rows is None or not result.rows.num_rows:
        return DedupedFile(**vars(result))
    spans = _spans(result.rows)
    return DedupedFile(
        **vars(result),
        accepted=result.rows.num_rows,
        hours=frozenset(start_of_hour(first) for first, _ in spans),
        min_event_time=spans[0][0],
        max_event_time=spans[-1][1],
    )


def _spans(rows: pa.Table) -> list[tuple[datetime, datetime]]:
    """The earliest and the latest event of each hour that has any, in order."""
    moments = microseconds(rows, "event_time")
    ends = [(int(moments.min()), int(moments.max()))]
    if ends[0][0] // _HOUR_US != ends[0][1] // _HOUR_US:
        ordered = np.sort(moments)
        hours = np.split(ordered, np.flatnonzero(np.diff(ordered // _HOUR_US)) + 1)
        ends = [(int(hour[0]), int(hour[-1])) for hour in hours]
    return [(_moment(first), _moment(last)) for first, last in ends]


def _by_hour(rows: pa.Table, hours: Collection[datetime]) -> Iterator[tuple[datetime, pa.Table]]:
    """The events of each hour; the table itself where there is only one."""
    if len(hours) == 1:
        yield next(iter(hours)), rows
        return
    numbers = microseconds(rows, "event_time") // _HOUR_US
    order = np.argsort(numbers, kind="stable")
    for positions in np.split(order, np.flatnonzero(np.diff(numbers[order])) + 1):
        yield _moment(int(numbers[positions[0]]) * _HOUR_US), rows.take(pa.array(positions))


def _with_lineage(parts: Sequence[_Part]) -> pa.Table:
    """The rows of some source files with the column that tells these."""
    rows = parts[0][1]
    if len(parts) > 1:
        rows = (
            pa.concat_tables([_with_plain_extra(of_file) for _, of_file in parts]).unify_dictionaries().combine_chunks()
        )
    codes = np.repeat(np.arange(len(parts), dtype=np.int32), [of_file.num_rows for _, of_file in parts])
    return rows.append_column(
        "source_file", pa.DictionaryArray.from_arrays(codes, pa.array([path for path, _ in parts]))
    )


def _with_plain_extra(rows: pa.Table) -> pa.Table:
    """Rows with ``extra`` as texts, as it is a dictionary in some files and not in others."""
    place = rows.schema.get_field_index("extra")
    return rows.set_column(place, "extra", rows.column(place).cast(pa.string()))


def _microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)


def _moment(since: int) -> datetime:
    return _EPOCH + timedelta(microseconds=since)
