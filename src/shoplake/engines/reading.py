"""How the embedded engine reads one source file: judged and typed in one pass of SQL over its inflated lines.

Only what that pass turned down is read a second time, line by line, for its exact reasons. Only a file whose size the nine
fields do not explain is looked through: for keys that the contract does not know, and for lines that DuckDB's parser forgives
or changes, which are read a second time as well.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, NamedTuple

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shoplake.contract import (
    EVENT_COLUMNS,
    FIELD_NAMES,
    FIELDS,
    MAX_DEPTH,
    Parsed,
    check_sql,
    explained_bytes,
    parse_line,
    reasons_sql,
    without_bom,
)
from shoplake.engines.base import CheckedFile, Quarantined
from shoplake.lake import parquet
from shoplake.sources.base import Source, SourceFile
from shoplake.sources.lines import GoneError, Spool, UnreadableError, numbered_lines
from shoplake.tables import EVENTS

_Flags = np.ndarray[Any, np.dtype[np.bool_]]
_LONGEST_LINE = 1024 * 1024
_CAREFUL_LINES = 50_000
_MOST_UNKNOWN_KEYS = 50
_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ESCAPED = r"[^ !#-\[\]-~]"
_TEXTS = tuple(field.column for field in FIELDS if field.type == "string")
# What may be other than strict JSON with exact values. Some of it may stand inside a text: then it does no harm.
_ODD = "|".join(
    (
        r",\s*[}\]]",  # forgiven: a trailing comma
        r"[:,\[]\s*-?(?:[NiI]|n[^u])",  # forgiven: NaN, Infinity
        r"[:,\[]\s*-?(?:[0-9.]{16}|[0-9]+(?:\.[0-9]+)?[eE])|[:,\[]\s*-0",  # goes through a double
        rf'"(?:{"|".join(_TEXTS)})"\s*:\s*-?[0-9]+\.',  # so does this: 1.50 becomes 1.5
        r'"price"\s*:\s*"(?:[^0-9]|[0-9.]*[^0-9."]|[0-9.]*\.")',  # forgiven by the cast: "1_0", " 1", "1."
        r'\\[^"]*"\s*:',  # an escape in a key, which may be one of these
        rf"(?:[\[{{][^\[{{]*){{{MAX_DEPTH + 1}}}",  # may be nested too deep
    )
)
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

    def check(self, spool: Spool) -> CheckedFile:
        """Judge every line.

        Args:
            spool: Holds the inflated file meanwhile.
        """
        if self.file.bytes == 0:
            return CheckedFile(self.file, rows=no_events())
        try:
            path = spool.fill(self.source, self.file)
            return self._fast(path, spool.bytes) or self._careful()
        except UnreadableError as error:
            return CheckedFile(self.file, error=str(error))
        except GoneError as error:
            return CheckedFile(self.file, error=str(error), gone=True)
        except OSError as error:
            return CheckedFile(self.file, error=f"cannot be read: {error.strerror or error}")

    def _fast(self, path: str, size: int) -> CheckedFile | None:
        """Judge by SQL; None where only the careful reader can."""
        rows = self._read(path)
        if rows is None:
            return None
        sure = rows.column("accepted").to_numpy()
        doubtful = self._lines(~sure)
        if doubtful is None:
            return None
        if _is_explained(rows, size - sum(len(raw) + 1 for _, raw in doubtful)):
            judged = judge(self.connection, doubtful, self.latest)
            return self._together(rows, sure, judged, Counter(key for one in judged.parsed for key in one.unknown))
        return self._looked_through(path, rows)

    def _looked_through(self, path: str, rows: pa.Table) -> CheckedFile | None:
        """Judge by SQL what it reads exactly, and the other lines with care; None where only the careful reader can."""
        if _holds_vertical_white(path):
            return None
        odd, unknown = self._look(path)
        if len(odd) != rows.num_rows or not _are_columns(unknown):
            return None
        if unknown:
            with_unknown = self._read(path, sorted(unknown))
            if with_unknown is None:
                return None
            rows = with_unknown
        sure = rows.column("accepted").to_numpy() & ~odd
        doubtful = self._lines(~sure)
        if doubtful is None:
            return None
        judged = judge(self.connection, doubtful, self.latest)
        for parsed, position in zip(judged.parsed, np.flatnonzero(~sure), strict=True):
            if odd[position]:
                unknown.update(parsed.unknown.keys())
        return self._together(rows, sure, judged, unknown)

    def _together(self, rows: pa.Table, sure: _Flags, judged: Judged, unknown: Counter[str]) -> CheckedFile:
        """The rows that SQL is sure of and those that careful reading accepted, in the order of the lines."""
        lines = rows.num_rows
        if judged.parsed:
            rows = rows.filter(pa.array(sure))
        rows = rows.drop_columns(["accepted", "width"])
        if judged.rows.num_rows:
            positions = np.concatenate([np.flatnonzero(sure), np.flatnonzero(~sure)[judged.accepted]])
            rows = pa.concat_tables([rows, judged.rows]).take(pa.array(np.argsort(positions)))
        return CheckedFile(self.file, lines, judged.quarantined, unknown_keys=dict(sorted(unknown.items())), rows=rows)

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

    def _lines(self, wanted: _Flags) -> list[tuple[int, bytes]] | None:
        """Some of the lines that are not blank, numbered; None if SQL's rows are not the file's lines."""
        if not wanted.any():
            return []
        lines = 0
        found = []
        for number, raw in numbered_lines(self.source, self.file):
            if lines < len(wanted) and wanted[lines]:
                found.append((number, raw))
            lines += 1
        return found if lines == len(wanted) else None

    def _look(self, path: str) -> tuple[_Flags, Counter[str]]:
        """Which lines DuckDB's parser may forgive, change or not read at all; the unknown keys of the others, counted."""
        known = ", ".join(f"'{name}'" for name in FIELD_NAMES)
        self.connection.execute(
            "CREATE OR REPLACE TEMP TABLE looked AS SELECT coalesce(regexp_matches(json, $odd), TRUE) AS odd,"
            f" list_distinct(list_filter(json_keys(json), lambda key: key NOT IN ({known}))) AS keys"
            f" FROM read_ndjson_objects('{path}', compression = 'uncompressed', ignore_errors = true,"
            f" maximum_object_size = {_LONGEST_LINE})",
            {"odd": _ODD},
        )
        odd = self.connection.execute("SELECT odd FROM looked").fetchnumpy()["odd"]
        keys = "SELECT unnest(keys) AS key FROM looked WHERE NOT odd"
        counted = self.connection.execute(f"SELECT key, count(*) FROM ({keys}) GROUP BY key").fetchall()
        self.connection.execute("DROP TABLE looked")
        return np.asarray(odd, bool), Counter(dict(counted))

    def _careful(self) -> CheckedFile:
        lines = 0
        tables = [no_events()]
        quarantined: list[Quarantined] = []
        unknown: Counter[str] = Counter()
        for chunk in chunks(numbered_lines(self.source, self.file)):
            lines += len(chunk)
            judged = judge(self.connection, chunk, self.latest)
            tables.append(judged.rows)
            quarantined += judged.quarantined
            unknown.update(key for parsed in judged.parsed for key in parsed.unknown)
        return CheckedFile(
            self.file,
            lines,
            tuple(quarantined),
            unknown_keys=dict(sorted(unknown.items())),
            rows=pa.concat_tables(tables),
        )


