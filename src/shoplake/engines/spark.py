"""The engine of a cluster: Spark spreads source files over its executors and computes what crosses files.

On an executor the embedded engine reads and judges one source file and writes the accepted rows straight into data files of
``events`` (:mod:`shoplake.engines.spark_tasks`). Duplicates across files are Spark SQL over those data files; the gold of an
hour is again the embedded engine's, on an executor. The driver holds facts about files, never their rows.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from datetime import datetime
from functools import partial, reduce
from typing import Any

from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - as everybody calls it

from shoplake.contract import EVENT_COLUMNS
from shoplake.engines import packing
from shoplake.engines import spark_tasks as tasks
from shoplake.engines.base import CheckedFile, CheckRequest, Deduped, DedupedFile, Gold, GoldRequest, Output, ignore
from shoplake.engines.gold import WrittenHours, as_gold
from shoplake.engines.spark_session import cause
from shoplake.engines.sql import events_of_hours, only_of
from shoplake.errors import FatalError, MissingFileError
from shoplake.lake import parquet
from shoplake.lake.catalog import Lake
from shoplake.lake.hours import start_of_hour
from shoplake.lake.parquet import NewFile
from shoplake.lake.snapshots import DataFile, TableSnapshot, View
from shoplake.lake.types import column_type
from shoplake.queries import sql
from shoplake.settings import DEFAULT_BOUNDS, Bounds
from shoplake.tables import EVENTS, Table

_SETTINGS = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "true",  # a sum that overflows is an error, not NULL
    "spark.sql.caseSensitive": "false",
    "spark.sql.files.ignoreCorruptFiles": "false",  # nor may the rows of a file that cannot be read be left out
    "spark.sql.files.ignoreMissingFiles": "false",
}
_IN_PATTERNS = re.compile(r"[][{}*?\\]")  # what stands for other characters where Spark takes a path
_FILE_NOT_FOUND = ("FileNotFoundException", "PATH_NOT_FOUND", "FileNotFoundError")
_FEW_EVENTS = 200_000  # in the hours of one task, if it has several
_TOO_MUCH = "Facts about files pass through the driver: raise that setting or lower SHOPLAKE_BATCH_BYTES, and"


@dataclass(frozen=True)
class _Part:
    """A data file of the batch: the rows of one source file in one hour.

    Attributes:
        number: Its place in the order of source files and hours.
        order: The place of its source file in the batch.
        source_file: The path of its source file.
        file: The data file.
        first: Its earliest event.
        last: Its latest.
    """

    number: int
    order: int
    source_file: str
    file: NewFile
    first: datetime
    last: datetime


class SparkEngine:
    """Computes on a cluster, or in local threads of Spark."""

    name = "spark"

    def __init__(self, session: SparkSession, lake: Lake, bounds: Bounds = DEFAULT_BOUNDS) -> None:
        """Start the engine.

        Args:
            session: Its cluster is used; its settings, its views and the caller's own jobs are left alone.
            lake: The lake that is written to; executors reach its storage, and Spark its files, under the same locations.
            bounds: How much a task reads of a source at once.
        """
        self._context = session.sparkContext
        self._tag = f"shoplake-{uuid.uuid4()}"
        with self._telling("start"):  # it may give up on a cluster that does not answer only now
            self._spark = session.newSession()
            for key, value in _SETTINGS.items():
                self._spark.conf.set(key, value)
        self._writer = tasks.Writer(lake.storage)
        self._bounds = bounds

    def check(self, request: CheckRequest) -> list[CheckedFile]:
        """Read files, judge every line, write the accepted rows as data files, but for those of erased people.

        All of them: what was read lies in data files of the executors, so there is no need to stop.
        """
        light = replace(request, files=(), progress=ignore)  # what a task needs of it
        one = partial(tasks.check, request=light, writer=self._writer, bounds=self._bounds)
        with self._telling("read the source files"):
            packed = self._context.parallelize(request.files, len(request.files)).map(one).collect()
        checked: list[CheckedFile] = [tasks.unpacked(octets) for octets in packed]
        for result in checked:
            request.progress(result.file.bytes, result.lines)
        return checked

    def dedupe(self, checked: Sequence[CheckedFile], stored: TableSnapshot | None) -> Deduped:
        """Drop rows equal to an earlier one: across the batch (the first path keeps it), and stored ones.

        Those inside a file went when it was read.
        """
        parts = _parts(checked)
        paths = {result.file.path for result in checked}
        late: dict[int, list[DataFile]] = {}
        for part in parts:
            meeting = stored.within(part.first, part.last) if stored else ()
            if found := [file for file in meeting if not only_of(file, paths)]:
                late[part.number] = found
        shared = _overlapping(parts)
        if not late and not shared:
            return Deduped([_measured(result) for result in checked], frozenset())
        with self._telling("look for duplicates"):
            found_twice = self._duplicates(parts, paths, late, shared)
            rows = self._rewritten(parts, found_twice, len(late.keys() | shared))
        return self._settled(checked, parts, rows)

    def discard(self, files: Sequence[CheckedFile]) -> None:
        """Remove the data files that were written for the batch."""
        self._writer.storage.delete(
            file.path
            for result in files
            for file in (*(result.rows or ()), *(result.written.files if result.written else ()))
        )

    def write_events(self, files: Sequence[DedupedFile], output: Output) -> list[NewFile]:
        """Hand over the data files, one for each source file and hour; they were written when the source files were read."""
        written = [file for result in files for file in result.rows]
        output.adopt(written)
        return written

    def gold(self, request: GoldRequest, output: Output) -> Gold:
        """Compute every gold table for some hours and their days: a task for each hour, and then one for each day.

        In a task the embedded engine does it, as it does on one machine: from the rows of an hour, or from the batch's alone
        where it has only grown; and a day from the keys of its users and sessions.
        """
        tables = {name: replace(table, files_by_manifest={}) for name, table in request.base.tables.items()}
        light = replace(request, files=(), base=View(tables, None, 0))  # what a task needs of it
        with self._telling("compute the gold tables"):
            written = self._hourly(request, light, output)
            days = sorted({hour.date() for hour in request.hours})
            one = partial(tasks.day, request=light, written=replace(written, files={}))
            rows = self._context.parallelize(days, self._slices(len(days))).map(one).collect()
        return as_gold(request, written, rows, output)

    def _hourly(self, request: GoldRequest, light: GoldRequest, output: Output) -> WrittenHours:
        groups = _hours_together(request)
        paths = frozenset(result.file.path for result in request.files)
        one = partial(tasks.gold_of_hours, request=light, paths=paths, writer=self._writer)
        packed = self._context.parallelize(groups, self._slices(len(groups))).map(one).collect()
        written = WrittenHours.joined([tasks.unpacked(octets) for octets in packed])
        for files in written.files.values():
            output.adopt(files)
        return written

    def _duplicates(
        self, parts: Sequence[_Part], paths: Collection[str], late: dict[int, list[DataFile]], shared: Collection[int]
    ) -> DataFrame:
        """The rows that go: first those that the lake holds, then of the others those that the batch holds twice."""
        found: list[DataFrame] = []
        if late:
            files = {file.path for overlapping in late.values() for file in overlapping}
            stored = self._read(EVENTS, files).where(~F.col("source_file").isin(*paths))
            stored.createOrReplaceTempView("stored")
            self._candidates([parts[number] for number in sorted(late)]).createOrReplaceTempView("candidates")
            found.append(self._spark.sql(sql("dedupe_stored")))
        if shared:
            candidates = self._candidates([parts[number] for number in sorted(shared)])
            for gone in found:
                candidates = candidates.join(gone, ["file_order", "position"], "left_anti")
            candidates.createOrReplaceTempView("candidates")
            self._spark.sql(sql("suspects.spark")).createOrReplaceTempView("candidates")
            found.append(self._spark.sql(sql("dedupe")))
        return reduce(DataFrame.unionAll, found)

    def _candidates(self, parts: Sequence[_Part]) -> DataFrame:
        """The rows of data files, each with the number of its file and its position in it."""
        rows = self._read(EVENTS, [part.file.path for part in parts]).select(
            *EVENT_COLUMNS, "source_file", F.col("_metadata.row_index").alias("position")
        )
        numbers = self._spark.createDataFrame(
            [(part.number, part.source_file, start_of_hour(part.first)) for part in parts],
            "file_order long, source_file string, hour timestamp_ntz",
        )
        hour = F.date_trunc("hour", "event_time").cast("timestamp_ntz")
        return rows.withColumn("hour", hour).join(F.broadcast(numbers), ["source_file", "hour"]).drop("hour")

    def _rewritten(self, parts: Sequence[_Part], duplicates: DataFrame, files: int) -> list[Any]:
        places = {part.number: (part.file.path, start_of_hour(part.first)) for part in parts}
        rewrite = partial(tasks.rewrite, parts=places, writer=self._writer)
        together = duplicates.repartition(self._slices(files), "file_order")
        rows: list[Any] = together.mapInArrow(rewrite, tasks.REWRITTEN).collect()
        return rows

    def _settled(self, checked: Sequence[CheckedFile], parts: Sequence[_Part], rewritten: Sequence[Any]) -> Deduped:
        """The batch with the rewritten files in place of the ones with duplicates, which are removed."""
        found = list(checked)
        conflicts: set[tuple[str, str]] = set()
        for row in rewritten:
            part = parts[row["file_order"]]
            result, file = found[part.order], tasks.unpacked(bytes(row["file"]))
            firsts = set(row["first_source_files"])
            conflicts |= {(part.source_file, first) for first in firsts if first > part.source_file}
            kept = [one for one in result.rows if one is not part.file]
            found[part.order] = replace(
                result,
                rows=(*kept, file) if file else tuple(kept),
                duplicates=result.duplicates + row["removed"],
                duplicates_of=result.duplicates_of | firsts - {part.source_file},
            )
        self._writer.storage.delete([parts[row["file_order"]].file.path for row in rewritten])
        return Deduped([_measured(result) for result in found], frozenset(conflicts))

    def _read(self, table: Table, paths: Collection[str]) -> DataFrame:
        """The rows of some data files of a table."""
        types = {column.name: column_type(column.type).spark for column in table.columns}
        if not paths:
            nothing = ", ".join(f"CAST(NULL AS {kind}) AS {name}" for name, kind in types.items())
            return self._spark.sql(f"SELECT {nothing} WHERE FALSE")
        reader = self._spark.read.schema(", ".join(f"{name} {kind}" for name, kind in types.items()))
        reader = reader.option("recursiveFileLookup", "true")  # no columns from the folders' names
        plain = (_IN_PATTERNS.sub(r"\\\g<0>", path) for path in sorted(paths))
        return reader.parquet(*(path if "://" in path else f"file://{path}" for path in plain))

    @contextmanager
    def _telling(self, doing: str) -> Iterator[None]:
        """What fails inside Spark, in our own words; nothing goes on when the caller is interrupted."""
        self._context.addJobTag(self._tag)
        try:
            yield
        except (PySparkException, Py4JError) as error:
            why = cause(error)
            if any(sign in why for sign in _FILE_NOT_FOUND):
                raise MissingFileError("a data file of the lake", why) from error
            what = (
                _TOO_MUCH
                if "spark.driver.maxResultSize" in why
                else "See the log of Spark's driver and executors, then"
            )
            raise FatalError(
                f"Spark could not {doing}: {why}", remedy=f"Nothing was changed. {what} run the same command again."
            ) from error
        except KeyboardInterrupt:
            self._context.cancelJobsWithTag(self._tag)
            raise
        finally:
            self._context.removeJobTag(self._tag)

    def _slices(self, count: int) -> int:
        """How many tasks to divide a number of files into."""
        cores = int(self._context.defaultParallelism)
        return max(1, min(count, 2 * cores))


def _hours_together(request: GoldRequest) -> list[tuple[list[datetime], list[str]]]:
    """The hours of each task with the batch's data files of them: one hour, or several that have few events."""
    paths = {result.file.path for result in request.files}
    new: dict[datetime, list[NewFile]] = {}
    for result in request.files:
        for file in result.rows or ():
            new.setdefault(start_of_hour(parquet.bounds(EVENTS, file.metadata)["event_time"][0]), []).append(file)

    def events(hour: datetime) -> int:
        stored = events_of_hours(request.base, {hour} - request.grown, paths)
        return sum(file.rows for file in (*stored, *new.get(hour, ())))

    sized = ((hour, events(hour)) for hour in sorted(request.hours))
    return [
        (hours, [file.path for hour in hours for file in new.get(hour, ())])
        for hours in packing.together(sized, _FEW_EVENTS)
    ]


