"""How the embedded engine reads one source file: judged and typed in one pass of SQL over its inflated lines.

Only what that pass turned down is read a second time, line by line, for its exact reasons; only a file whose size the nine
fields do not explain is looked through for keys that the contract does not know.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shoplake import parquet
from shoplake.contract import (
    BOM,
    EVENT_COLUMNS,
    FIELD_NAMES,
    FIELDS,
    Parsed,
    check_sql,
    explained_bytes,
    parse_line,
    reasons_sql,
)
from shoplake.discover import Source, SourceFile
from shoplake.engines.base import Checked, Quarantined
from shoplake.engines.raw import GoneError, Spool, UnreadableError, numbered_lines
from shoplake.tables import EVENTS

_LONGEST_LINE = 1024 * 1024
_CAREFUL_LINES = 50_000
_MOST_UNKNOWN_KEYS = 50
_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ESCAPED = r"[^ !#-\[\]-~]"
_TEXTS = tuple(field.column for field in FIELDS if field.type == "string")
ROW_COLUMNS = (*EVENT_COLUMNS, "extra")


@dataclass
class Reading:
    """One source file being read.

    Attributes:
        connection: A connection of its own.
        source: Where the file is.
        file: Which.
        latest: The latest time that an event may have.
    """

    connection: duckdb.DuckDBPyConnection
    source: Source
    file: SourceFile
    latest: datetime

    def check(self, spool: Spool) -> Checked:
        """Judge every line.

        Args:
            spool: Holds the inflated file meanwhile.
        """
        if self.file.bytes == 0:
            return Checked(self.file, rows=no_events())
        try:
            path = spool.fill(self.source, self.file)
            return self._fast(path, spool.bytes) or self._careful()
        except UnreadableError as error:
            return Checked(self.file, error=str(error))
        except GoneError as error:
            return Checked(self.file, error=str(error), gone=True)
        except OSError as error:
            return Checked(self.file, error=f"cannot be read: {error.strerror or error}")

    def _fast(self, path: str, size: int) -> Checked | None:
        """Judge by SQL; None where only the careful reader can."""
        rows = self._read(path)
        if rows is None:
            return None
        doubtful = self._doubtful(rows)
        if doubtful is None:
            return None
        unknown: dict[str, int] = {}
        if not _is_explained(rows, size - sum(len(raw) + 1 for _, raw in doubtful)):
            unknown = self._unknown_keys(path)
            if unknown and not _are_columns(unknown):
                return None
            if unknown:
                rows = self._read(path, sorted(unknown))
        if rows is None:
            return None
        saved, quarantined, _ = self._judge(doubtful)
        lines = rows.num_rows
        if doubtful:
            rows = rows.filter(rows.column("accepted"))
        rows = pa.concat_tables([rows.drop_columns(["accepted", "width"]), *saved])
        return Checked(self.file, lines, tuple(quarantined), unknown_keys=unknown, rows=rows)

    def _read(self, path: str, unknown: Sequence[str] = ()) -> pa.Table | None:
        """The typed rows of a file, one for each line that is not blank; None if a line is too long for this reader."""
        columns = dict.fromkeys(FIELD_NAMES, "VARCHAR") | dict.fromkeys(unknown, "JSON")
        lines = (
            f"read_json('{path}', format = 'newline_delimited', auto_detect = false, compression = 'uncompressed', "
            f"ignore_errors = true, maximum_object_size = {_LONGEST_LINE}, columns = {columns})"
        )
        parts = [f"""CASE WHEN "{name}" IS NOT NULL THEN '"{name}": ' || "{name}" END""" for name in unknown]
        extra = (
            f"nullif('{{' || concat_ws(', ', {', '.join(parts)}) || '}}', '{{}}')"
            if unknown
            else "CAST(NULL AS VARCHAR)"
        )
        try:
            return self.connection.sql(check_sql(lines, self.latest, extra)).to_arrow_table()
        except duckdb.InvalidInputException:
            return None

    def _doubtful(self, rows: pa.Table) -> list[tuple[int, bytes]] | None:
        """The lines that SQL turned down; None if its rows are not the file's lines."""
        if pc.all(rows.column("accepted")).as_py() is not False:
            return []
        turned_down = set(np.flatnonzero(~rows.column("accepted").to_numpy()).tolist())
        lines = 0
        doubtful = []
        for position, (number, raw) in enumerate(numbered_lines(self.source, self.file)):
            lines += 1
            if position in turned_down:
                doubtful.append((number, raw))
        return doubtful if lines == rows.num_rows else None

    def _unknown_keys(self, path: str) -> dict[str, int]:
        """In how many lines each key stands that the contract does not know."""
        known = ", ".join(f"'{name}'" for name in FIELD_NAMES)
        found = self.connection.sql(
            "SELECT key, count(*) FROM (SELECT unnest(list_distinct(json_keys(json))) AS key FROM"
            f" read_ndjson_objects('{path}', compression = 'uncompressed', ignore_errors = true,"
            f" maximum_object_size = {_LONGEST_LINE})) AS keys WHERE key NOT IN ({known}) GROUP BY key ORDER BY key"
        )
        return dict(found.fetchall())

    def _careful(self) -> Checked:
        lines = 0
        tables, quarantined = [no_events()], []
        unknown: Counter[str] = Counter()
        for chunk in chunks(numbered_lines(self.source, self.file)):
            lines += len(chunk)
            accepted, turned_down, keys = self._judge(chunk)
            tables += accepted
            quarantined += turned_down
            unknown += keys
        return Checked(
            self.file,
            lines,
            tuple(quarantined),
            unknown_keys=dict(sorted(unknown.items())),
            rows=pa.concat_tables(tables),
        )

    def _judge(self, lines: Sequence[tuple[int, bytes]]) -> tuple[list[pa.Table], list[Quarantined], Counter[str]]:
        return judge(self.connection, lines, self.latest)


