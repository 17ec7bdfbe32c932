"""What the stack's function does when a file arrives, and once an hour for the files that no event announced.

Every run takes in all that is new, whichever event it answers: an event that comes twice, late or never changes nothing but
the time. Of two runs at once, the swap lets one win, and the other plans again. docs/adr/0020 has the reasons.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, BinaryIO, Protocol
from urllib.parse import unquote_plus

from shoplake import settings
from shoplake.aws import figures, glue_catalog
from shoplake.engines import choose
from shoplake.errors import ContractError
from shoplake.ingestion import pipeline
from shoplake.ingestion.report import BatchReport, RunReport
from shoplake.lake.catalog import Lake
from shoplake.lake.snapshots import View
from shoplake.operations import maintain as maintenance
from shoplake.operations import upkeep
from shoplake.sources.base import Source, SourceFile
from shoplake.sources.listing import Listing
from shoplake.sources.open import open_source

CORE_MIB = 1769
"""Memory that comes with one core: https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html."""
BATCH_SHARE = 32
"""A batch has at most this part of the memory, in compressed bytes: docs/aws.md has the measure."""
RESERVE_SECONDS = 120
"""No batch begins when less time than this is left; the next event goes on."""
MAINTENANCE_HOUR = 3
"""The hour, UTC, whose sweep also maintains the lake."""


class Context(Protocol):
    """What is used of Lambda's context."""

    def get_remaining_time_in_millis(self) -> int:
        """How long the function may still run."""
        ...


class OutOfTimeError(Exception):
    """What was published stays; the rest is for the next event."""


def handle(event: Any, context: Context) -> dict[str, Any]:
    """Take in what is new and publish it; the sweep of one hour a day also maintains the lake.

    Args:
        event: EventBridge's or S3's event of a new object, EventBridge's scheduled one, or anything else.
        context: Lambda's.

    Returns:
        The run's figures. ``stopped`` are the files that the breaker stopped; ``left`` says that the time did not suffice.

    Raises:
        ContractError: The breaker stopped a file that this very event announced, or, in a sweep, any file.
        TransientError: The same event may work later. Lambda repeats it.
    """
    started = time.perf_counter()
    watch = _Watch(os.environ["DATABASE"], context)
    sweep = isinstance(event, Mapping) and event.get("detail-type") == "Scheduled Event"
    run = _run(pipeline.Watchers(note=print, committed=watch.committed), event, sweep=sweep)
    stopped: dict[str, ContractError] = {}
    left = False
    try:
        stopped = take_in(run, watch)
    except OutOfTimeError:
        left = True
    report = watch.total(time.perf_counter() - started)
    view = run.lake.view()
    glue_catalog.publish(view, watch.database)  # also what a killed run left unpublished
    figures.send(report, view, watch.database, datetime.now(UTC))
    done = {**report.as_json(), "version": view.version, "stopped": sorted(stopped), "left": left}
    if sweep and view.catalog and not left and datetime.fromisoformat(event["time"]).hour == MAINTENANCE_HOUR:
        done["maintenance"] = _maintain(run, watch.database)
    print(json.dumps(done), flush=True)
    for path in sorted(stopped if sweep else announced(event, run.source.name) & set(stopped)):
        raise stopped[path]
    return done


def take_in(run: pipeline.Run, watch: _Watch) -> dict[str, ContractError]:
    """Ingest what is new. A file that the breaker stops holds back no other.

    Returns:
        The files that were stopped, each with the reason.
    """
    stopped: dict[str, ContractError] = {}
    try:
        watch.saw(upkeep.ingest(run))
    except ContractError:
        waiting = {file.path for batch in pipeline.preview(run).batches for file in batch.files}
        for path in sorted(waiting):
            # Nothing is settled by a run that does not see all files.
            alone = replace(run, settings=replace(run.settings, sweep_minutes=0))
            alone = replace(alone, source=_Without(run.source, frozenset(waiting - {path})))
            try:
                watch.saw(upkeep.ingest(alone))
            except ContractError as error:
                stopped[path] = error
    return stopped


def announced(event: Any, source: str) -> set[str]:
    """The source files that an event names, by their paths in the ledger.

    Args:
        event: As :func:`handle` gets it.
        source: The URI of the source; its prefix is not part of a path.
    """
    if not isinstance(event, Mapping):
        return set()
    detail = event.get("detail") or {}
    keys = [detail["object"]["key"]] if "object" in detail else []
    keys += [unquote_plus(record["s3"]["object"]["key"]) for record in event.get("Records", ())]
    prefix = source.removeprefix("s3://").partition("/")[2] + "/"
    return {key.removeprefix(prefix) for key in keys}


def _run(watchers: pipeline.Watchers, event: Any = None, *, sweep: bool = False) -> pipeline.Run:
    memory = int(os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"])
    chosen = settings.load(
        {
            "source": os.environ["SOURCE"],
            "lake": os.environ["LAKE"],
            "threads": max(1, round(memory / CORE_MIB)),
            "batch_bytes": memory * 2**20 // BATCH_SHARE,
            **({"sweep_minutes": 0} if sweep else {}),
        }
    )
    lake, source = Lake(chosen.need_lake()), open_source(chosen.need_source())
    run = pipeline.Run(lake, source, choose.engine(chosen, lake), chosen, watchers)
    return replace(run, announced=frozenset(announced(event, source.name)))


def _maintain(run: pipeline.Run, database: str) -> dict[str, int]:
    """Merge small files and remove orphans, then publish: the files that were merged are removed by a later maintenance."""
    request = maintenance.MaintenanceRequest(run.lake, most_stored=run.settings.maintain_stored)
    report = maintenance.maintain(request)
    glue_catalog.publish(run.lake.view(), database)
    return {"commits": report.commits, "removed_files": len(report.removed), "removed_bytes": report.removed_bytes}


@dataclass
class _Watch:
    """Publishes each batch as soon as it is committed, keeps the figures, and ends a run that has no time for another batch."""

    database: str
    context: Context
    reports: list[RunReport] = field(default_factory=list)

    def committed(self, report: RunReport, view: View) -> None:
        self.saw(report)
        glue_catalog.publish(view, self.database)
        if self.context.get_remaining_time_in_millis() < RESERVE_SECONDS * 1000:
            raise OutOfTimeError

    def saw(self, report: RunReport) -> None:
        """Keep a run's report; one that ends early is only seen here."""
        if not any(report is known for known in self.reports):
            self.reports.append(report)

    def total(self, seconds: float) -> RunReport:
        """The figures of all runs together."""
        total = RunReport(seconds=seconds)
        for report in self.reports:
            same = {
                name: value
                for name, value in vars(report).items()
                if name not in ("batches", "failures", "left_out", "seconds")
            }
            failures = {failure["file"]: failure["error"] for failure in report.failures}
            total.add(BatchReport(published=report.batches, failures=failures, **same))
        return total


@dataclass(frozen=True)
class _Without:
    """A source without some of its files."""

    whole: Source
    hidden: frozenset[str]

    @property
    def name(self) -> str:
        return self.whole.name

    def list(self, after: str = "") -> Listing:
        there = self.whole.list(after)
        return Listing((file for file in there if file.path not in self.hidden), there.left_out)

    def open(self, file: SourceFile) -> BinaryIO:
        return self.whole.open(file)

    def replace(self, file: SourceFile, content: bytes) -> None:
        self.whole.replace(file, content)

    def still_there(self, paths: Collection[str]) -> set[str]:
        return self.whole.still_there(paths)
