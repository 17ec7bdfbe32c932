"""``shoplake deploy``: creates or updates the stack on AWS."""

from __future__ import annotations

import click

from shoplake import PUBLISHED, __version__
from shoplake.cli import cloud, options, output
from shoplake.errors import UsageError


@click.command(
    epilog=options.examples(
        "shoplake deploy --student-id alice --region us-west-2",
        "shoplake deploy --student-id alice --parameter ScheduleMinutes=5 --parameter AlarmEmail=alice@example.com",
        "shoplake deploy --student-id alice --parameter Schedule=off",
        "shoplake deploy --student-id alice --dry-run",
    )
)
@click.option("--student-id", required=True, metavar="ID", help="Part of the name of everything in the stack.")
@click.option("--stack-name", metavar="NAME", help="[default: capstone-ID]")
@options.region
@click.option("--parameter", "given", multiple=True, metavar="NAME=VALUE", help="A template parameter; repeatable.")
@click.option("--dry-run", is_flag=True, help="Show what would be uploaded and changed, and what a day costs then.")
@click.option(
    "--format", "style", type=click.Choice(("table", "json")), default="table", show_default=True, help="Output format."
)
def deploy(
    student_id: str, stack_name: str | None, region: str | None, given: tuple[str, ...], dry_run: bool, style: str
) -> None:
    """Create or update the stack on AWS, and show where everything is.

    From a checkout, it builds the package and uploads it with its libraries, in the versions of the lock files. An installed
    shoplake lets AWS install the same release, once that is published. Running it again changes only what is different, and
    starts nothing that was stopped on purpose.
    """
    from shoplake.aws import deploy as aws
    from shoplake.aws import stack

    name = stack_name or f"capstone-{student_id}"
    parameters = dict(map(_pair, given))
    wanted = aws.Wanted(student_id, name, stack.template(), __version__, parameters, aws.own_checkout(), PUBLISHED)
    if dry_run:
        from shoplake.aws import preview

        planned = preview.preview(wanted, cloud.connect(region))
        if style == "json":
            output.as_json([{"what": what, "details": details} for what, details in planned])
        else:
            output.as_table(("what", "details"), planned, f"{wanted.name}: nothing was changed")
        return
    outputs = aws.deploy(wanted, cloud.connect(region))
    if style == "json":
        output.as_json(outputs)
    else:
        output.as_table(("output", "value"), list(outputs.items()), f"{wanted.name} is ready")
        output.say(f"{outputs['NextStep'].removeprefix('None. ')}.")


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise UsageError(f"--parameter {text!r} is not NAME=VALUE", remedy="For example --parameter ScheduleMinutes=5.")
    return name, value
