"""A line fits the layout of another only if nothing but its values is in it."""

from __future__ import annotations

import json

import numpy as np
import pytest

from shoplake.contract import FIELD_NAMES, FIELDS
from shoplake.engines.layout import Layout, Lines, Values
from tests.support import event

TEXTS = [field.name for field in FIELDS if field.type == "string"]
TRICKS = (
    '"',
    '","',
    '", "',
    '",',
    ', "',
    '\\", "',
    '"}',
    "é",
    "🎁",
    ',\t"',
    '": "',
    '", "quantity": ',
    '","quantity":null',
)


@pytest.mark.parametrize("separators", [(", ", ": "), (",", ":")], ids=["spaced", "compact"])
def test_no_line_with_an_escape_fits(separators):
    """An escape is longer than what it stands for: all that follows is looked for too early, and is not there."""
    plain = event(0, search_query="atlas", event_type="purchase")
    escaped = [
        plain | {name: text} for name in TEXTS for trick in TRICKS for text in (trick, f"a{trick}", f"{trick}{trick}")
    ]
    events = [plain, *escaped, plain | {"search_query": None}]
    lines = Lines(
        memoryview(b"\n".join([*(json.dumps(one, separators=separators).encode() for one in events), b"\n" * 8]))
    )
    layout = Layout.of(lines[0])
    assert layout
    fitting = layout.fits(lines, {name: _values([one[name] for one in events]) for name in FIELD_NAMES})
    assert np.flatnonzero(fitting).tolist() == [0, len(events) - 1]


def _values(values: list[str | int | float | None]) -> Values:
    """What SQL says of them."""
    sizes = [0 if value is None else len(str(value).encode()) for value in values]
    return Values(np.array(sizes), np.array([value is None for value in values]))
