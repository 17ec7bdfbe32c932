"""OpenLineage events of a run, by the official client: which source fed which tables, how much, and how the run ended.

Their destination is the client's own configuration: ``OPENLINEAGE_URL``, an ``openlineage.yml``, or
``OPENLINEAGE__TRANSPORT__...`` variables. Without any of these the events go to the console, on stderr.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from shoplake import __version__
from shoplake.contract import FIELDS
from shoplake.errors import UsageError, installing
from shoplake.ingestion.report import RunReport
from shoplake.lake.snapshots import BATCH, View
from shoplake.tables import ERASURES, TABLES, Table

if TYPE_CHECKING:
    from openlineage.client.event_v2 import InputDataset, OutputDataset

PRODUCER = f"pkg:pypi/shoplake@{__version__}"
JOB = "shoplake.ingest"
_OUTPUTS = tuple(table for table in TABLES if table is not ERASURES)  # which a run only reads
_COUNTS = ("added-records", "added-files-size", "added-data-files")  # rowCount, size, fileCount


class RunEvents:
    """The events of one run: START, then COMPLETE, FAIL or ABORT.

    A backend that cannot be reached does not stop the run: a note says so, and the run continues.
    """

    def __init__(self, lake: str, source: str, now: Callable[[], datetime], note: Callable[[str], None]) -> None:
        """Set up the client; nothing is sent yet.

        Args:
            lake: The lake's location.
            source: The source's location.
            now: The time, UTC with a zone.
            note: Called with a sentence when an event could not be sent.

        Raises:
            UsageError: The client is not installed, or its configuration is wrong.
        """
        try:
            from openlineage.client import OpenLineageClient
            from openlineage.client.event_v2 import set_producer
            from openlineage.client.uuid import generate_new_uuid
        except ImportError as error:
            raise UsageError("lineage needs the OpenLineage client", remedy=installing("lineage")) from error
        set_producer(PRODUCER)
        try:
            self._client = OpenLineageClient()
        except Exception as error:
            raise UsageError(
                f"the OpenLineage client cannot be set up: {error}",
                remedy="Check OPENLINEAGE_URL, the OPENLINEAGE__ variables and openlineage.yml.",
            ) from error
        _show_console_events()
        self._lake, self._source, self._now, self._note = lake, source, now, note
        self._run_id = str(generate_new_uuid())
        self._written: dict[str, Counter[str]] = {table.name: Counter() for table in TABLES}
        self.started = False

    def start(self) -> None:
        """Report that the run has started."""
        self.started = True
        self._emit("START", RunReport())

    def committed(self, view: View) -> None:
        """Count what a batch wrote; called after each commit."""
        batch = view["ledger"].summary[BATCH]  # every batch writes the ledger
        for name, table in view.tables.items():
            if table.summary.get(BATCH) == batch:
                self._written[name].update({count: int(table.summary.get(count, 0)) for count in _COUNTS})

    def end(self, report: RunReport, error: BaseException | None) -> None:
        """Report how the run ended, and close the client.

        Args:
            report: What it did.
            error: What ended it early, None if nothing did.
        """
        if not self.started:
            self.start()
        kind = "COMPLETE" if error is None else "FAIL" if isinstance(error, Exception) else "ABORT"
        self._emit(kind, report, error)
        self._client.close(5)

    def _emit(self, kind: str, report: RunReport, error: BaseException | None = None) -> None:
        from openlineage.client.event_v2 import Job, Run, RunEvent, RunState
        from openlineage.client.facet_v2 import error_message_run, job_type_job, processing_engine_run

        facets: dict[str, Any] = {
            "processing_engine": processing_engine_run.ProcessingEngineRunFacet(__version__, "shoplake")
        }
        if error is not None:
            message = str(error) or type(error).__name__
            facets["errorMessage"] = error_message_run.ErrorMessageRunFacet(message, "PYTHON")
        job_type = job_type_job.JobTypeJobFacet("BATCH", "SHOPLAKE", "JOB")
        event = RunEvent(
            eventTime=self._now().isoformat(),
            eventType=RunState[kind],
            run=Run(runId=self._run_id, facets=facets),
            job=Job(os.environ.get("OPENLINEAGE_NAMESPACE", "shoplake"), JOB, {"jobType": job_type}),
            inputs=[self._input(report, counted=kind != "START")],
            outputs=[self._output(table, counted=kind != "START") for table in _OUTPUTS],
        )
        try:
            self._client.emit(event)
        except Exception as problem:  # noqa: BLE001 - whatever a transport raises, the lake is right without the event
            self._note(f"the lineage event {kind} could not be sent: {problem}")

    def _input(self, report: RunReport, *, counted: bool) -> InputDataset:
        from openlineage.client.event_v2 import InputDataset
        from openlineage.client.facet_v2 import input_statistics_input_dataset as statistics
        from openlineage.client.facet_v2 import schema_dataset

        fields = [schema_dataset.SchemaDatasetFacetFields(field.name, field.type, field.rule) for field in FIELDS]
        files = report.files + len(report.failures)
        read = statistics.InputStatisticsInputDatasetFacet(report.lines, report.bytes, files)
        return InputDataset(
            *_dataset_name(self._source),
            {"inputStatistics": read} if counted else {},
            facets={"schema": schema_dataset.SchemaDatasetFacet(fields)},
        )

    def _output(self, table: Table, *, counted: bool) -> OutputDataset:
        from openlineage.client.event_v2 import OutputDataset
        from openlineage.client.facet_v2 import output_statistics_output_dataset as statistics
        from openlineage.client.facet_v2 import schema_dataset

        fields = [
            schema_dataset.SchemaDatasetFacetFields(column.name, column.type, column.doc) for column in table.columns
        ]
        written = self._written[table.name]
        amount = statistics.OutputStatisticsOutputDatasetFacet(*(written[count] for count in _COUNTS))
        return OutputDataset(
            *_dataset_name(f"{self._lake}/{table.name}"),
            {"outputStatistics": amount} if counted else {},
            facets={"schema": schema_dataset.SchemaDatasetFacet(fields)},
        )


def _dataset_name(location: str) -> tuple[str, str]:
    """Namespace and name of a location, as OpenLineage names files and objects."""
    scheme, separator, rest = location.partition("://")
    if not separator or scheme == "file":
        return "file", rest or location
    bucket, _, key = rest.partition("/")
    return f"{scheme}://{bucket}", key or "/"


def _show_console_events() -> None:
    """The console transport logs its events, which would not be shown anywhere: send them to stderr."""
    logger = logging.getLogger("openlineage.client.transport.console")
    if not logger.handlers:
        logger.addHandler(logging.StreamHandler())
        logger.setLevel(logging.INFO)
        logger.propagate = False
