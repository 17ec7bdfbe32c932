"""``shoplake destroy``: deletes the stack on AWS."""

from __future__ import annotations

import click

from shoplake.cli import cloud, options, output
from shoplake.errors import UsageError


@click.command(epilog=options.examples("shoplake destroy --student-id alice --region us-west-2 --yes"))
@click.option("--student-id", metavar="ID", help="Delete the stack capstone-ID.")
@click.option("--stack-name", metavar="NAME", help="Delete a stack with another name.")
@options.region
@options.yes
def destroy(student_id: str | None, stack_name: str | None, region: str | None, yes: bool) -> None:
    """Delete the stack and everything in it.

    This includes the buckets with their data, unless the stack was created with KeepData=true.
    """
    if (student_id is None) == (stack_name is None):
        raise UsageError("which stack?", remedy="Give one of --student-id ID and --stack-name NAME.")
    from shoplake.aws import deploy as aws

    name = stack_name or f"capstone-{student_id}"
    options.confirm(f"Delete {name} with all its data?", yes=yes)
    output.say(f"{name} was deleted" if aws.destroy(name, cloud.connect(region)) else f"there is no stack {name}")
