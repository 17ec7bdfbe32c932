"""deploy and destroy: idempotent, watched step by step, and clear about what is not right."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from infra import emulate
from shoplake.aws import deploy, stack
from shoplake.aws.clients import client
from shoplake.errors import FatalError, TransientError, UsageError
from tests.aws.support import REGION, ROOT
from tests.support import command

NAME = "capstone-x"


def cloud(steps: list[stack.Event] | None = None) -> stack.Cloud:
    """The emulator, with the steps that were told. moto finishes every step at once, so nobody waits."""

    def sleep(_: float) -> None:
        raise AssertionError("nothing to wait for")

    return stack.Cloud(client, sleep, (steps if steps is not None else []).append)


def wanted(checkout: Path | None = None, **parameters: str) -> deploy.Wanted:
    """The part of the template that moto's CloudFormation knows; the rest is made by hand before."""
    made = emulate.Stack({"StudentId": "x", **parameters}, REGION)
    return deploy.Wanted("x", NAME, made.for_cloudformation(), "0.1.0", parameters, checkout)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return deploy.build_wheel(ROOT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture
def account(aws: str) -> Any:
    boto3.client("iam").create_role(RoleName="LabRole", AssumeRolePolicyDocument="{}")
    glue = boto3.client("glue")
    made = emulate.Stack({"StudentId": "x"}, REGION)
    glue.create_job(**made.of("AWS::Glue::Job")[0])
    glue.create_trigger(**{**made.of("AWS::Glue::Trigger")[0], "StartOnCreation": False})
    return glue


def test_deploy_makes_the_stack_tells_each_step_and_starts_the_trigger(account: Any):
    steps: list[stack.Event] = []
    outputs = deploy.deploy(wanted(), cloud(steps))
    assert outputs["LakeBucketName"] == "capstone-lake-x-123456789012"
    assert any(step.status == "CREATE_COMPLETE" for step in steps)
    assert account.get_trigger(Name="shoplake-x")["Trigger"]["State"] == "ACTIVATED"


def test_deploying_again_changes_nothing(account: Any):
    first = deploy.deploy(wanted(), cloud())
    service = boto3.client("cloudformation")
    before = len(service.describe_stack_resources(StackName=NAME)["StackResources"])
    assert deploy.deploy(wanted(), cloud()) == first
    assert len(service.describe_stack_resources(StackName=NAME)["StackResources"]) == before
    assert len(service.list_stacks()["StackSummaries"]) == 1


def test_what_is_not_said_again_stays_as_it_was(account: Any):
    deploy.deploy(wanted(KeepData="true"), cloud())
    again = wanted(Seed="7")
    deploy.deploy(again, cloud())
    found = boto3.client("cloudformation").describe_stacks(StackName=NAME)["Stacks"][0]["Parameters"]
    values = {one["ParameterKey"]: one["ParameterValue"] for one in found}
    assert (values["KeepData"], values["Seed"]) == ("true", "7")


def test_from_a_checkout_the_wheel_goes_where_the_job_looks_for_it(
    account: Any, wheel: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(deploy, "build_wheel", lambda *_: wheel)
    outputs = deploy.deploy(wanted(ROOT), cloud())
    package = emulate.Stack({"StudentId": "x"}, REGION).of("AWS::Glue::Job")[0]["DefaultArguments"]
    place, *others = package["--additional-python-modules"].split(",")
    bucket, _, key = place.removeprefix("s3://").partition("/")
    assert bucket == outputs["LakeBucketName"]
    assert boto3.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read() == wheel.read_bytes()
    assert [text for text in others if text.startswith("obstore")]
    assert all("<" not in text for text in others)


def test_after_the_briefs_command_alone_deploy_is_the_one_step_that_is_left(
    aws: str, wheel: Path, monkeypatch: pytest.MonkeyPatch
):
    """create-stack with one parameter: the trigger waits, so that no run fails; deploy brings the package and starts it."""
    monkeypatch.setattr(deploy, "build_wheel", lambda *_: wheel)
    made = emulate.Stack({"StudentId": "x"}, REGION)
    emulate.create(made, NAME)
    trigger = made.outputs["GlueTriggerName"]
    assert boto3.client("glue").get_trigger(Name=trigger)["Trigger"]["State"] == "CREATED"
    assert f"shoplake deploy --student-id x --region {REGION}" in made.outputs["NextStep"]
    deploy.deploy(wanted(ROOT), cloud())
    assert boto3.client("glue").get_trigger(Name=trigger)["Trigger"]["State"] == "ACTIVATED"


def test_a_named_package_is_installed_and_no_wheel_is_built(account: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(deploy, "build_wheel", None)
    deploy.deploy(wanted(ROOT, ShoplakePackage="shoplake[s3]==9"), cloud())
    found = boto3.client("cloudformation").describe_stacks(StackName=NAME)["Stacks"][0]["Parameters"]
    assert {"ParameterKey": "ShoplakePackage", "ParameterValue": "shoplake[s3]==9"} in found


def test_the_wheel_holds_what_the_job_and_deploy_need(wheel: Path):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        inside = archive.read("shoplake/capstone-starter.cfn.yaml").decode()
    assert {
        "shoplake/ingestion/pipeline.py",
        "shoplake/queries.sql",
        "shoplake/aws/glue_catalog.py",
        "shoplake/aws/prices.json",
    } <= names
    assert inside == stack.template()


def test_a_role_for_the_schedule_has_to_be_there_if_it_is_named(account: Any):
    with pytest.raises(UsageError, match="this account has no role scheduler"):
        deploy.deploy(wanted(SchedulerRole="scheduler"), cloud())


def test_an_account_without_the_role_is_told_before_anything_is_made(aws: str):
    with pytest.raises(UsageError, match="this account has no role LabRole"):
        deploy.deploy(wanted(), cloud())
    assert boto3.client("cloudformation").list_stacks()["StackSummaries"] == []


def test_destroy_stops_the_trigger_and_removes_the_stack(account: Any):
    deploy.deploy(wanted(), cloud())
    for bucket in boto3.client("s3").list_buckets()["Buckets"]:
        boto3.client("s3").delete_bucket(Bucket=bucket["Name"])  # as the set-up function does
    assert deploy.destroy(NAME, cloud())
    assert account.get_trigger(Name="shoplake-x")["Trigger"]["State"] != "ACTIVATED"
    assert not deploy.destroy(NAME, cloud())


class Fails:
    """A service every call of which fails in the same way."""

    def __init__(self, service: str, error: Exception) -> None:
        self.exceptions, self._error = boto3.client(service).exceptions, error

    def __getattr__(self, _: str) -> Any:
        def call(**__: Any) -> None:
            raise self._error

        return call


@pytest.mark.parametrize(
    ("error", "family", "text"),
    [
        (ClientError({"Error": {"Code": "ExpiredToken"}}, "x"), UsageError, "have expired"),
        (ClientError({"Error": {"Code": "InvalidClientTokenId"}}, "x"), UsageError, "rejected the credentials"),
        (ClientError({"Error": {"Code": "AccessDenied"}}, "x"), FatalError, "access denied"),
        (EndpointConnectionError(endpoint_url="https://sts.us-wets-2"), TransientError, "did not respond"),
    ],
)
def test_what_aws_refuses_is_told_in_plain_words(aws: str, error: Exception, family: type[Exception], text: str):
    refusing = stack.Cloud(lambda service: Fails(service, error))
    with pytest.raises(family, match=text) as told:
        deploy.deploy(wanted(), refusing)
    assert told.value.remedy  # type: ignore[attr-defined]


class Scripted:
    """CloudFormation with a stack whose steps are given; as on AWS they come little by little, the newest first."""

    def __init__(self, *pages: list[tuple[str, str, str]]) -> None:
        self.exceptions = boto3.client("cloudformation").exceptions
        self.pages, self.turn = pages, 0

    def describe_stacks(self, **_: Any) -> dict[str, Any]:
        self.turn += 1
        last = self.turn >= len(self.pages)
        return {"Stacks": [{"StackStatus": self.pages[-1][-1][1] if last else "CREATE_IN_PROGRESS", "StackId": "id"}]}

    def get_paginator(self, _: str) -> Any:
        return self

    def paginate(self, **_: Any) -> list[dict[str, Any]]:
        steps = [step for page in self.pages[: self.turn] for step in page]
        events = [
            {"EventId": str(number), "LogicalResourceId": name, "ResourceStatus": status, "ResourceStatusReason": why}
            for number, (name, status, why) in enumerate(steps)
        ]
        return [{"StackEvents": events[::-1]}]


def watch(*pages: list[tuple[str, str, str]]) -> list[str]:
    told: list[stack.Event] = []
    service = Scripted(*pages)
    stack.watch(stack.Cloud(lambda _: service, lambda _: None, told.append), "id", set())
    return [f"{event.resource} {event.status}" for event in told]


def test_steps_are_told_once_in_their_order(aws: str):
    assert watch(
        [("stack", "CREATE_IN_PROGRESS", ""), ("Job", "CREATE_IN_PROGRESS", "")],
        [("Job", "CREATE_COMPLETE", "")],
        [("stack", "CREATE_COMPLETE", "")],
    ) == ["stack CREATE_IN_PROGRESS", "Job CREATE_IN_PROGRESS", "Job CREATE_COMPLETE", "stack CREATE_COMPLETE"]


@pytest.mark.parametrize(
    ("reason", "family", "text"),
    [
        ("capstone-lake-x already exists", UsageError, "a name is already taken: LakeBucket"),
        ("The role defined for the function cannot be assumed by Lambda.", UsageError, "a role cannot be used"),
        ("Rate exceeded", FatalError, "the stack failed at LakeBucket"),
    ],
)
def test_the_first_failure_is_the_one_that_is_told(aws: str, reason: str, family: type[Exception], text: str):
    with pytest.raises(family, match=text):
        watch(
            [("LakeBucket", "CREATE_FAILED", reason), ("Job", "CREATE_FAILED", "Resource creation cancelled")],
            [("stack", "ROLLBACK_COMPLETE", "")],
        )


def test_a_stack_that_an_earlier_attempt_left_unusable_is_told(aws: str):
    service = Scripted([("stack", "ROLLBACK_COMPLETE", "")])
    with pytest.raises(UsageError, match="state ROLLBACK_COMPLETE") as told:
        stack.apply(stack.Cloud(lambda _: service), NAME, "{}", {})
    assert "shoplake destroy" in told.value.remedy


def test_the_commands_say_what_they_do(account: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(stack, "template", lambda: wanted().body)
    monkeypatch.setattr(deploy, "own_checkout", lambda: None)
    made = command("deploy", "--student-id", "x", "--format", "json")
    assert json.loads(made.out)["GlueDatabaseName"] == "shoplake_x"
    assert "CREATE_COMPLETE" in made.err
    assert command("destroy").code == 2
    assert command("destroy", "--student-id", "nobody", "--yes").out == "there is no stack capstone-nobody\n"
    assert command("deploy", "--student-id", "x", "--parameter", "KeepData").code == 2
