"""``shoplake ingest``: ingests what is new in the source, once or continuously."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from shoplake import api, settings
from shoplake.cli import options, output, process
from shoplake.cli.log import LOG
from shoplake.cli.watch import Watch
from shoplake.errors import ShoplakeError
from shoplake.settings import Range
from shoplake.text import seconds

if TYPE_CHECKING:
    from shoplake.ingestion.report import RunReport


@click.command(
    epilog=options.examples(
        "shoplake ingest --source raw --lake lake",
        "shoplake ingest --source raw --lake lake --dry-run",
        "shoplake ingest --source raw --lake lake --watch 30",
        "shoplake ingest --source raw --lake lake --format json",
        "shoplake ingest --source raw --lake lake --engine spark --master 'local[4]'",
        "shoplake ingest --source raw --lake lake --metrics /var/lib/node_exporter/shoplake.prom",
    )
)
@options.source
@options.source_name
@options.lake
@click.option("--dry-run", is_flag=True, help="Show the plan without changing anything.")
@click.option(
    "--watch",
    type=options.Within(Range(0.1, 86_400)),
    metavar="SECONDS",
    help="Keep running; check for new files every SECONDS. A run that fails is reported and tried again, later and later.",
)
@click.option(
    "--max-quarantine-rate",
    metavar="SHARE",
    help="Stop a batch when more than this share of its lines, or of those that need one field, breaks the contract; fewer"
    " than 1,000 such lines always pass, and 1 never stops.  [default: 0.5]",
)
@click.option("--no-maintain", is_flag=True, help="Leave maintenance to shoplake maintain.")
@click.option(
    "--set-aside",
    multiple=True,
    metavar="FILE",
    help="Do not read this new file, but set it aside as unreadable until it changes; repeatable. For a file that stops"
    " every batch.",
)
@options.engine
@options.master
@click.option(
    "--metrics",
    type=options.Written(),
    metavar="FILE",
    help="Write the metrics of this run to FILE, as OpenMetrics text.",
)
@click.option(
    "--metrics-json", type=options.Written(), metavar="FILE", help="Append a line of JSON about this run to FILE."
)
@click.option(
    "--lineage", is_flag=True, help="Send OpenLineage events, as configured by OPENLINEAGE_URL or openlineage.yml."
)
@options.log_format
@options.style
def ingest(  # noqa: PLR0917 - one parameter an option
    source: str | None,
    source_name: str | None,
    lake: str | None,
    dry_run: bool,
    watch: float | None,
    max_quarantine_rate: str | None,
    no_maintain: bool,
    set_aside: tuple[str, ...],
    engine: str | None,
    master: str | None,
    metrics: str | None,
    metrics_json: str | None,
    lineage: bool,
    style: str,
) -> None:
    """Ingest what is new in the source, with exactly-once effect.

    A second run finds nothing new, and a run that was killed is finished by the next one. Lines that break the contract go
    to the quarantine table with their reasons; files that cannot be read completely are set aside until they are replaced.
    Files that cannot be read now (permission denied, a disk error) are tried again by the next run; the exit code is 1.

    To backfill old months, put their files into the source. To ingest files again, see shoplake replay.
    """
    from shoplake.health import reporting
    from shoplake.ingestion import pipeline

    given = {"source": source, "source_name": source_name, "lake": lake, "engine": engine, "master": master}
    given["maintain"] = "off" if no_maintain else None
    chosen = settings.load(given | {"max_quarantine_rate": max_quarantine_rate})
    if chosen.engine != "spark":
        process.pass_over_pandas()
        process.share_arena()
    targets = reporting.Targets(metrics, metrics_json, lineage)
    run = api.prepare(chosen, set_aside=set_aside)
    if dry_run:
        output.plan(pipeline.preview(run), style)
        return

    def once() -> RunReport:
        nonlocal run
        with output.progress("ingesting", "lines", shown=style == "table") as observer:
            done = reporting.ingest(replace(run, watchers=api.watchers(observer)), targets, watching=watch is not None)
        run = replace(run, set_aside=frozenset())  # that is done: once replaced, the files are read
        return done

    def show(done: RunReport) -> None:
        if watch is None or done.batches or style != "table":
            in_a_log = watch is not None or not sys.stdout.isatty()
            output.report(done, style, stamp=LOG.stamp() if in_a_log else "")
            sys.stdout.flush()

    if watch is None:
        done = once()
        show(done)
        if done.unavailable:
            sys.exit(1)
    else:
        Watch(watch).forever(once, show, _failed)


def _failed(error: ShoplakeError | OSError, pause: float) -> None:
    remedy = error.remedy if isinstance(error, ShoplakeError) else ""
    output.note(f"shoplake: {error}; trying again in {seconds(pause)}", remedy, "error")
