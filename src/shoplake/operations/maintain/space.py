"""How much of a lake may be merged now: what is merged is stored twice until its old files may be removed.

Files of ``d`` bytes and ``k`` bytes of keys become one of ``n`` bytes; their keys are removed at once. The lake then stores
``stored - k + n`` bytes and uses ``live - d - k + n``. That is at most ``most`` bytes for each one in use, however small the
merged file is, where ``d + k * (1 - 1 / most) <= live - stored / most``.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from shoplake.lake.catalog import Lake
from shoplake.lake.snapshots import View, keys_location
from shoplake.operations.maintain.compact import Group
from shoplake.tables import TABLES

FREE = 16 << 20  # bytes beside those in use: less is not worth waiting for


class Room:
    """The room that merged files may still take.

    Data files and their keys count. Metadata does not: how much of it is kept is bounded by itself.
    """

    def __init__(self, lake: Lake, view: View, most: float) -> None:
        """List the lake and compare.

        Args:
            lake: The lake.
            view: Its newest state.
            most: Bytes stored per byte in use; infinite for no bound.

        Raises:
            FatalError: The lake cannot be listed.
        """
        self._sizes = {
            file.location: file.bytes
            for table in TABLES
            for file in lake.storage.list(f"{lake.root}/{table.name}")
            if not file.location.startswith(f"{view[table.name].folder}/metadata/")
        }
        self._keys = 1 - 1 / most
        live = sum(sum(self._bytes(file.path)) for table in view.tables.values() for file in table.files)
        stored = sum(self._sizes.values())
        self._left = max(live - stored / most, FREE - (stored - live))

    def take(self, group: Group) -> bool:
        """Whether a group of files may be merged; if so, that room is taken."""
        sizes = [self._bytes(path) for path in group.paths]
        needed = sum(data + keys * self._keys for data, keys in sizes)
        fits = needed <= self._left
        if fits:
            self._left -= needed
        return fits

    def _bytes(self, path: str) -> tuple[int, int]:
        """Of a data file, and of its keys."""
        return self._sizes.get(path, 0), self._sizes.get(keys_location(path), 0)


def within(room: Room, days: Mapping[date, list[Group]]) -> dict[date, list[Group]]:
    """The groups, oldest first, for which there is room; the others wait for a later maintenance."""
    kept = {day: [group for group in groups if room.take(group)] for day, groups in days.items()}
    return {day: groups for day, groups in kept.items() if groups}
