"""``shoplake deploy``: creates or updates the stack on AWS."""

from __future__ import annotations

import click

from shoplake import __version__
from shoplake.cli import cloud, options, output
from shoplake.errors import UsageError


@click.command(
    epilog=options.examples(
        "shoplake deploy --student-id alice --region us-west-2",
        "shoplake deploy --student-id alice --parameter ScheduleMinutes=5 --parameter AlarmEmail=alice@example.com",
        "shoplake deploy --student-id alice --parameter 'ShoplakePackage=shoplake[s3]==0.1.0'",
    )
)
@click.option("--student-id", required=True, metavar="ID", help="Part of the name of everything in the stack.")
@click.option("--stack-name", metavar="NAME", help="[default: capstone-ID]")
@options.region
@click.option("--parameter", "given", multiple=True, metavar="NAME=VALUE", help="A template parameter; repeatable.")
@click.option(
    "--format", "style", type=click.Choice(("table", "json")), default="table", show_default=True, help="Output format."
)
def deploy(student_id: str, stack_name: str | None, region: str | None, given: tuple[str, ...], style: str) -> None:
    """Create or update the stack on AWS, and show where everything is.

    From a checkout, it builds and uploads the wheel; an installed shoplake lets Glue install the same release. Running it
    again changes only what is different.
    """
    from shoplake.aws import deploy as aws
    from shoplake.aws import stack

    name = stack_name or f"capstone-{student_id}"
    wanted = aws.Wanted(student_id, name, stack.template(), __version__, dict(map(_pair, given)), aws.own_checkout())
    outputs = aws.deploy(wanted, cloud.connect(region))
    if style == "json":
        output.as_json(outputs)
    else:
        output.as_table(("output", "value"), list(outputs.items()), f"{wanted.name} is ready")
        output.say(
            f"The pipeline runs on its own; the first data appears after its first run. Logs: {outputs['GlueConsole']}"
        )


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise UsageError(f"--parameter {text!r} is not NAME=VALUE", remedy="For example --parameter ScheduleMinutes=5.")
    return name, value
