"""How the embedded engine reads one source file: plain lines natively, the rest by the exact judge, in the lines' order.

Without the native reader SQL reads in its place. A file in which it sees a line otherwise than the contract does is judged
line by line.
"""

from __future__ import annotations

import ctypes
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from shoplake.engines.base import UNAVAILABLE, CheckedFile
from shoplake.engines.judging import chunks, judge, no_events
from shoplake.engines.native import library
from shoplake.engines.native.reader import Left, PlainReader
from shoplake.engines.quarantined import QuarantinedLines
from shoplake.parsing import shortened
from shoplake.settings import Bounds
from shoplake.sources.base import Source, SourceFile
from shoplake.sources.lines import GoneError, Spool, UnreadableError, fill, numbered_lines

if TYPE_CHECKING:
    import duckdb

_BLOCK = 256 * 1024  # larger blocks leave the cache before they are parsed


@dataclass
class Reading:
    """One source file being read.

    Attributes:
        connect: Gives a connection of its own. Files of plain lines need none, and DuckDB is not even imported for them.
        source: Where the file is.
        file: Which.
        latest: The latest time that an event may have.
        bounds: How much is read at once.
    """

    connect: Callable[[], duckdb.DuckDBPyConnection]
    source: Source
    file: SourceFile
    latest: datetime
    bounds: Bounds

    def check(self, spool: Spool) -> CheckedFile:
        """Judge every line.

        Args:
            spool: Holds the inflated file meanwhile, where SQL reads it.
        """
        if self.file.bytes == 0:
            return CheckedFile(self.file, rows=no_events())
        try:
            if library.load() is not None:
                return self._natively()
            from shoplake.engines.reading_sql import SqlReading

            spool.fill(self.source, self.file, self.bounds.file_bytes)
            by_sql = SqlReading(self.connect(), self.file, self.latest, self.bounds.line_bytes)
            return by_sql.check(spool) or self._careful()
        except UnreadableError as error:
            return CheckedFile(self.file, error=str(error))
        except GoneError as error:
            return CheckedFile(self.file, error=str(error), gone=True)
        except OSError as error:
            why = f"{UNAVAILABLE}: {error.strerror or error}"
            return CheckedFile(self.file, error=why, unavailable=True)

    def _natively(self) -> CheckedFile:
        reader = PlainReader(self.latest, self.bounds.line_bytes)
        block = ctypes.create_string_buffer(_BLOCK)
        for count in fill(block, self.source, self.file, self.bounds.file_bytes):
            reader.feed(block, count)
        left = reader.finish()
        lines = reader.taken + len(left)
        unknown = Counter(reader.unknown_keys())
        quarantined: list[QuarantinedLines] = []
        tables = [no_events()]
        ranks: list[Any] = [np.empty(0, np.int64)]
        start = 0
        connection = cache(self.connect)
        for chunk in chunks(self._lines(left)):
            judged = judge(connection(), chunk, self.latest)
            tables.append(judged.rows)
            ranks.append(left.ranks[start : start + len(chunk)][judged.accepted])
            quarantined.append(judged.quarantined)
            unknown += judged.unknown
            start += len(chunk)
        rows = reader.rows(pa.concat_tables(tables), np.concatenate(ranks))
        return self._checked(lines, quarantined, unknown, rows)

    def _careful(self) -> CheckedFile:
        lines = 0
        tables = [no_events()]
        quarantined: list[QuarantinedLines] = []
        unknown: Counter[str] = Counter()
        connection = self.connect()
        for chunk in chunks(numbered_lines(self.source, self.file, self.bounds)):
            lines += len(chunk)
            judged = judge(connection, chunk, self.latest)
            tables.append(judged.rows)
            quarantined.append(judged.quarantined)
            unknown += judged.unknown
        return self._checked(lines, quarantined, unknown, pa.concat_tables(tables))

    def _checked(
        self, lines: int, quarantined: list[QuarantinedLines], unknown: Counter[str], rows: pa.Table
    ) -> CheckedFile:
        together = QuarantinedLines.joined(quarantined)
        return CheckedFile(self.file, lines, together, unknown_keys=dict(sorted(unknown.items())), rows=rows)

    def _lines(self, left: Left) -> Iterator[tuple[int, bytes]]:
        """The left lines, as the exact judge takes them."""
        for number, raw, size in left:
            yield number, raw if size <= self.bounds.line_bytes else shortened(raw, size)
