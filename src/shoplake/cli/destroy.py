"""``shoplake destroy``: the stack on AWS is removed."""

from __future__ import annotations

import click

from shoplake.cli import cloud, options, output
from shoplake.errors import UsageError


@click.command(epilog=options.examples("shoplake destroy --student-id alice --region us-west-2 --yes"))
@click.option("--student-id", metavar="ID", help="The stack capstone-ID.")
@click.option("--stack-name", metavar="NAME", help="A stack of another name.")
@options.region
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
    output.say(f"{name} is gone" if aws.destroy(name, cloud.connect(region)) else f"there is no stack {name}")
