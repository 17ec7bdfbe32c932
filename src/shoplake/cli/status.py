"""``shoplake status``: the state of a lake, for people and monitors."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from shoplake import api
from shoplake.cli import options, output, process
from shoplake.text import count, json_value, size

if TYPE_CHECKING:
    from shoplake.health.status import Status

_SHOWN_BATCHES = 5
_SHOWN_GAPS = 5
_DETAIL = 23  # the column in which what a check says begins


@click.command(
    epilog=options.examples(
        "shoplake status --lake lake",
        "shoplake status --lake lake --source raw --check && echo all is well",
        "shoplake status --lake lake --source raw --format json",
        "shoplake status --lake lake --source raw --format openmetrics",
    )
)
@options.lake
@options.source
@click.option("--check", is_flag=True, help="Exit with 1 if a check failed; for monitors.")
@click.option(
    "--format",
    "style",
    type=click.Choice((*output.FORMATS, "openmetrics")),
    default="table",
    show_default=True,
    help="Output format.",
)
def status(lake: str | None, source: str | None, check: bool, style: str) -> None:
    """Tell whether the lake is fresh and complete, what failed, what is waiting and what to do.

    \b
    fresh       the newest file arrived within freshness_minutes     else failed
    runs        the last run did not fail                            else failed
    whole       the tables have as many rows as the ledger counted   else failed
    readable    every file could be read     failed for 24 hours, then a warning
    waiting     every file in the source (--source) is ingested   else a warning
    gaps        every slot has a file, or is acknowledged         else a warning
    quarantine  at most 5 % of the last day's lines are rejected  else a warning
                and at most max_quarantine_rate of them              else failed

    It reads only the ledger and the tables' metadata, so it is quick on any lake; shoplake verify counts every row.
    """  # noqa: D301 - click wants the character itself
    process.pass_over_pandas()
    state = api.status(lake, source)
    if style == "json":
        output.as_json(state.as_json())
    elif style == "openmetrics":
        from shoplake.health import metrics

        click.echo(metrics.text(metrics.of_status(state)), nl=False)
    elif style == "csv":
        output.as_csv(("table", "rows", "files", "bytes", "snapshots"), _tables(state))
    else:
        _show(state)
    if check and state.failed:
        sys.exit(1)


def _tables(state: Status) -> list[tuple[str, int, int, int, int]]:
    return [
        (name, figures["rows"], figures["files"], figures["bytes"], figures["snapshots"])
        for name, figures in state.tables.items()
    ]


def _show(state: Status) -> None:
    output.say(f"Lake {state.lake}: {state.verdict}")
    for check in state.checks:
        output.say(f"  {check.verdict:<8} {check.name:<11} {check.detail}", hang=_DETAIL, verdict=check.verdict)
        if check.remedy:
            output.say(f"{'':>{_DETAIL}}-> {check.remedy}", hang=_DETAIL + 3)
    for failure in state.unreadable:
        output.say(f"Set aside: {failure['file']}: {failure['error']}")
    for gap in state.gaps[-_SHOWN_GAPS:]:
        output.say(f"Gap: {json_value(gap.start)} to {json_value(gap.end)}, {count(gap.slots, 'slot')}")
    if len(state.gaps) > _SHOWN_GAPS:
        output.say(f"  and {count(len(state.gaps) - _SHOWN_GAPS, 'earlier gap')}; all of them with --format json")
    for one in state.acknowledged[-_SHOWN_GAPS:]:
        output.say(f"Acknowledged: {json_value(one.start)} to {json_value(one.end)}: {one.reason}")
    output.left_out(state.left_out)
    output.as_table(
        ("table", "rows", "files", "size", "snapshots"),
        [(name, many, files, size(amount), snapshots) for name, many, files, amount, snapshots in _tables(state)],
    )
    total = state.ledger
    output.say(
        f"Ledger: {count(total['files'], 'source file')}, {count(total['lines'], 'line')} ="
        f" {total['accepted']:,} accepted + {count(total['duplicates'], 'duplicate')}"
        f" + {total['quarantined']:,} quarantined{output.erased(total['erased'])}"
    )
    if state.newest_event is not None:
        output.say(f"Newest event: {json_value(state.newest_event)}")
    if state.batches:
        output.as_table(
            ("last batches", "when", "files", "lines", "quarantined", "engine", "seconds"),
            [
                (
                    one.batch,
                    one.when.replace(microsecond=0),
                    one.files,
                    one.lines,
                    one.quarantined,
                    one.engine,
                    f"{one.seconds:.2f}",
                )
                for one in state.batches[:_SHOWN_BATCHES]
            ],
        )
