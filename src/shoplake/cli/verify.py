"""``shoplake verify``: what was checked, what differs, and what to do about it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from shoplake import api
from shoplake.cli import options, output
from shoplake.errors import UsageError
from shoplake.settings import SHARE
from shoplake.text import count, seconds

if TYPE_CHECKING:
    from shoplake.operations.verify import VerifyReport

_SHOWN = 20


@click.command(
    epilog=options.examples(
        "shoplake verify --lake lake",
        "shoplake verify --lake lake --source raw",
        "shoplake verify --lake lake --source raw --sample 5%",
        "shoplake verify --lake lake --repair",
        "shoplake verify --lake lake --format json",
    )
)
@options.lake
@options.source
@click.option(
    "--repair", is_flag=True, help="Rebuild hours and days of gold that differ from events; change nothing else."
)
@click.option("--sample", metavar="P", default="1", show_default=True, help="Check a random share: 0.05 or 5%.")
@click.option("--seed", type=int, help="Seed that selects the share.  [default: the lake's version]")
@click.option(
    "--lines",
    type=options.whole(0),
    default=1000,
    show_default=True,
    help="Check this many lines of each raw object against the contract again, and look them up in the tables.",
)
@click.option(
    "--allow-gone", is_flag=True, help="Accept that ingested raw objects have been deleted by a retention rule."
)
@options.style
def verify(  # noqa: PLR0917 - one parameter an option
    lake: str | None,
    source: str | None,
    repair: bool,
    sample: str,
    seed: int | None,
    lines: int,
    allow_gone: bool,
    style: str,
) -> None:
    """Prove that nothing is lost or counted twice; exit with 1 if anything differs.

    Recounts every table, compares each source file with the ledger and each gold table with the events, and checks every
    file of the lake. With a source, it also counts the lines of every raw object and checks some of them against the
    contract again.
    """
    with output.progress("verifying", "rows", shown=style == "table") as observer:
        report = api.verify(
            lake,
            source,
            sample=_share(sample),
            seed=seed,
            lines=lines,
            allow_gone=allow_gone,
            repair=repair,
            observer=observer,
        )
    if style == "json":
        output.as_json(report.as_json())
    elif style == "csv":
        output.as_csv(
            ("check", "what", "where", "message", "remedy"),
            [(check.name, d.what, d.where, d.message, d.remedy) for check in report.checks for d in check.differences],
        )
    else:
        _show(report)
    if not report.ok:
        sys.exit(1)


def _share(text: str) -> float:
    try:
        return SHARE.read(float(text.removesuffix("%")) / (100 if text.endswith("%") else 1))
    except ValueError as error:
        raise UsageError(
            f"--sample must be {SHARE}, not {text!r}", remedy="Give a share such as 0.05, or a percentage: 5%."
        ) from error


def _show(report: VerifyReport) -> None:
    source = f" and its source {report.source}" if report.source else ""
    output.say(f"Verified {report.lake}{source} (version {report.version}) in {seconds(report.seconds)}")
    if report.share < 1:
        output.say(f"Checked a random share, {report.share:.4g}, of its hours, days and files (seed {report.seed}).")
    skipped = any(check.skipped for check in report.checks)
    output.as_table(
        ("check", "compared", "checked", "", *(("skipped",) if skipped else ()), "result"),
        [
            (
                check.name,
                check.question,
                check.checked,
                check.unit,
                *((check.skipped or None,) if skipped else ()),
                f"{len(check.differences):,} DIFFER" if check.differences else "OK" if check.checked else "-",
            )
            for check in report.checks
        ],
        verdicts=("OK", "DIFFER"),
    )
    for check in report.checks:
        _differences(check.name, [(d.message, d.remedy) for d in check.differences])
    for note in report.notes:
        output.say(f"Note: {note.message}")
    if report.repaired is not None:
        hours, days = report.repaired["hours"], report.repaired["days"]
        if hours:
            output.say(
                f"Rebuilt gold of {count(len(hours), 'hour')} ({hours[0]} to {hours[-1]}) and"
                f" {count(len(days), 'day')}, then verified again."
            )
        for left in report.repaired["left"]:
            output.say(f"Not rebuilt: {left['where']}: {left['why']}")
    output.say("Everything agrees." if report.ok else f"{count(len(report.differences), 'difference')}.")


def _differences(name: str, found: list[tuple[str, str]]) -> None:
    previous = ""
    for message, remedy in found[:_SHOWN]:
        output.say(f"{name}: {message}")
        if remedy != previous:
            output.say(f"  {remedy}")
        previous = remedy
    if len(found) > _SHOWN:
        output.say(f"{name}: and {len(found) - _SHOWN:,} more; all of them with --format json")
