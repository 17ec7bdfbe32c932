"""Up to when a lake is complete: every slot until then has its file in, or somebody has said why it has none."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from shoplake.lake import gaps, parquet
from shoplake.lake.gaps import Acknowledged
from shoplake.lake.ledger import CLOCK_TOLERANCE, INGESTED
from shoplake.lake.snapshots import TableSnapshot
from shoplake.sources import slots
from shoplake.sources.slots import SLOT, Gap
from shoplake.tables import LEDGER

_COLUMNS = ["source_file", "status", "arrived_at"]


def until(ledger: TableSnapshot, acknowledged: Sequence[Acknowledged]) -> datetime | None:
    """Up to when a lake is complete, UTC without a zone; None where no file names a slot.

    Args:
        ledger: The ledger.
        acknowledged: The slots in which files may be missing.
    """
    return of(_entries(ledger), acknowledged)


def of(entries: Iterable[tuple[str, str, datetime]], acknowledged: Sequence[Acknowledged]) -> datetime | None:
    """The start of the first slot without a file, or with a file whose lines are not in; else the end of the newest slot.

    Lines are not in of a file that is unreadable, or waits to be ingested again. Acknowledged slots do not count. Files that
    name a slot later than their arrival say nothing.

    Args:
        entries: Path, status and arrival of each file in the ledger.
        acknowledged: The slots in which files may be missing.
    """
    found: dict[str, datetime] = {}
    missing: list[Gap] = []
    for path, status, arrived_at in entries:
        slot = slots.slot(path)
        if slot is not None and slot <= arrived_at + CLOCK_TOLERANCE:
            found[path] = slot
            if status != INGESTED:
                missing.append(Gap(slot, slot + SLOT))
    if not found:
        return None
    missing = gaps.without([*slots.gaps(found), *missing], acknowledged)
    return min((gap.start for gap in missing), default=max(found.values()) + SLOT)


def _entries(ledger: TableSnapshot) -> Iterator[tuple[str, str, datetime]]:
    for file in ledger.files:
        with parquet.reading(file.path):
            rows = parquet.read(LEDGER, ledger.storage.read(file.path), _COLUMNS)
        yield from zip(*(rows.column(name).to_pylist() for name in _COLUMNS), strict=True)
