"""The exact judge of raw lines: Python parses each, SQL applies the contract's rules one by one and gives the reasons."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shoplake.contract import EVENT_COLUMNS, FIELD_NAMES, reasons_sql
from shoplake.engines.quarantined import QuarantinedLines
from shoplake.lake import parquet
from shoplake.parsing import Parsed, parse_line, without_bom
from shoplake.tables import EVENTS

if TYPE_CHECKING:
    import duckdb

ROW_COLUMNS = (*EVENT_COLUMNS, "extra")
_TOGETHER = 50_000
_BYTES_TOGETHER = 32 << 20


class Judged(NamedTuple):
    """Lines read with care.

    Attributes:
        rows: Those that meet the contract, typed.
        accepted: Which these are.
        quarantined: The others.
        unknown: In how many lines each key stands that the contract does not know.
    """

    rows: pa.Table
    accepted: np.ndarray[Any, Any]
    quarantined: QuarantinedLines
    unknown: Counter[str]


def judge(connection: duckdb.DuckDBPyConnection, lines: Sequence[tuple[int, bytes]], latest: datetime) -> Judged:
    """Judge raw lines by the contract's full rules.

    Args:
        connection: Any.
        lines: Numbers and bytes.
        latest: The latest time that an event may have.
    """
    if not lines:
        return Judged(no_events(), np.empty(0, np.int64), QuarantinedLines(), Counter())
    parsed = [parse_line(without_bom(number, raw)) for number, raw in lines]
    connection.register("doubtful", as_table(parsed))
    judged = connection.sql(f"SELECT * FROM ({reasons_sql('doubtful', latest)}) ORDER BY position").to_arrow_table()
    reasons = judged.column("reasons").combine_chunks()
    accepted = judged.filter(pc.equal(reasons, ""))
    broken = np.flatnonzero(pc.not_equal(reasons, "").to_numpy(zero_copy_only=False)).tolist()
    quarantined = QuarantinedLines.packed(
        [lines[place][0] for place in broken],
        [lines[place][1] for place in broken],
        reasons.take(pa.array(broken, pa.int64())),
    )
    unknown = Counter(key for line in parsed for key in line.unknown)
    rows = accepted.select(list(ROW_COLUMNS)).cast(no_events().schema)
    return Judged(rows, accepted.column("position").to_numpy(), quarantined, unknown)


def no_events() -> pa.Table:
    """No rows, with the columns that reading gives."""
    return parquet.arrow_schema(EVENTS).remove_metadata().empty_table().select(list(ROW_COLUMNS))


def as_table(parsed: Sequence[Parsed]) -> pa.Table:
    """Parsed lines as ``reasons.sql`` takes them."""
    columns: dict[str, Any] = {
        "position": pa.array(range(len(parsed)), pa.int64()),
        "problem": pa.array([line.problem for line in parsed], pa.string()),
        "nested": pa.array([f" {' '.join(line.nested)} " if line.nested else None for line in parsed], pa.string()),
        "extra": pa.array([line.extra for line in parsed], pa.string()),
    }
    for name in FIELD_NAMES:
        columns[name] = pa.array([line.fields[name] for line in parsed], pa.string())
    return pa.table(columns)


def chunks(lines: Iterable[tuple[int, bytes]]) -> Iterator[list[tuple[int, bytes]]]:
    """Lines, as many at once as are judged together: parsed they take ten times their bytes, so it is not all of a file."""
    chunk: list[tuple[int, bytes]] = []
    size = 0
    for line in lines:
        chunk.append(line)
        size += len(line[1])
        if len(chunk) == _TOGETHER or size >= _BYTES_TOGETHER:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk
