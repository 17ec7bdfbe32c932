"""Creates, updates, watches and deletes the stack of ``capstone-starter.cfn.yaml``."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from shoplake.aws import clients
from shoplake.errors import FatalError, UsageError

POLL_SECONDS = 3.0
_TEMPLATE = "capstone-starter.cfn.yaml"
_GONE = "DELETE_COMPLETE"
_UNUSABLE = ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", "DELETE_FAILED")


@dataclass(frozen=True)
class Event:
    """A step of a stack: which resource reached which state, and why if it failed."""

    resource: str
    kind: str
    status: str
    reason: str


@dataclass(frozen=True)
class Cloud:
    """The services that are needed, and how to wait.

    Attributes:
        client: Gives the client of a service.
        sleep: Waits for some seconds.
        tell: Called with each step of a stack.
    """

    client: Callable[[str], Any] = clients.client
    sleep: Callable[[float], None] = time.sleep
    tell: Callable[[Event], None] = field(default=lambda _: None)


def template() -> str:
    """The template of this version."""
    inside = resources.files("shoplake").joinpath(_TEMPLATE)
    if inside.is_file():
        return inside.read_text("utf-8")
    return (Path(__file__).parents[3] / _TEMPLATE).read_text("utf-8")


def describe(cloud: Cloud, name: str) -> dict[str, Any] | None:
    """The stack as CloudFormation describes it; None if it does not exist."""
    service = cloud.client("cloudformation")
    try:
        found: dict[str, Any] = service.describe_stacks(StackName=name)["Stacks"][0]
    except service.exceptions.ClientError as error:
        if clients.code(error) == "ValidationError" and "does not exist" in str(error):
            return None
        raise
    return None if found["StackStatus"] == _GONE else found


def apply(cloud: Cloud, name: str, body: str, parameters: Mapping[str, str]) -> dict[str, str]:
    """Create the stack, or update it to what is wanted. Idempotent.

    Args:
        cloud: The services.
        name: The stack.
        body: The template.
        parameters: Its parameters; parameters of an existing stack that are not given keep their values.

    Returns:
        The stack's outputs.

    Raises:
        UsageError: The stack is in a state that only deleting it resolves, or a name is already taken.
        FatalError: A step failed.
    """
    service = cloud.client("cloudformation")
    given = [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()]
    found = describe(cloud, name)
    if found and found["StackStatus"].endswith("_IN_PROGRESS"):
        watch(cloud, found["StackId"], _seen(service, found["StackId"]))
        found = describe(cloud, name)
    if found is None:
        made = service.create_stack(StackName=name, TemplateBody=body, Parameters=given)
        watch(cloud, made["StackId"], set())
    elif found["StackStatus"] in _UNUSABLE:
        raise UsageError(
            f"the stack {name} is in state {found['StackStatus']}: an earlier attempt failed",
            remedy=f"Delete it and try again: shoplake destroy --stack-name {name}",
        )
    else:
        declared = {one["ParameterKey"] for one in service.get_template_summary(TemplateBody=body)["Parameters"]}
        given += [
            {"ParameterKey": one["ParameterKey"], "ParameterValue": one["ParameterValue"]}
            for one in found.get("Parameters", [])
            if one["ParameterKey"] in declared - set(parameters)
        ]
        seen = _seen(service, found["StackId"])
        try:
            service.update_stack(StackName=name, TemplateBody=body, Parameters=given)
        except service.exceptions.ClientError as error:
            if "No updates are to be performed" not in str(error):
                raise
        else:
            watch(cloud, found["StackId"], seen)
    final = describe(cloud, name) or {}
    return {one["OutputKey"]: one["OutputValue"] for one in final.get("Outputs", [])}


def remove(cloud: Cloud, name: str) -> bool:
    """Delete the stack and wait until it is gone.

    Returns:
        Whether there was one.

    Raises:
        FatalError: A step failed.
    """
    found = describe(cloud, name)
    if found is None:
        return False
    service = cloud.client("cloudformation")
    seen = _seen(service, found["StackId"])
    service.delete_stack(StackName=name)
    watch(cloud, found["StackId"], seen)
    return True


def watch(cloud: Cloud, stack_id: str, seen: set[str]) -> None:
    """Report every step of a stack until it is stable.

    Args:
        cloud: The services.
        stack_id: The id of the stack; a deleted one can be looked up only by its id.
        seen: Ids of earlier events.

    Raises:
        UsageError: A name that the stack needs is already taken.
        FatalError: A step failed.
    """
    service = cloud.client("cloudformation")
    failed: list[Event] = []
    while True:
        status = service.describe_stacks(StackName=stack_id)["Stacks"][0]["StackStatus"]
        for raw in _events(service, stack_id):
            if raw["EventId"] in seen:
                continue
            seen.add(raw["EventId"])
            event = Event(
                raw["LogicalResourceId"],
                raw.get("ResourceType", ""),
                raw["ResourceStatus"],
                raw.get("ResourceStatusReason", ""),
            )
            if event.status.endswith("_FAILED") and "cancelled" not in event.reason:
                failed.append(event)
            cloud.tell(event)
        if not status.endswith("_IN_PROGRESS"):
            break
        cloud.sleep(POLL_SECONDS)
    if failed or "ROLLBACK" in status or status.endswith("_FAILED"):
        raise _failure(failed[0] if failed else Event(stack_id, "", status, ""))


def _events(service: Any, stack_id: str) -> list[dict[str, Any]]:
    """All events of a stack, oldest first."""
    pages = service.get_paginator("describe_stack_events").paginate(StackName=stack_id)
    return [event for page in pages for event in page["StackEvents"]][::-1]


def _seen(service: Any, stack_id: str) -> set[str]:
    """The ids of the events so far."""
    return {event["EventId"] for event in _events(service, stack_id)}


def _failure(event: Event) -> UsageError | FatalError:
    what = f"{event.resource} ({event.kind}): {event.status}: {event.reason}"
    if "already exists" in event.reason or "AlreadyExists" in event.reason:
        return UsageError(
            f"a name is already taken: {what}",
            remedy="Choose another StudentId. Or is it yours, kept from an earlier stack (KeepData=true) or in another region?"
            " Then delete it, or continue there.",
        )
    if "assume" in event.reason or "iam:PassRole" in event.reason:
        return UsageError(
            f"a role cannot be used: {what}",
            remedy="The account needs a role LabRole, or your own roles: create them with infra/roles.cfn.yaml and pass them"
            " with --parameter.",
        )
    return FatalError(f"the stack failed at {what}", remedy="Fix the cause and run the same command again.")
