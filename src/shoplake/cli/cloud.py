"""The AWS services, with the progress of the stack on stderr."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from shoplake.cli import output

if TYPE_CHECKING:
    from shoplake.aws.stack import Cloud, Event


def connect(region: str | None) -> Cloud:
    """The services of a region; each step of a stack is printed as it happens."""
    from shoplake.aws import clients
    from shoplake.aws.stack import Cloud

    return Cloud(partial(clients.client, region=region), tell=_tell)


def _tell(event: Event) -> None:
    output.note(f"  {event.status:<28} {event.resource:<26} {event.reason}".rstrip())
