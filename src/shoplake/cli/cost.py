"""``shoplake cost``: what a day of the stack costs."""

from __future__ import annotations

import click

from shoplake.cli import options, output
from shoplake.settings import Range


@click.command(epilog=options.examples("shoplake cost", "shoplake cost --every 15 --queries 500 --format json"))
@click.option(
    "--every",
    type=options.whole(1, 1440),
    multiple=True,
    help="Minutes between runs of the Glue job; repeatable.  [default: on arrival, and 5, 15, 60]",
)
@click.option(
    "--run-seconds",
    type=options.Within(Range(0, 1e6)),
    default=60.0,
    show_default=True,
    help="Billed seconds of a Glue run without new files.",
)
@click.option(
    "--run-file-seconds",
    type=options.Within(Range(0, 1e6)),
    default=15.0,
    show_default=True,
    help="Additional billed seconds per file.",
)
@click.option("--dpus", type=options.whole(1, 1000), default=2, show_default=True, help="DPUs of the Glue job.")
@click.option(
    "--days", type=options.whole(0, 100_000), default=30, show_default=True, help="Days of events in the lake."
)
@click.option("--queries", type=options.whole(0), default=100, show_default=True, help="Athena queries per day.")
@options.style
def cost(
    every: tuple[int, ...],
    run_seconds: float,
    run_file_seconds: float,
    dpus: int,
    days: int,
    queries: int,
    style: str,
) -> None:
    """Estimate what a day of the stack costs, on arrival or with the Glue job, from measured sizes and list prices.

    How long Glue bills for a run is an assumption: look up a run in the AWS console and give its figures.
    """
    from shoplake.aws import costs

    usage = costs.Usage(
        run_seconds=run_seconds, run_file_seconds=run_file_seconds, dpus=dpus, lake_days=days, queries=queries
    )
    listed = costs.price_list()
    bills = {minutes: costs.daily(minutes, usage) for minutes in every or costs.EVERY}
    rows = [
        (minutes, line.what, line.amount, line.unit, line.dollars) for minutes, bill in bills.items() for line in bill
    ]
    columns = ("every_minutes", "what", "amount", "unit", "usd_a_day")
    if style == "json":
        output.as_json(
            {
                "currency": listed["currency"],
                "region": listed["region"],
                "prices_checked": listed["checked"],
                "days": [
                    {
                        "runner": "lambda" if minutes is None else "glue",
                        "every_minutes": minutes,
                        "usd_a_day": round(sum(line.dollars for line in bill), 4),
                        "lines": [vars(line) for line in bill],
                    }
                    for minutes, bill in bills.items()
                ],
            }
        )
    elif style == "csv":
        output.as_csv(columns, rows)
    else:
        for minutes, bill in bills.items():
            total = sum(line.dollars for line in bill)
            shown = [(line.what, f"{line.amount:,.1f}", line.unit, line.dollars) for line in bill]
            output.as_table(
                ("", "per day", "unit", "USD per day"),
                [*shown, ("total", "", "", total)],
                "On arrival" if minutes is None else f"Glue every {minutes} minutes",
            )
        output.say(
            f"Prices for {listed['region']}, looked up on {listed['checked']}, without free tiers. Not every source names"
            " the region: see docs/aws.md."
        )
