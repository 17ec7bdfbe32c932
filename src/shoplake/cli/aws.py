"""``shoplake deploy``, ``destroy`` and ``cost``: the stack on AWS."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import click

from shoplake import __version__
from shoplake.cli import options, output
from shoplake.cli.options import examples
from shoplake.errors import UsageError

if TYPE_CHECKING:
    from shoplake.aws.stack import Cloud, Event

_REGION = click.option("--region", metavar="NAME", help="AWS region.  [default: as the AWS settings say]")


@click.command(
    epilog=examples(
        "shoplake deploy --student-id alice --region us-west-2",
        "shoplake deploy --student-id alice --parameter ScheduleMinutes=5 --parameter AlarmEmail=alice@example.com",
        "shoplake deploy --student-id alice --parameter 'ShoplakePackage=shoplake[s3]==0.1.0'",
    )
)
@click.option("--student-id", required=True, metavar="ID", help="Names everything in the stack.")
@click.option("--stack-name", metavar="NAME", help="[default: capstone-ID]")
@_REGION
@click.option(
    "--parameter", "given", multiple=True, metavar="NAME=VALUE", help="A parameter of the template; repeatable."
)
@click.option(
    "--format", "style", type=click.Choice(("table", "json")), default="table", show_default=True, help="How to print."
)
def deploy(student_id: str, stack_name: str | None, region: str | None, given: tuple[str, ...], style: str) -> None:
    """Make or change the stack on AWS, and show where everything is.

    From a checkout, its wheel is built and uploaded; an installed shoplake lets Glue install the same release. Asked again,
    it changes only what is different.
    """
    from shoplake.aws import deploy as aws
    from shoplake.aws import stack

    name = stack_name or f"capstone-{student_id}"
    wanted = aws.Wanted(student_id, name, stack.template(), __version__, dict(map(_pair, given)), aws.own_checkout())
    outputs = aws.deploy(wanted, _cloud(region))
    if style == "json":
        output.as_json(outputs)
    else:
        output.as_table(("output", "value"), list(outputs.items()), f"{wanted.name} is there")
        output.say(
            f"The pipeline runs by itself; the first data is there after its first run. Logs: {outputs['GlueConsole']}"
        )


@click.command(epilog=examples("shoplake destroy --student-id alice --region us-west-2 --yes"))
@click.option("--student-id", metavar="ID", help="The stack capstone-ID.")
@click.option("--stack-name", metavar="NAME", help="A stack of another name.")
@_REGION
@click.option("--yes", is_flag=True, help="Do not ask.")
def destroy(student_id: str | None, stack_name: str | None, region: str | None, yes: bool) -> None:
    """Remove the stack and everything in it.

    The buckets go with all they hold, unless the stack was made with KeepData=true.
    """
    if (student_id is None) == (stack_name is None):
        raise UsageError("which stack?", remedy="Give one of --student-id ID and --stack-name NAME.")
    from shoplake.aws import deploy as aws

    name = stack_name or f"capstone-{student_id}"
    if not yes:
        click.confirm(f"Remove {name} with all its data?", abort=True, err=True)
    output.say(f"{name} is gone" if aws.destroy(name, _cloud(region)) else f"there is no stack {name}")


@click.command(epilog=examples("shoplake cost", "shoplake cost --every 15 --queries 500 --format json"))
@click.option(
    "--every", type=click.IntRange(1, 1440), multiple=True, help="Minutes between runs; repeatable.  [5, 15, 60]"
)
@click.option("--run-seconds", default=60.0, show_default=True, help="Billed seconds of a Glue run without files.")
@click.option("--run-file-seconds", default=15.0, show_default=True, help="Billed seconds more for each file.")
@click.option("--dpus", default=2, show_default=True, help="DPUs of the Glue job.")
@click.option("--days", default=30, show_default=True, help="Days of events that the lake holds.")
@click.option("--queries", default=100, show_default=True, help="Queries on Athena a day.")
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
    """What a day of the stack costs, from measured sizes and listed prices.

    How long Glue bills for a run is an assumption that only AWS can show: look at a run in the console and give what it says.
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
                ("", "a day", "unit", "USD a day"),
                [*shown, ("together", "", "", total)],
                f"Glue every {minutes} minutes",
            )
        output.say(
            f"Prices meant for {listed['region']}, looked up on {listed['checked']}, without free tiers. Not every source names"
            " the region: see docs/aws.md."
        )


@click.command(
    epilog=examples("shoplake publish --lake s3://capstone-lake-alice-123456789012/lake --database shoplake_alice")
)
@options.lake
@click.option("--database", required=True, metavar="NAME", help="The Glue database.")
@_REGION
def publish(lake: str | None, database: str, region: str | None) -> None:
    """Show a lake on S3 to Athena as it is now: move the tables' pointers in the Glue Data Catalog.

    The Glue job does so after each batch. Do it after an ingest, a maintenance or an erasure of your own.
    """
    from shoplake import settings
    from shoplake.aws import clients, glue_catalog
    from shoplake.lake.catalog import Lake

    view = Lake(settings.load({"lake": lake}).need_lake()).need().view()
    glue_catalog.publish(view, database, clients.client("glue", region))
    output.say(f"The tables of {database} are at version {view.version:,} of the lake.")


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise UsageError(f"--parameter {text!r} is no NAME=VALUE", remedy="For instance --parameter ScheduleMinutes=5.")
    return name, value


def _cloud(region: str | None) -> Cloud:
    from shoplake.aws import clients
    from shoplake.aws.stack import Cloud

    return Cloud(partial(clients.client, region=region), tell=_tell)


def _tell(event: Event) -> None:
    output.note(f"  {event.status:<28} {event.resource:<26} {event.reason}".rstrip())
