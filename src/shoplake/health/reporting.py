"""Runs an ingest and reports its outcome: metrics files and lineage events."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from shoplake.errors import ShoplakeError
from shoplake.ingestion.report import RunReport
from shoplake.operations import upkeep

if TYPE_CHECKING:  # imported only by a run that reports to them
    from shoplake.health.lineage import RunEvents
    from shoplake.ingestion import pipeline
    from shoplake.ingestion.plan import Plan
    from shoplake.lake.snapshots import View


@dataclass(frozen=True)
class Targets:
    """Where a run is reported to.

    Attributes:
        metrics: A file with the gauges of the latest run.
        metrics_json: A file to which every run appends a line.
        lineage: Whether OpenLineage events are sent.
    """

    metrics: str | None = None
    metrics_json: str | None = None
    lineage: bool = False

    @property
    def any(self) -> bool:
        """Whether there is any."""
        return bool(self.metrics or self.metrics_json or self.lineage)


def ingest(run: pipeline.Run, targets: Targets, *, watching: bool) -> RunReport:
    """Do a run and report its outcome, even if it fails.

    Args:
        run: The run.
        targets: Where to report.
        watching: Whether this is one of many runs; a run that finds nothing new then appends no line and sends no events.
    """
    if not targets.any:
        return upkeep.ingest(run)
    return _ReportedRun(run, targets, watching=watching).ingest()


class _ReportedRun:
    def __init__(self, run: pipeline.Run, targets: Targets, *, watching: bool) -> None:
        self._run, self._targets, self._watching = run, targets, watching
        self._report = RunReport()
        self._planned = False
        self._events: RunEvents | None = None
        if targets.lineage:
            from shoplake.health.lineage import RunEvents

            self._events = RunEvents(run.lake.root, run.source.name, run.now, run.watchers.note)

    def ingest(self) -> RunReport:
        watchers = replace(self._run.watchers, planned=self._on_planned, committed=self._on_committed)
        if self._events and not self._watching:
            self._events.start()
        try:
            self._report = upkeep.ingest(replace(self._run, watchers=watchers))
        except BaseException as error:
            try:
                self._report_to_targets(error)
            except ShoplakeError as unwritable:
                self._run.watchers.note(str(unwritable))  # the run's own error says more
            raise
        self._report_to_targets(None)
        return self._report

    def _on_planned(self, todo: Plan) -> None:
        if todo.batches:
            self._planned = True
            if self._events and not self._events.started:
                self._events.start()
        self._run.watchers.planned(todo)

    def _on_committed(self, report: RunReport, view: View) -> None:
        self._report = report
        if self._events:
            self._events.committed(view)
        self._run.watchers.committed(report, view)

    def _report_to_targets(self, error: BaseException | None) -> None:
        idle = self._watching and not self._planned and error is None
        if self._events and not idle:
            self._events.end(self._report, error)
        if not (self._targets.metrics or self._targets.metrics_json):
            return
        from shoplake.health import metrics

        why = None if error is None else str(error) or type(error).__name__
        record = metrics.RunRecord(self._run.now(), self._run.lake.root, self._run.source.name, self._report, why)
        if self._targets.metrics_json and not idle:
            metrics.append_line(Path(self._targets.metrics_json), record)
        if self._targets.metrics:
            metrics.replace_file(Path(self._targets.metrics), metrics.of_run(record))
