"""What there is to do: looks at the source, or at its newest files, and at as much of the ledger as they need.

A sweep looks at everything. In a source of more than some thousand files, the runs between two sweeps begin where all older
files were settled (docs/adr/0027).
"""

from __future__ import annotations

import shlex
from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple

from shoplake.errors import UsageError
from shoplake.ingestion import plan
from shoplake.ingestion.plan import Plan
from shoplake.lake import ledger, settled
from shoplake.lake.catalog import Lake, above
from shoplake.lake.snapshots import View
from shoplake.settings import Settings
from shoplake.sources.base import Source
from shoplake.sources.listing import Listing
from shoplake.sources.open import known_as


class Found(NamedTuple):
    """What a look at a source gave.

    Attributes:
        plan: What is to be done.
        listing: The source files that were looked at.
    """

    plan: Plan
    listing: Listing


def look(
    source: Source, lake: Lake, settings: Settings, view: View, only: Collection[str] | None = None, after: str = ""
) -> Found:
    """Look at a source, and plan.

    Args:
        source: Where the raw files are.
        lake: The lake.
        settings: The size of batches, and the source's name.
        view: Its tables.
        only: Paths to take on instead of all that is new, as for :func:`shoplake.ingestion.plan.make`.
        after: Only the files whose path sorts after this one are looked at; all others are in the lake.

    Raises:
        UsageError: The lake was filled from another source, or it cannot be where it is.
    """
    _refuse_place(source, lake, view)
    refuse_another(source, settings, view)
    listing, entries = source.list(after), ledger.plan_entries(view["ledger"], after)
    passed_over = view["ledger"].rows - len(entries) if after else 0
    return Found(plan.make(listing, entries, settings.batch_bytes, only, passed_over), listing)


def settled_before(view: View, now: datetime, sweep_minutes: float, announced: Collection[str] = ()) -> str:
    """The path after which a run begins to look; empty if it has to look at everything.

    Args:
        view: The lake.
        now: The time, UTC with a zone.
        sweep_minutes: From one sweep to the next.
        announced: Paths that are said to be there: they are looked at.
    """
    known = settled.read(view["ledger"])
    if known is None or not known.holds(now, sweep_minutes) or any(path <= known.path for path in announced):
        return ""
    return known.path


def refuse_another(source: Source, settings: Settings, view: View) -> None:
    """Refuse a source that is not the one that a lake was filled from: files of both may have the same names.

    Raises:
        UsageError: It is another one.
    """
    known, name = ledger.source_of(view["ledger"]), known_as(source, settings.source_name)
    if known and known != name:
        raise UsageError(
            f"the lake was filled from {known}, not from {name}: files of one would replace those of equal names of the other",
            remedy=f"If it is the same source in another place: --source-name {shlex.quote(known)}, or the variable"
            " SHOPLAKE_SOURCE_NAME. For another source use another lake, or put both below one folder or prefix.",
        )


def _refuse_place(source: Source, lake: Lake, view: View) -> None:
    """Refuse a lake inside its source, which would ingest the lake's documents, and a new one inside another lake."""
    if f"{lake.root}/".startswith(f"{known_as(source, None)}/"):
        raise UsageError(
            f"the lake {lake.root} is inside the source {source.name}, and its own files would be ingested",
            remedy="Choose a place for the lake beside the source.",
        )
    if view.catalog is None and (other := above(lake.root)):
        raise UsageError(
            f"{lake.root} is inside the lake {other}, and would be mistaken for its files",
            remedy="Choose another place.",
        )
