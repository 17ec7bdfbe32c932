"""What a run does for the lake after its batches: a bounded slice of maintenance, so that nobody has to think of it.

Every run adds up the parts of hours that are over. Every few batches one also merges small files and removes orphans.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shoplake.errors import ShoplakeError
from shoplake.ingestion import pipeline
from shoplake.ingestion.pipeline import Run
from shoplake.ingestion.report import RunReport
from shoplake.tables import UNIT_TABLES

if TYPE_CHECKING:  # what a run that finds nothing new does not need, it does not wait for
    from shoplake.operations.maintain import MaintenanceReport, MaintenanceRequest

MOST_HOURS = 2  # of parts, added up after one run
EVERY = 24  # batches from one look at small files and orphans to the next: two hours of them
MOST_BYTES = 64 << 20  # of small files, merged after one run


def ingest(run: Run) -> RunReport:
    """Ingest what is new, as :func:`shoplake.ingestion.pipeline.ingest` does, and keep the lake in shape.

    What was ingested stays whatever becomes of the maintenance, which the next run continues.
    """
    report = pipeline.ingest(run)
    if report.batches and run.settings.maintain == "on":
        try:
            _keep(run, report.batches)
        except (ShoplakeError, OSError) as error:
            run.watchers.note(f"maintenance was put off: {error}")
    return report


def _keep(run: Run, batches: int) -> None:
    from shoplake.operations.maintain import MaintenanceReport, MaintenanceRequest, compact, vacuum
    from shoplake.operations.maintain.run import merge_groups

    request = MaintenanceRequest(run.lake, now=run.now, note=run.watchers.note)
    view = run.lake.view()
    done = MaintenanceReport()
    for group in compact.plan_parts(view)[: MOST_HOURS * len(UNIT_TABLES)]:
        merge_groups(request, [group], done)
    if (view.version + done.commits) // EVERY > (view.version - batches) // EVERY:
        vacuum.remove(run.lake, vacuum.find(run.lake, run.now(), request.older_than))
        _merge_small(request, done)


def _merge_small(request: MaintenanceRequest, done: MaintenanceReport) -> None:
    from shoplake.operations.maintain import compact
    from shoplake.operations.maintain.run import merge_groups

    left = MOST_BYTES
    for groups in compact.plan(request.lake.view(), request.now().replace(tzinfo=None), request.closed_after).values():
        chosen = []
        for group in groups:
            if group.bytes <= left:
                chosen.append(group)
                left -= group.bytes
        if chosen:
            merge_groups(request, chosen, done)
