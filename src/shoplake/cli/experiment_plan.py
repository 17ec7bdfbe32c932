"""``shoplake experiment plan``: how long an experiment has to run; and the options that it shares with comparing one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from shoplake import api
from shoplake.cli import options, output
from shoplake.settings import CONFIDENCE, SHARE, UNITS
from shoplake.text import count

if TYPE_CHECKING:
    from shoplake.experiments import Plan


def shared(command: Any) -> Any:
    """Add the options of both commands."""
    for option in (
        click.option(
            "--sequential-units",
            type=options.Within(UNITS),
            metavar="N",
            help="The number of units at which these intervals are to be narrowest; choose it in advance."
            "  [default: 5,000]",
        ),
        click.option(
            "--sequential",
            is_flag=True,
            help="Intervals and p-values that are valid however often you look, instead of once at the end.",
        ),
        click.option(
            "--confidence",
            type=options.Within(CONFIDENCE),
            default=0.95,
            show_default=True,
            help="Confidence level of the intervals.",
        ),
        click.option(
            "--unit",
            type=click.Choice(("user", "session")),
            default="user",
            show_default=True,
            help="Unit of randomization.",
        ),
        click.option(
            "--variants",
            default="control=1,treatment=1",
            show_default=True,
            metavar="NAME=SHARE,...",
            help="The variants with their shares; the control comes first.",
        ),
        options.lake,
    ):
        command = option(command)
    return command


@click.command(
    epilog=options.examples(
        "shoplake experiment plan --lake lake --lift 0.05",
        "shoplake experiment plan --metric revenue_per_user --variants control=9,blue=1 --traffic 0.5",
        'shoplake experiment plan --metric "basket=revenue / purchases" --power 0.9 --format json',
    )
)
@shared
@click.option("--metric", default="conversion", show_default=True, metavar="NAME|NAME=SQL", help="What to compare.")
@click.option(
    "--from",
    "start",
    metavar="ISO",
    help="Start of the history (inclusive), a whole hour in UTC.  [default: up to 28 whole days before its end]",
)
@click.option(
    "--to", "end", metavar="ISO", help="End of the history (exclusive).  [default: after the lake's last hour]"
)
@click.option(
    "--traffic",
    type=options.Within(SHARE),
    default=1.0,
    show_default=True,
    help="The share of all units that take part.",
)
@click.option(
    "--lift", type=options.Within(SHARE), help="The lift to be found, such as 0.05; says how many days it takes."
)
@click.option(
    "--power", type=options.Within(CONFIDENCE), default=0.8, show_default=True, help="How likely it is to be found."
)
@options.style
def plan(  # noqa: PLR0917 - one parameter an option
    lake: str | None,
    variants: str,
    unit: str,
    confidence: float,
    sequential: bool,
    sequential_units: float | None,
    metric: str,
    start: str | None,
    end: str | None,
    traffic: float,
    lift: float | None,
    power: float,
    style: str,
) -> None:
    """Say how small a difference can be found, and when.

    From the lake's own history of the metric: its baseline, its spread, and the units of a day.
    """
    from shoplake import experiments

    with api.open(lake) as opened:
        found = experiments.plan(
            opened,
            metric,
            variants=experiments.shares_of(variants, "--variants"),
            unit=unit,
            traffic=traffic,
            start=options.moment(start, "--from") if start else None,
            end=options.moment(end, "--to") if end else None,
            lift=lift,
            power=power,
            confidence=confidence,
            sequential=sequential_units or sequential,
        )
    columns = ("days", "units", "baseline", "deviation", "smallest_effect", "smallest_lift", "extrapolated")
    if style == "json":
        output.as_json(found.as_json())
    elif style == "csv":
        output.as_csv(columns, [tuple(getattr(step, column) for column in columns) for step in found.steps])
    else:
        _show_plan(found)


def _show_plan(found: Plan) -> None:
    output.say(f"Plan for {found.metric} by {found.unit}, from {found.start} to {found.end} UTC")
    output.as_table(
        ("days", "units", "baseline", "deviation", "smallest effect", "as a lift", ""),
        [
            (
                f"{step.days:g}",
                step.units,
                f"{step.baseline:,.4g}",
                f"{step.deviation:,.4g}",
                f"{step.smallest_effect:,.4g}",
                None if step.smallest_lift is None else f"{step.smallest_lift:.2%}",
                "extrapolated" if step.extrapolated else "",
            )
            for step in found.steps
        ],
    )
    output.say(f"An effect of that size is found with a power of {found.power:.0%} at {100 * found.confidence:g} %.")
    if found.lift is not None:
        needed = f"takes {count(found.days_needed, 'day')}" if found.days_needed else "takes more than a year"
        output.say(f"To find a lift of {found.lift:.2%} {needed}.")
