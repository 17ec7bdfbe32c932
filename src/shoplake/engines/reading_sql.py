"""How a source file is read where the native reader is not there: by SQL, which is sure of nearly every line.

One pass of DuckDB's JSON reader judges and types the nine fields. Lines of which the layout then proves that nothing else is
in them are done (:mod:`shoplake.engines.layout`). A second statement looks at each of the others as text: for keys that the
contract does not know, and for what that reader forgives or changes. What either is not sure of is read with care.
"""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shoplake.contract import FIELD_NAMES, FIELDS, MAX_DEPTH, certain_sql, check_sql
from shoplake.engines.base import CheckedFile
from shoplake.engines.judging import ROW_COLUMNS, Judged, chunks, judge
from shoplake.engines.layout import Layout, Lines, Values
from shoplake.engines.quarantined import QuarantinedLines
from shoplake.parsing import BOM
from shoplake.queries import sql
from shoplake.sources.base import SourceFile
from shoplake.sources.lines import Spool

_Array = np.ndarray[Any, Any]
_FIRST_LINES = 20
_NOTHING_SEEN = pa.schema([("keys", pa.list_(pa.string())), ("extra", pa.string()), ("odd", pa.bool_())]).empty_table()
_LONGEST_OBJECT = 1024 * 1024
_TEXTS = tuple(field.column for field in FIELDS if field.type == "string")
_OTHERS = tuple(field.name for field in FIELDS if field.type != "string")
# What may be other than strict JSON with exact values. Some of it may stand inside a text: then it does no harm.
_ODD = "|".join(
    (
        r",\s*[}\]]",  # forgiven: a trailing comma
        r"[:,\[]\s*-?(?:[NiI]|n[^u])",  # forgiven: NaN, Infinity
        r"[:,\[]\s*-?(?:[0-9.]{16}|[0-9]+(?:\.[0-9]+)?[eE])|[:,\[]\s*-0",  # goes through a double
        rf'"(?:{"|".join(_TEXTS)})"\s*:\s*-?[0-9]+\.',  # so does this: 1.50 becomes 1.5
        r'"price"\s*:\s*"(?:[^0-9]|[0-9.]*[^0-9."]|[0-9.]*\.")',  # forgiven by the cast: "1_0", " 1", "1."
        r'[{,]\s*"[^"\\]*\\',  # an escape in a key, which may be one of these
        rf"(?:[\[{{][^\[{{]*){{{MAX_DEPTH + 1}}}",  # may be nested too deep
    )
)


