"""How a source file is read where the native reader is not there: by SQL, which is sure of nearly every line.

One pass of DuckDB's JSON reader judges and types the nine fields. A second looks at each line as text: for keys that the
contract does not know, and for what that reader forgives or changes. What either is not sure of is read with care.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shoplake.contract import FIELD_NAMES, FIELDS, LONGEST_LINE, MAX_DEPTH, check_sql
from shoplake.engines.base import CheckedFile
from shoplake.engines.judging import judge
from shoplake.parsing import BOM
from shoplake.queries import sql
from shoplake.sources.base import Source, SourceFile
from shoplake.sources.lines import numbered_lines

_Flags = np.ndarray[Any, np.dtype[np.bool_]]
_BLOCK = 1 << 20
_LONGEST_OBJECT = 1024 * 1024
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


@dataclass
class SqlReading:
    """One source file being read by SQL.

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

    def check(self, path: str) -> CheckedFile | None:
        """Judge every line; None where only the careful reader can.

        Args:
            path: The inflated file.
        """
        if _hides_something(path):
            return None
        try:
            rows, looked = self._read(path), self._look(path)
        except duckdb.Error:  # a line that is too long for its reader, or whatever else lies in this one file
            return None
        if looked.num_rows != rows.num_rows:
            return None
        sure = rows.column("accepted").to_numpy() & ~looked.column("odd").to_numpy()
        doubtful = self._lines(~sure)
        if doubtful is None:
            return None
        rows = rows.drop_columns(["accepted"]).append_column("extra", looked.column("extra"))
        keys = looked.column("keys")
        judged = judge(self.connection, doubtful, self.latest)
        if doubtful:
            rows, keys = rows.filter(pa.array(sure)), keys.filter(pa.array(sure))
        if judged.rows.num_rows:
            positions = np.concatenate([np.flatnonzero(sure), np.flatnonzero(~sure)[judged.accepted]])
            rows = pa.concat_tables([rows, judged.rows]).take(pa.array(np.argsort(positions)))
        counts = pc.value_counts(pc.list_flatten(keys)).to_pylist()
        unknown = judged.unknown + Counter({one["values"]: one["counts"] for one in counts})
        return CheckedFile(
            self.file, looked.num_rows, judged.quarantined, unknown_keys=dict(sorted(unknown.items())), rows=rows
        )

    def _read(self, path: str) -> pa.Table:
        """The typed rows of a file, one for each line that is not blank."""
        lines = (
            f"read_json('{path}', format = 'newline_delimited', auto_detect = false, compression = 'uncompressed', "
            f"ignore_errors = true, maximum_object_size = {_LONGEST_OBJECT}, columns = {dict.fromkeys(FIELD_NAMES, 'VARCHAR')})"
        )
        return self.connection.sql(check_sql(lines, self.latest)).to_arrow_table()

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

    def _look(self, path: str) -> pa.Table:
        """The unknown keys of each line, their values as JSON text, and which lines have to be read with care."""
        values = {"path": path, "known": list(FIELD_NAMES), "odd": _ODD, "longest": _LONGEST_OBJECT}
        return self.connection.sql(sql("look"), params=values).to_arrow_table()


def _hides_something(path: str) -> bool:
    """Whether a file has what SQL never sees.

    That is a vertical tab or form feed, never in JSON but forgiven around it; a byte order mark on a line of its own; or a
    line of more bytes than are read.
    """
    with open(path, "rb", buffering=0) as stream:  # noqa: PTH123 - no path, a file descriptor
        since_newline = 0
        for block in iter(lambda: stream.read(_BLOCK), b""):
            if b"\x0b" in block or b"\x0c" in block:
                return True
            first = block.find(b"\n")
            if since_newline + (len(block) if first < 0 else first) > LONGEST_LINE:
                return True
            since_newline = since_newline + len(block) if first < 0 else len(block) - 1 - block.rfind(b"\n")
        stream.seek(0)
        head = stream.read(_BLOCK)
        return head.startswith(BOM) and not head.removeprefix(BOM).split(b"\n", 1)[0].strip()
