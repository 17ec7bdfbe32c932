"""Which rows of a batch are equal to one that comes first: what ``sql/dedupe.sql`` and ``sql/dedupe_stored.sql`` say.

Rows that can have an equal one are found by a number made of each row; they are few, and are compared exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from shoplake.contract import EVENT_COLUMNS
from shoplake.engines.codes import Mapper, equal_rows, members, microseconds, repeated, row_keys
from shoplake.engines.texts import Numbers
from shoplake.lake import parquet
from shoplake.tables import EVENTS

STORED_COLUMNS = (*EVENT_COLUMNS, "source_file")
"""The columns of stored events that are compared, and whose they are."""

_STORED = -1


@dataclass(frozen=True)
class StoredEvents:
    """Events that the lake holds of other files than the batch's, near some of the batch in time.

    Attributes:
        first: Their earliest time, in microseconds since 1970.
        last: Their latest.
        read: Gives them, encoded, with :data:`STORED_COLUMNS`.
    """

    first: int
    last: int
    read: Callable[[], pa.Table]


@dataclass(frozen=True)
class Duplicates:
    """Rows of one file that go.

    Attributes:
        positions: Which.
        firsts: Paths of the files that hold the events that they are equal to.
    """

    positions: Numbers
    firsts: frozenset[str]


def find(
    paths: Sequence[str], tables: Sequence[pa.Table], stored: Sequence[StoredEvents], mapper: Mapper
) -> dict[int, Duplicates]:
    """The duplicates of a batch.

    Of rows that are equal, in all nine fields, to a stored one all go. Of others the first row of the first file stays.

    Args:
        paths: Those of the files, in order.
        tables: The rows of each, encoded, at least one.
        stored: Near what the lake holds.
        mapper: Spreads the work over threads.

    Returns:
        By the place of the file; nothing for files without any.
    """
    keys = mapper(row_keys, tables)
    times = [microseconds(rows, "event_time") for rows in tables]
    groups = _overlapping([(int(one.min()), int(one.max())) for one in times])
    of_groups = mapper(lambda group: repeated([keys[order] for order in group]), groups)
    twice = {order: found for group, found in zip(groups, of_groups, strict=True) for order in group}

    def meeting(events: StoredEvents) -> tuple[pa.Table, Numbers]:
        """Those stored events that may be equal to one of the batch, and their keys."""
        near = [
            own[(moments >= events.first) & (moments <= events.last)] for own, moments in zip(keys, times, strict=True)
        ]
        rows = events.read()
        every = row_keys(rows)
        met = members(every, np.sort(np.concatenate(near)))
        return rows.take(pa.array(met)), every[met]

    met = [(rows, of) for rows, of in mapper(meeting, stored) if len(of)]
    wanted = np.concatenate([of for _, of in met]) if met else np.empty(0, np.uint64)
    suspects = mapper(lambda order: members(keys[order], np.union1d(twice[order], wanted)), range(len(tables)))
    candidates = [
        _candidates(rows.take(pa.array(found)), order, found, paths[order])
        for order, (rows, found) in enumerate(zip(tables, suspects, strict=True))
        if len(found)
    ]
    if not candidates:
        return {}
    if met:
        rows = pa.concat_tables([_plain(rows, STORED_COLUMNS) for rows, _ in met]).sort_by("source_file")
        candidates.append(_candidates(rows, _STORED, np.arange(rows.num_rows)))
    return _compared(pa.concat_tables(candidates))


def _compared(candidates: pa.Table) -> dict[int, Duplicates]:
    """Those of the batch's candidates that are equal to an earlier one; stored ones are the earliest."""
    order, position = (candidates.column(name).to_numpy() for name in ("file_order", "position"))
    gone, firsts = equal_rows(candidates, [order, position])
    gone, firsts = gone[order[gone] != _STORED], firsts[order[gone] != _STORED]
    found = {}
    for number in np.unique(order[gone]).tolist():
        own = order[gone] == number
        sources = candidates.column("source_file").take(pa.array(np.unique(firsts[own])))
        found[number] = Duplicates(position[gone[own]], frozenset(sources.to_pylist()))
    return found


def _candidates(rows: pa.Table, order: int, positions: Numbers, path: str | None = None) -> pa.Table:
    """Rows as ``sql/dedupe.sql`` takes them; those of a file of the batch get its path."""
    if path is not None:
        rows = _plain(rows, EVENT_COLUMNS).append_column("source_file", pa.array([path] * rows.num_rows, pa.string()))
    rows = rows.append_column("file_order", pa.array(np.full(rows.num_rows, order, np.int64)))
    return rows.append_column("position", pa.array(positions, pa.int64()))


def _plain(rows: pa.Table, names: Sequence[str]) -> pa.Table:
    """Columns of rows, texts as they are."""
    return rows.select(names).cast(
        pa.schema([parquet.arrow_schema(EVENTS).field(name) for name in names]).remove_metadata()
    )


def _overlapping(spans: Sequence[tuple[int, int]]) -> list[list[int]]:
    """Groups of files whose times overlap: equal events lie in the same group, since their times are equal."""
    groups: list[list[int]] = []
    end = -1
    for (first, last), order in sorted(zip(spans, range(len(spans)), strict=True)):
        if first > end:
            groups.append([])
        groups[-1].append(order)
        end = max(end, last)
    return groups
