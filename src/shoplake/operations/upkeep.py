"""What a run does for the lake after its batches: a bounded slice of maintenance, so that nobody has to think of it.

Every run adds up the parts of hours that are over. Every few batches one also removes orphans and merges small files. How
often, how much at once and in how much space are settings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shoplake.errors import ShoplakeError
from shoplake.ingestion import pipeline
from shoplake.ingestion.pipeline import Run
from shoplake.ingestion.report import RunReport

if TYPE_CHECKING:  # what a run that finds nothing new does not need, it does not wait for
    from shoplake.lake.snapshots import View
    from shoplake.operations.maintain import MaintenanceRequest
    from shoplake.operations.maintain.compact import Group
    from shoplake.operations.maintain.space import Room


def ingest(run: Run) -> RunReport:
    """Ingest what is new, as :func:`shoplake.ingestion.pipeline.ingest` does, and keep the lake in shape.

    What was ingested stays whatever becomes of the maintenance, which a later run continues.
    """
    report = pipeline.ingest(run)
    if report.batches and run.settings.maintain == "on":
        try:
            _keep(run, report.batches)
        except (ShoplakeError, OSError) as error:
            run.watchers.note(f"maintenance was put off: {error}")
    return report


def _keep(run: Run, batches: int) -> None:
    from shoplake.operations.maintain import MaintenanceRequest, compact, space, vacuum

    request = MaintenanceRequest(
        run.lake, now=run.now, note=run.watchers.note, most_stored=run.settings.maintain_stored
    )
    view = run.lake.view()
    due, parts = _is_due(view, batches, run.settings.maintain_every), compact.plan_parts(view)
    if due:
        vacuum.remove(run.lake, vacuum.find(run.lake, run.now(), request.older_than))
    if not (due or parts):
        return
    chosen = _Slice(space.Room(run.lake, view, request.most_stored), run.settings.maintain_bytes)
    for group in parts:
        chosen.merge(request, [group])
    if due:
        now = run.now().replace(tzinfo=None)
        for groups in compact.plan(run.lake.view(), now, request.closed_after).values():
            chosen.merge(request, groups)


def _is_due(view: View, batches: int, every: int) -> bool:
    """Whether the lake's batches went past a multiple of ``every`` with the newest ones: each is a commit of the ledger."""
    ledger = view["ledger"].metadata
    number = ledger["last-sequence-number"] if ledger else 0
    return number // every > (number - batches) // every


class _Slice:
    """What one run may still merge: so many bytes, or one group that is larger, as far as there is room."""

    def __init__(self, room: Room, most_bytes: int) -> None:
        self._room, self._left, self._whole = room, most_bytes, True

    def merge(self, request: MaintenanceRequest, groups: list[Group]) -> None:
        """Merge those groups of a day that fit, in one commit."""
        from shoplake.operations.maintain import MaintenanceReport
        from shoplake.operations.maintain.run import merge_groups

        if chosen := [group for group in groups if self._fits(group)]:
            merge_groups(request, chosen, MaintenanceReport())

    def _fits(self, group: Group) -> bool:
        fits = (self._whole or group.bytes <= self._left) and self._room.take(group)
        if fits:
            self._left, self._whole = self._left - group.bytes, False
        return fits
