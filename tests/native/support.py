"""What the tests of the native reader share: bytes in, what was taken and what was left out, and what the judge says."""

import ctypes
from collections import Counter
from datetime import datetime
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pytest

from shoplake.engines.judging import no_events
from shoplake.engines.native import library
from shoplake.engines.native.reader import PlainReader
from tests import judge

LATEST = datetime(2025, 12, 1)  # noqa: DTZ001 - times of the lake are UTC without a zone
LONGEST = 1 << 21
needed = pytest.mark.skipif(
    not library.available().works,
    reason=f"without the native library every line goes through SQL: {library.available().reason}",
)
"""That it is there wherever there is a compiler, ``test_available`` asserts."""


class Outcome(NamedTuple):
    """What the native reader made of a file; lines are numbered from 1."""

    rows: pa.Table
    left: dict[int, bytes]
    sizes: dict[int, int]
    unknown: dict[str, int]


def read(content, sizes=(1 << 18,), longest=LONGEST):
    """Feed a file's bytes in blocks of the given sizes in turn; the last size again and again."""
    reader = PlainReader(LATEST, longest)
    at = turn = 0
    while at < len(content):
        size = sizes[min(turn, len(sizes) - 1)]
        block = content[at : at + size]
        reader.feed(ctypes.create_string_buffer(block, len(block)), len(block))
        at, turn = at + size, turn + 1
    left = reader.finish()
    lines = list(left)
    unknown = reader.unknown_keys()
    assert reader.taken + len(left) == sum(bool(line.strip()) for line in content.split(b"\n"))
    rows = reader.rows(no_events(), np.empty(0, np.int64))
    return Outcome(rows, {n: raw for n, raw, _ in lines}, {n: size for n, _, size in lines}, unknown)


def taken(outcome, lines):
    """Numbers of the lines that were taken."""
    return [number for number, line in enumerate(lines, 1) if line.strip() and number not in outcome.left]


def check(lines, sizes=(1 << 18,)):
    """Assert that every line taken is one that the judge accepts, with the judge's values; returns how many were taken."""
    outcome = read(b"\n".join(lines), sizes)
    numbers = taken(outcome, lines)
    assert all(raw == lines[number - 1] for number, raw in outcome.left.items())
    rows = zip(*(outcome.rows.column(name).to_pylist() for name in ORDER), strict=True)
    unknown: Counter[str] = Counter()
    for number, row in zip(numbers, rows, strict=True):
        reasons, event, keys = judge.judge_line(lines[number - 1], LATEST)
        assert not reasons, f"taken, but {reasons}: {lines[number - 1]!r}"
        assert event
        assert row == (*event, extra(keys)), f"other values: {lines[number - 1]!r}"
        unknown.update(list(keys or ()))
    assert outcome.unknown == unknown
    return len(numbers)


ORDER = (
    *("event_time", "user_id", "session_id", "event_type", "product_id"),
    *("category", "quantity", "price", "search_query", "extra"),
)


def extra(keys):
    """Unknown keys as the events table holds them."""
    kept = [
        f"{judge._as_json(name)}: {judge._as_json(keys[name])}" for name in sorted(keys or ()) if keys[name] is not None
    ]
    return f"{{{', '.join(kept)}}}" if kept else None
