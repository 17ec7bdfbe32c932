"""Small things share a file or a task; large ones have their own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")

FEW_ROWS = 10_000
"""Rows of a data file that several source files, or several hours of gold, share. It is written again if one is replaced."""


def together(sized: Iterable[tuple[Item, int]], most: int) -> Iterator[list[Item]]:
    """Items in groups, in their order, each as large as it may be.

    Args:
        sized: The items with their sizes.
        most: What the sizes of a group add up to at most; a larger item is alone.
    """
    group: list[Item] = []
    room = 0
    for item, size in sized:
        if group and size > room:
            yield group
            group = []
        room = (room if group else most) - size
        group.append(item)
    if group:
        yield group
