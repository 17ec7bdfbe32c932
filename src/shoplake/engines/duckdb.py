"""The embedded engine: DuckDB reads and aggregates, Arrow holds a batch's rows in between, PyArrow writes the files.

How it reads and judges a source file is in :mod:`shoplake.engines.reading`.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from queue import SimpleQueue
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shoplake.contract import EVENT_COLUMNS, parse_line, without_bom
from shoplake.engines.base import CheckedFile, Deduped, DedupedFile, Gold, Output, Progress, Quarantined, Stored
from shoplake.engines.judging import chunks, judge, no_events
from shoplake.engines.reading import Reading
from shoplake.engines.sql import events_of_hours, gold_of_days, literals, only_of, sql, start_of_hour
from shoplake.lake.erasures import Erased, without_keys
from shoplake.lake.parquet import NewFile
from shoplake.lake.scans import Scans
from shoplake.lake.snapshots import DataFile, View
from shoplake.sources.base import Source, SourceFile
from shoplake.sources.lines import Spool
from shoplake.tables import ACTIVITY_DAILY, EVENTS, GOLD_HOURLY, SESSION_HOURLY, USER_HOURLY

_Positions = np.ndarray[Any, Any]
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - times of the lake are UTC without a zone
_HOUR_US = 3_600_000_000
_FEW = 50_000
_EVENT_FIELDS = ", ".join(EVENT_COLUMNS)


class DuckDBEngine:
    """Computes on this machine, in this process."""

    name = "duckdb"

    def __init__(self, threads: int) -> None:
        """Start the engine.

        Args:
            threads: How many cores it may use.
        """
        self._threads = threads
        self._database = duckdb.connect(config={"threads": threads})
        self._database.execute("SET GLOBAL enable_external_file_cache = false")  # a spool's path names file after file
        self._database.execute("SET GLOBAL TimeZone = 'UTC'")  # a time without an offset is UTC
        self._database.execute(
            "CREATE MACRO regexp_like(text, pattern) AS regexp_matches(text, pattern)"
        )  # as Spark says
        self._scans = Scans(self._database)

    def check(
        self, source: Source, files: Sequence[SourceFile], latest: datetime, erased: Erased, progress: Progress
    ) -> list[CheckedFile]:
        """Read files, judge every line, keep the accepted rows at hand; drop and count the lines about erased people."""

        def one(file: SourceFile) -> CheckedFile:
            started = time.perf_counter()
            spool = spools.get()
            try:
                checked = Reading(self._database.cursor(), source, file, latest).check(spool)
            finally:
                spools.put(spool)
            progress(file.bytes, checked.lines)
            return replace(checked, seconds=time.perf_counter() - started)

        spools: SimpleQueue[Spool] = SimpleQueue()
        at_once = min(self._threads, len(files))
        with ExitStack() as stack:
            for _ in range(at_once):
                spools.put(stack.enter_context(closing(Spool())))
            stack.enter_context(self._cores(self._threads // max(1, at_once)))
            checked = self._map(one, files)
        return _without_lines_of(erased, _without_rows_of(erased, checked)) if erased else checked

    def judge(self, lines: Sequence[tuple[int, bytes]], latest: datetime) -> tuple[pa.Table, list[Quarantined]]:
        """Judge single lines of a file, given by number and bytes.

        Returns:
            Rows as those of :meth:`check`, and the lines that break the contract.
        """
        tables = [no_events()]
        quarantined: list[Quarantined] = []
        for chunk in chunks(lines):
            judged = judge(self._database.cursor(), chunk, latest)
            tables.append(judged.rows)
            quarantined += judged.quarantined
        return pa.concat_tables(tables), quarantined

    def dedupe(self, checked: Sequence[CheckedFile], stored: Stored) -> Deduped:
        """Drop rows equal to an earlier one: inside a file, across the batch (the first path keeps it), and stored ones."""
        # Stored events first: what they hold is a duplicate of theirs in every file of the batch.
        with self._scans.reading():
            rest, conflicts = self._dedupe_stored(checked, stored)
        return Deduped([_measured(result) for result in self._dedupe_batch(rest)], conflicts)

    def discard(self, files: Sequence[CheckedFile]) -> None:
        """Nothing to do: nothing is written before the batch is published."""

    def write_events(self, files: Sequence[DedupedFile], output: Output) -> list[NewFile]:
        """Write the accepted rows, one data file for each source file and hour."""

        def one(part: tuple[str, datetime, pa.Table]) -> NewFile:
            source_file, hour, rows = part
            lineage = pa.DictionaryArray.from_arrays(np.zeros(rows.num_rows, np.int32), pa.array([source_file]))
            return output.write(EVENTS, hour, rows.append_column("source_file", lineage))

        parts = [
            (result.file.path, hour, rows)
            for result in files
            if result.accepted
            for hour, rows in _by_hour(result.rows, "event_time", result.hours)
        ]
        return self._map(one, parts)

    def gold(self, files: Sequence[DedupedFile], hours: Collection[datetime], base: View, output: Output) -> Gold:
        """Recompute every gold table for the given hours and their days."""
        with self._scans.reading():
            return self._gold(files, hours, base, output)

    def _gold(self, files: Sequence[DedupedFile], hours: Collection[datetime], base: View, output: Output) -> Gold:
        connection = self._database.cursor()
        fresh = [result.rows for result in files if result.accepted]
        connection.register("fresh", pa.concat_tables(fresh) if fresh else no_events())
        connection.register("batch_paths", pa.table({"path": pa.array([one.file.path for one in files], pa.string())}))
        events = f"SELECT {_EVENT_FIELDS} FROM fresh"
        paths = {result.file.path for result in files}
        if touched := events_of_hours(base, hours, paths):
            events += (
                f" UNION ALL SELECT {_EVENT_FIELDS} FROM {self._scans.parquet(touched)}"
                " WHERE source_file NOT IN (SELECT path FROM batch_paths)"
            )
        fresh_hours = frozenset().union(*(result.hours for result in files))
        where = "" if hours == fresh_hours else f" WHERE date_trunc('hour', event_time) IN ({literals(hours)})"
        connection.execute(f"CREATE TEMP VIEW events AS SELECT * FROM ({events}){where}")
        hourly: dict[str, list[NewFile]] = {}
        for table in GOLD_HOURLY:
            rows = connection.sql(sql(f"gold_{table.name}")).to_arrow_table()
            connection.register(f"new_{table.name}", rows)
            hourly[table.name] = [output.write(table, hour, part) for hour, part in _by_hour(rows, "event_hour", hours)]
        return self._daily(connection, hours, base, output, hourly)

    def _daily(
        self,
        connection: duckdb.DuckDBPyConnection,
        hours: Collection[datetime],
        base: View,
        output: Output,
        hourly: dict[str, list[NewFile]],
    ) -> Gold:
        days = frozenset(hour.date() for hour in hours)
        for table, columns in (
            (USER_HOURLY, "event_hour, user_id, events"),
            (SESSION_HOURLY, "event_hour, session_id"),
        ):
            union = f"SELECT {columns} FROM new_{table.name}"
            if files := gold_of_days(base, table, hours):
                union += (
                    f" UNION ALL SELECT {columns} FROM {self._scans.parquet(files)}"
                    f" WHERE event_hour NOT IN ({literals(hours)}) AND CAST(event_hour AS DATE) IN ({literals(days)})"
                )
            connection.execute(f"CREATE TEMP VIEW {table.name} AS {union}")
        rows = connection.sql(sql("gold_activity_daily")).to_arrow_table()
        daily = []
        for day in sorted(days):
            part = rows.filter(pc.equal(rows.column("event_date"), pa.scalar(day)))
            if part.num_rows:
                daily.append(output.write(ACTIVITY_DAILY, day, part))
        return Gold(hourly, days, daily)

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

    def _dedupe_batch(self, checked: Sequence[CheckedFile]) -> list[CheckedFile]:
        def one(group: Sequence[int]) -> list[pa.Table]:
            return [
                _tagged(checked[order], order, positions)
                for order, positions in zip(
                    group, self._suspects([checked[order].rows for order in group]), strict=True
                )
            ]

        suspects = [rows for tables in self._map(one, _overlapping(checked)) for rows in tables if rows.num_rows]
        if not suspects:
            return list(checked)
        connection = self._database.cursor()
        connection.register("candidates", pa.concat_tables(suspects))
        return _without(checked, connection.sql(sql("dedupe")).fetchall())

    def _suspects(self, tables: Sequence[pa.Table]) -> list[_Positions]:
        """Positions of the rows that can have an equal one among these tables: few, and none of the others can."""
        positions = _repeated([rows.column("event_time").cast(pa.int64()).to_numpy() for rows in tables])
        if sum(len(found) for found in positions) <= _FEW:
            return positions
        hashes = []
        for rows, found in zip(tables, positions, strict=True):
            connection = self._database.cursor()
            connection.register("rows", rows)
            hashed = connection.sql("SELECT hash(event_time, user_id, session_id) AS h FROM rows").to_arrow_table()
            hashes.append(hashed.column("h").to_numpy()[found])
        return [found[again] for found, again in zip(positions, _repeated(hashes), strict=True)]

    def _dedupe_stored(
        self, checked: Sequence[CheckedFile], stored: Stored
    ) -> tuple[list[CheckedFile], frozenset[tuple[str, str]]]:
        """Drop rows that the lake holds of other paths than the batch's, whose rows go (unreadable and empty files' too)."""
        candidates: list[pa.Table] = []
        files: list[DataFile] = []
        paths = {result.file.path for result in checked}
        for order, result in enumerate(checked):
            for hour, rows in _by_hour(result.rows, "event_time", _hours(result.rows)) if _count(result) else ():
                overlapping = [file for file in stored(*_range(rows)) if not only_of(file, paths)]
                if overlapping:
                    files += overlapping
                    inside = pc.equal(pc.floor_temporal(result.rows.column("event_time"), unit="hour"), pa.scalar(hour))
                    candidates.append(_tagged(result, order, np.flatnonzero(inside.to_numpy())))
        if not files:
            return list(checked), frozenset()
        connection = self._database.cursor()
        connection.register("candidates", pa.concat_tables(candidates))
        connection.register("batch_paths", pa.table({"path": pa.array(sorted(paths))}))
        connection.execute(
            f"CREATE TEMP VIEW stored AS SELECT * FROM {self._scans.parquet(files)}"
            " WHERE source_file NOT IN (SELECT path FROM batch_paths)"
        )
        found = connection.sql(sql("dedupe_stored")).fetchall()
        return _without(checked, found), frozenset((new, old) for _, _, new, old in found if old > new)


def _without_rows_of(erased: Erased, checked: Sequence[CheckedFile]) -> list[CheckedFile]:
    """Files without the accepted rows of erased people; the users of all files are hashed together, each once."""
    readable = [result for result in checked if result.rows is not None]
    users = pa.chunked_array([part for one in readable for part in one.rows.column("user_id").chunks], pa.string())
    gone = pa.array(sorted(erased.among(pc.unique(users).to_pylist())), pa.string())
    found = list(checked)
    for order, result in enumerate(checked) if len(gone) else ():
        if result.rows is None:
            continue
        of_them = pc.is_in(result.rows.column("user_id"), gone)
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
        of_them: list[Quarantined] = []
        others: list[Quarantined] = []
        for line in result.quarantined:
            (of_them if erased.named_in(line.raw) else others).append(line)
        if of_them:
            extras = [parse_line(without_bom(line.line_number, line.raw)).extra for line in of_them]
            found[order] = replace(
                result,
                erased=result.erased + len(of_them),
                unknown_keys=without_keys(result.unknown_keys, extras),
                quarantined=tuple(others),
            )
    return found


def _without(checked: Sequence[CheckedFile], duplicates: Sequence[tuple[int, int, str, str]]) -> list[CheckedFile]:
    """Files without some of their rows, given by place of the file, position, path of the file and path of the first."""
    found = list(checked)
    by_file: dict[int, list[tuple[int, str]]] = {}
    for order, position, _, first in duplicates:
        by_file.setdefault(order, []).append((position, first))
    for order, gone in by_file.items():
        result = checked[order]
        keep = np.ones(result.rows.num_rows, bool)
        keep[[position for position, _ in gone]] = False
        found[order] = replace(
            result,
            duplicates=result.duplicates + len(gone),
            duplicates_of=result.duplicates_of | {first for _, first in gone} - {result.file.path},
            rows=result.rows.filter(pa.array(keep)),
        )
    return found


def _count(result: CheckedFile) -> int:
    return 0 if result.rows is None else int(result.rows.num_rows)


def _measured(result: CheckedFile) -> DedupedFile:
    """A file whose duplicates are gone, with the counts and times of the rows that remain."""
    accepted = _count(result)
    if not accepted:
        return DedupedFile(**vars(result))
    first, last = _range(result.rows)
    return DedupedFile(
        **vars(result), accepted=accepted, hours=_hours(result.rows), min_event_time=first, max_event_time=last
    )


def _hours(rows: pa.Table) -> frozenset[datetime]:
    """Starts of the hours that events lie in; at least one event."""
    first, last = (start_of_hour(moment) for moment in _range(rows))
    if first == last:
        return frozenset({first})
    numbers = np.unique(rows.column("event_time").cast(pa.int64()).to_numpy() // _HOUR_US).tolist()
    return frozenset(_EPOCH + timedelta(hours=number) for number in numbers)


def _by_hour(rows: pa.Table, column: str, hours: Collection[datetime]) -> Iterator[tuple[datetime, pa.Table]]:
    """The rows of each hour; the table itself where it has only one."""
    if len(hours) == 1:
        if rows.num_rows:
            yield next(iter(hours)), rows
        return
    floors = pc.floor_temporal(rows.column(column), unit="hour")
    for hour in sorted(hours):
        part = rows.filter(pc.equal(floors, pa.scalar(hour, floors.type)))
        if part.num_rows:
            yield hour, part


def _overlapping(checked: Sequence[CheckedFile]) -> list[list[int]]:
    """Groups of files whose times overlap: equal events lie in the same group, since their times are equal."""
    groups: list[list[int]] = []
    end = datetime.min  # noqa: DTZ901 - times of the lake are UTC without a zone
    spans = [(*_range(result.rows), order) for order, result in enumerate(checked) if _count(result)]
    for first, last, order in sorted(spans):
        if first > end:
            groups.append([])
        groups[-1].append(order)
        end = max(end, last)
    return groups


def _repeated(arrays: Sequence[np.ndarray[Any, Any]]) -> list[_Positions]:
    """For each array, the positions of values that occur more than once in all of them together."""
    if len(arrays) == 1 and bool(np.all(arrays[0][1:] >= arrays[0][:-1])):
        same = arrays[0][1:] == arrays[0][:-1]
        return [np.flatnonzero(np.concatenate([same, [False]]) | np.concatenate([[False], same]))]
    ordered = np.sort(np.concatenate(arrays))
    repeated = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    return [np.flatnonzero(np.isin(values, repeated)) for values in arrays]


def _tagged(result: CheckedFile, order: int, positions: np.ndarray[Any, Any]) -> pa.Table:
    rows = result.rows.take(positions)
    return (
        rows.append_column("file_order", pa.array(np.full(len(positions), order, np.int64)))
        .append_column("position", pa.array(positions, pa.int64()))
        .append_column("source_file", pa.array([result.file.path] * len(positions), pa.string()))
    )


def _range(rows: pa.Table) -> tuple[datetime, datetime]:
    ends = pc.min_max(rows.column("event_time"))
    return ends["min"].as_py(), ends["max"].as_py()