class Judged(NamedTuple):
    """Lines read with care.

    Attributes:
        parsed: Each line.
        rows: Those that meet the contract, typed.
        accepted: Which these are.
        quarantined: The others.
    """

    parsed: list[Parsed]
    rows: pa.Table
    accepted: np.ndarray[Any, Any]
    quarantined: tuple[Quarantined, ...]


def judge(connection: duckdb.DuckDBPyConnection, lines: Sequence[tuple[int, bytes]], latest: datetime) -> Judged:
    """Judge raw lines by the contract's full rules.

    Args:
        connection: Any.
        lines: Numbers and bytes.
        latest: The latest time that an event may have.
    """
    if not lines:
        return Judged([], no_events(), np.empty(0, np.int64), ())
    parsed = [parse_line(without_bom(number, raw)) for number, raw in lines]
    connection.register("doubtful", as_table(parsed))
    judged = connection.sql(f"SELECT * FROM ({reasons_sql('doubtful', latest)}) ORDER BY position").to_arrow_table()
    reasons = judged.column("reasons").to_pylist()
    accepted = judged.filter(pc.equal(judged.column("reasons"), ""))
    quarantined = tuple(
        Quarantined(number, raw, tuple(codes.split(",")))
        for (number, raw), codes in zip(lines, reasons, strict=True)
        if codes
    )
    rows = accepted.select(list(ROW_COLUMNS)).cast(no_events().schema)
    return Judged(parsed, rows, accepted.column("position").to_numpy(), quarantined)


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


def _holds_vertical_white(path: str) -> bool:
    """Whether there are vertical tabs or form feeds: never in JSON, but forgiven around it, out of sight of SQL."""
    with open(path, "rb", buffering=0) as stream:  # noqa: PTH123 - no path, a file descriptor
        return any(b"\x0b" in block or b"\x0c" in block for block in iter(lambda: stream.read(1 << 20), b""))
