"""``shoplake deploy``: the stack on AWS is made or changed."""

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
@click.option("--student-id", required=True, metavar="ID", help="Names everything in the stack.")
@click.option("--stack-name", metavar="NAME", help="[default: capstone-ID]")
@options.region
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
    outputs = aws.deploy(wanted, cloud.connect(region))
    if style == "json":
        output.as_json(outputs)
    else:
        output.as_table(("output", "value"), list(outputs.items()), f"{wanted.name} is there")
        output.say(
            f"The pipeline runs by itself; the first data is there after its first run. Logs: {outputs['GlueConsole']}"
        )


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise UsageError(f"--parameter {text!r} is no NAME=VALUE", remedy="For instance --parameter ScheduleMinutes=5.")
    return name, value