def _parts(checked: Sequence[CheckedFile]) -> list[_Part]:
    """The data files of a batch, in the order of source files and hours."""
    found: list[_Part] = []
    for order, result in enumerate(checked):
        ends = [(parquet.bounds(EVENTS, file.metadata)["event_time"], file) for file in result.rows or ()]
        for (first, last), file in sorted(ends, key=lambda end: end[0]):
            found.append(_Part(len(found), order, result.file.path, file, first, last))
    return found


def _overlapping(parts: Sequence[_Part]) -> set[int]:
    """The data files whose times meet those of another one: equal events have equal times."""
    found: set[int] = set()
    latest: _Part | None = None
    for part in sorted(parts, key=lambda one: one.first):
        if latest and part.first <= latest.last:
            found |= {part.number, latest.number}
        if latest is None or part.last > latest.last:
            latest = part
    return found


def _measured(result: CheckedFile) -> DedupedFile:
    """A source file whose duplicates are gone, with the counts and times of the data files that it has now."""
    ends = [parquet.bounds(EVENTS, file.metadata)["event_time"] for file in result.rows]
    known = {field.name: getattr(result, field.name) for field in fields(CheckedFile)}
    return DedupedFile(
        **known,
        accepted=sum(file.rows for file in result.rows),
        hours=frozenset(start_of_hour(first) for first, _ in ends),
        min_event_time=min((first for first, _ in ends), default=None),
        max_event_time=max((last for _, last in ends), default=None),
    )