def judge(
    connection: duckdb.DuckDBPyConnection, lines: Sequence[tuple[int, bytes]], latest: datetime
) -> tuple[list[pa.Table], list[Quarantined], Counter[str]]:
    """Judge raw lines by the contract's full rules.

    Args:
        connection: Any.
        lines: Numbers and bytes.
        latest: The latest time that an event may have.

    Returns:
        Accepted rows, quarantined lines, and the unknown keys of all of them.
    """
    if not lines:
        return [], [], Counter()
    parsed = [parse_line(raw.removeprefix(BOM) if number == 1 else raw) for number, raw in lines]
    connection.register("doubtful", as_table(parsed))
    judged = connection.sql(f"SELECT * FROM ({reasons_sql('doubtful', latest)}) ORDER BY position").to_arrow_table()
    accepted = judged.filter(pc.equal(judged.column("reasons"), ""))
    quarantined = [
        Quarantined(number, raw, tuple(reasons.split(",")))
        for (number, raw), reasons in zip(lines, judged.column("reasons").to_pylist(), strict=True)
        if reasons
    ]
    rows = accepted.select(list(ROW_COLUMNS)).cast(no_events().schema)
    return [rows], quarantined, Counter(key for line in parsed for key in line.unknown)


def no_events() -> pa.Table:
    """No rows, with the columns that reading gives."""
    return parquet.arrow_schema(EVENTS).remove_metadata().empty_table().select(list(ROW_COLUMNS))


def as_table(parsed: Sequence[Parsed]) -> pa.Table:
    """Parsed lines as ``reasons.sql`` takes them."""
    columns: dict[str, Any] = {
        "position": pa.array(range(len(parsed)), pa.int64()),
        "problem": pa.array([line.problem for line in parsed], pa.string()),
        "extra": pa.array([line.extra for line in parsed], pa.string()),
    }
    for name in FIELD_NAMES:
        columns[name] = pa.array([line.fields[name] for line in parsed], pa.string())
    return pa.table(columns)


def _is_explained(rows: pa.Table, size: int) -> bool:
    """Whether the accepted lines take as many bytes as they do if they hold nothing but the nine fields."""
    if pc.all(rows.column("accepted")).as_py() is False:
        rows = rows.filter(rows.column("accepted"))
    widths = pc.sum(rows.column("width")).as_py() or 0
    nulls = sum(rows.column(name).null_count for name in _TEXTS)
    plain = sum(pc.sum(pc.binary_length(rows.column(name))).as_py() or 0 for name in _TEXTS)
    if size in explained_bytes(rows.num_rows, widths, plain, nulls):
        return True
    # What people type has escapes; identifiers, of which there are many more, hardly ever.
    return any(
        size in explained_bytes(rows.num_rows, widths, plain + escapes, nulls)
        for names in (("search_query",), _TEXTS)
        for escapes in _escapes(rows, names)
    )


def _escapes(rows: pa.Table, names: Sequence[str]) -> tuple[int, int]:
    """The bytes that escapes add to texts: by libraries that write ASCII, by those that write UTF-8."""
    in_ascii = in_utf8 = 0
    for name in names:
        found = pc.value_counts(rows.column(name))
        texts, counts = found.field("values"), found.field("counts")
        special = pc.match_substring_regex(texts, _ESCAPED)
        for text, count in zip(texts.filter(special).to_pylist(), counts.filter(special).to_pylist(), strict=True):
            octets = len(text.encode()) + 2
            in_ascii += count * (len(json.dumps(text)) - octets)
            in_utf8 += count * (len(json.dumps(text, ensure_ascii=False).encode()) - octets)
    return in_ascii, in_utf8


def _are_columns(names: Iterable[str]) -> bool:
    """Whether SQL can read these keys as columns: few, plain, and different from each other whatever their case."""
    names = list(names)
    folded = {name.lower() for name in (*names, *FIELD_NAMES)}
    plain = all(_PLAIN_KEY.fullmatch(name) for name in names)
    return plain and len(names) <= _MOST_UNKNOWN_KEYS and len(folded) == len(names) + len(FIELD_NAMES)


def chunks(lines: Iterable[tuple[int, bytes]]) -> Iterator[list[tuple[int, bytes]]]:
    """Lines, as many at once as are judged together."""
    iterator = iter(lines)
    while chunk := list(islice(iterator, _CAREFUL_LINES)):
        yield chunk