@dataclass
class SqlReading:
    """One source file being read by SQL.

    Attributes:
        connection: A connection of its own.
        file: The file.
        latest: The latest time that an event may have.
        longest_line: Bytes of the longest line that is read.
    """

    connection: duckdb.DuckDBPyConnection
    file: SourceFile
    latest: datetime
    longest_line: int

    def check(self, spool: Spool) -> CheckedFile | None:
        """Judge every line; None where only the careful reader can.

        Args:
            spool: Holds the inflated file.
        """
        lines = Lines(spool.content())
        if not len(lines) or self._hides_something(lines):
            return None
        try:
            rows = self._read(spool.path)
            if rows.num_rows != len(lines):
                return None
            accepted = rows.column("accepted").to_numpy()
            unproven = np.flatnonzero(accepted & ~_plain(lines, rows))
            looked = self._look(spool, lines, rows, unproven)
        except duckdb.Error:  # a line that is too long for its reader, or whatever else lies in this one file
            return None
        if looked.num_rows != len(unproven):
            return None
        odd = looked.column("odd").to_numpy()
        sure = accepted.copy()
        sure[unproven[odd]] = False
        rows = rows.select(ROW_COLUMNS[:-1]).append_column(
            "extra", _spread(looked.column("extra"), unproven, len(lines))
        )
        judged = self._judge(lines, np.flatnonzero(~sure))
        if not sure.all():
            rows = rows.filter(pa.array(sure))
        if judged.rows.num_rows:
            places = np.concatenate([np.flatnonzero(sure), np.flatnonzero(~sure)[judged.accepted]])
            rows = pa.concat_tables([rows, judged.rows]).take(pa.array(np.argsort(places)))
        counts = pc.value_counts(pc.list_flatten(looked.filter(pa.array(~odd)).column("keys"))).to_pylist()
        unknown = judged.unknown + Counter({one["values"]: one["counts"] for one in counts})
        return CheckedFile(
            self.file, len(lines), judged.quarantined, unknown_keys=dict(sorted(unknown.items())), rows=rows
        )

    def _hides_something(self, lines: Lines) -> bool:
        """Whether a file has what SQL never sees.

        That is a vertical tab or form feed, never in JSON but forgiven around it; a byte order mark on a line of its own; or
        a line of more bytes than are read.
        """
        if lines.form_feeds or int((lines.ends - lines.starts).max()) > self.longest_line:
            return True
        first = lines[0]
        return first.startswith(BOM) and not first.removeprefix(BOM).strip()

    def _read(self, path: str) -> pa.Table:
        """The typed rows of a file, one for each line that is not blank."""
        lines = (
            f"read_json('{path}', format = 'newline_delimited', auto_detect = false, compression = 'uncompressed', "
            f"ignore_errors = true, maximum_object_size = {_LONGEST_OBJECT}, columns = {dict.fromkeys(FIELD_NAMES, 'VARCHAR')})"
        )
        sizes = ", ".join(f"CAST(strlen({name}) AS INTEGER) AS {name}_size" for name in _OTHERS)
        return self.connection.sql(check_sql(lines, self.latest, sizes)).to_arrow_table()

    def _look(self, spool: Spool, lines: Lines, rows: pa.Table, wanted: _Array) -> pa.Table:
        """Of some lines, the keys that are unknown, their values as JSON text, and whether to read the line with care."""
        if not len(wanted):
            return _NOTHING_SEEN
        if len(wanted) == len(lines):
            looked = self._looked(spool.path)
        else:
            with closing(Spool()) as some:
                some.hold(lines.some(wanted))
                looked = self._looked(some.path)
        self.connection.register("read", rows.select(_TEXTS).take(pa.array(wanted)))
        certain = self.connection.sql(certain_sql("read")).to_arrow_table().column("certain")
        if looked.num_rows != len(wanted):
            return looked
        return looked.set_column(2, "odd", pc.or_(looked.column("odd"), pc.invert(certain)))

    def _looked(self, path: str) -> pa.Table:
        values = {"path": path, "known": list(FIELD_NAMES), "odd": _ODD, "longest": _LONGEST_OBJECT}
        return self.connection.sql(sql("look"), params=values).to_arrow_table()

    def _judge(self, lines: Lines, doubtful: _Array) -> Judged:
        """Judge some of the lines with care."""
        numbered = ((int(lines.numbers[place]), lines[place]) for place in doubtful.tolist())
        parts = [judge(self.connection, [], self.latest)]
        accepted = []
        before = 0
        for chunk in chunks(numbered):
            parts.append(judge(self.connection, chunk, self.latest))
            accepted.append(parts[-1].accepted + before)
            before += len(chunk)
        return Judged(
            pa.concat_tables([part.rows for part in parts]),
            np.concatenate([np.empty(0, np.int64), *accepted]),
            QuarantinedLines.joined(part.quarantined for part in parts),
            sum((part.unknown for part in parts), Counter()),
        )


def _plain(lines: Lines, rows: pa.Table) -> _Array:
    """Which of the lines that meet the contract are proven to hold nothing but their values."""
    first = (lines[place] for place in range(min(_FIRST_LINES, len(lines))))
    layout = next(filter(None, map(Layout.of, first)), None)
    if layout is None:
        return np.zeros(len(lines), bool)
    values = {name: _values(rows.column(f"{name}_size")) for name in _OTHERS}
    values |= {name: _values(pc.binary_length(rows.column(name))) for name in _TEXTS}
    return layout.fits(lines, values)


def _values(sizes: pa.ChunkedArray) -> Values:
    if not sizes.null_count:
        return Values(sizes.to_numpy(), np.zeros(len(sizes), bool))
    return Values(sizes.fill_null(0).to_numpy(), sizes.is_null().to_numpy())


def _spread(values: pa.ChunkedArray, places: _Array, rows: int) -> pa.Array | pa.ChunkedArray:
    """Values in their rows, NULL in all others."""
    if values.null_count == len(values):
        return pa.nulls(rows, pa.string())
    if len(values) == rows:
        return values
    order = np.full(rows, -1)
    order[places] = np.arange(len(places))
    return values.take(pa.array(order, mask=order < 0))
