"""deploy and destroy: idempotent, watched step by step, and clear about what is not right."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from infra import emulate
from shoplake.aws import bundles, deploy, preview, stack
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


def wanted(checkout: Path | None = ROOT, **parameters: str) -> deploy.Wanted:
    """The stack of a student, with the whole template."""
    return deploy.Wanted("x", NAME, stack.template(), "0.1.0", parameters, checkout)


@pytest.fixture(autouse=True)
def emulated(monkeypatch: pytest.MonkeyPatch) -> None:
    """CloudFormation makes the part of the template that moto's knows, as the parameters of the call resolve it."""
    real = stack.apply

    def apply(cloud: stack.Cloud, name: str, body: str, parameters: Mapping[str, str]) -> dict[str, str]:
        if body != stack.template():
            return real(cloud, name, body, parameters)
        found = stack.describe(cloud, name)
        kept = {one["ParameterKey"]: one["ParameterValue"] for one in (found or {}).get("Parameters", ())}
        made = emulate.Stack({**kept, **parameters}, REGION)
        return real(cloud, name, made.for_cloudformation(), parameters)

    monkeypatch.setattr(stack, "apply", apply)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bundles.build_wheel(ROOT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(autouse=True)
def built(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """What a build would be named, in order; the bundles themselves are small."""
    names = ["code/shoplake-0.1.0-a", "code/shoplake-0.1.0-b", "code/shoplake-0.1.0-c"]
    left = iter(names)

    def build(*_: Any) -> bundles.Bundles:
        key, files = next(left), {suffix: tmp_path / f"bundle{suffix}" for suffix in bundles.SUFFIXES}
        for suffix, path in files.items():
            path.write_text(key + suffix)
        return bundles.Bundles(key, files)

    monkeypatch.setattr(bundles, "build", build)
    return names


@pytest.fixture
def account(aws: str) -> Any:
    boto3.client("iam").create_role(RoleName="LabRole", AssumeRolePolicyDocument="{}")
    glue = boto3.client("glue")
    made = emulate.Stack({"StudentId": "x", "Runner": "glue"}, REGION)
    glue.create_job(**made.of("AWS::Glue::Job")[0])
    glue.create_trigger(**{**made.of("AWS::Glue::Trigger")[0], "StartOnCreation": False})
    return glue


def uploaded() -> list[str]:
    listed = boto3.client("s3").list_objects_v2(Bucket="capstone-lake-x-123456789012", Prefix="code/")
    return [one["Key"] for one in listed.get("Contents", ())]


def parameters() -> dict[str, str]:
    found = boto3.client("cloudformation").describe_stacks(StackName=NAME)["Stacks"][0]["Parameters"]
    return {one["ParameterKey"]: one["ParameterValue"] for one in found}


def rule() -> str:
    return str(boto3.client("events").describe_rule(Name="shoplake-arrival-x")["State"])


def test_deploy_makes_the_stack_tells_each_step_and_starts_the_pipeline(account: Any, built: list[str]):
    steps: list[stack.Event] = []
    outputs = deploy.deploy(wanted(), cloud(steps))
    assert outputs["LakeBucketName"] == "capstone-lake-x-123456789012"
    assert any(step.status == "CREATE_COMPLETE" for step in steps)
    assert uploaded() == [built[0] + suffix for suffix in sorted(bundles.SUFFIXES)]
    assert rule() == "ENABLED"
    assert outputs["NextStep"] == "None. The pipeline takes in each file as it arrives"


def test_with_glue_as_the_runner_the_trigger_is_started(account: Any):
    outputs = deploy.deploy(wanted(Runner="glue"), cloud())
    assert account.get_trigger(Name="shoplake-x")["Trigger"]["State"] == "ACTIVATED"
    assert rule() == "DISABLED"
    assert outputs["NextStep"] == "None. The pipeline runs every 15 minutes"


def test_what_was_stopped_on_purpose_stays_stopped(account: Any):
    deploy.deploy(wanted(Runner="glue"), cloud())
    account.stop_trigger(Name="shoplake-x")
    boto3.client("events").disable_rule(Name="capstone-event-generator-schedule-x")
    steps: list[stack.Event] = []
    deploy.deploy(wanted(), cloud(steps))
    assert account.get_trigger(Name="shoplake-x")["Trigger"]["State"] == "DEACTIVATED"
    assert [step.reason for step in steps if step.kind == "AWS::Glue::Trigger"] == [
        "it was stopped, and stays so: aws glue start-trigger --name shoplake-x"
    ]


def test_schedule_off_pauses_and_on_goes_on(account: Any):
    deploy.deploy(wanted(), cloud())
    paused = deploy.deploy(wanted(Schedule="off"), cloud())
    assert (rule(), paused["NextStep"]) == ("DISABLED", "None. The pipeline is paused by the parameter Schedule")
    deploy.deploy(wanted(Schedule="on"), cloud())
    assert rule() == "ENABLED"


def test_deploying_again_changes_nothing(account: Any, monkeypatch: pytest.MonkeyPatch):
    first = deploy.deploy(wanted(), cloud())
    service = boto3.client("cloudformation")
    before = len(service.describe_stack_resources(StackName=NAME)["StackResources"])
    assert deploy.deploy(wanted(), cloud()) == first
    assert len(service.describe_stack_resources(StackName=NAME)["StackResources"]) == before
    assert len(service.list_stacks()["StackSummaries"]) == 1


def test_the_upload_before_this_one_stays_and_older_ones_go(account: Any, built: list[str]):
    """A run that is just starting has the name of the one before."""
    for _ in built:
        deploy.deploy(wanted(), cloud())
    assert {key.partition(".g")[0].partition(".l")[0] for key in uploaded()} == set(built[1:])
    assert parameters()["Bundle"] == built[-1]


def test_what_is_not_said_again_stays_as_it_was(account: Any):
    deploy.deploy(wanted(KeepData="true"), cloud())
    deploy.deploy(wanted(Seed="7"), cloud())
    assert (parameters()["KeepData"], parameters()["Seed"]) == ("true", "7")


def test_after_the_briefs_command_alone_deploy_is_the_one_step_that_is_left(aws: str, built: list[str]):
    """create-stack with one parameter: nothing runs that would fail; deploy brings the package and starts the pipeline."""
    made = emulate.Stack({"StudentId": "x"}, REGION)
    emulate.create(made, NAME)
    assert rule() == "DISABLED"
    assert f"shoplake deploy --student-id x --region {REGION}" in made.outputs["NextStep"]
    deploy.deploy(wanted(), cloud())
    assert rule() == "ENABLED"
    assert built[0] + bundles.GLUE_SUFFIX in uploaded()


def test_a_named_package_is_installed_and_nothing_is_built(account: Any, monkeypatch: pytest.MonkeyPatch):
    deploy.deploy(wanted(), cloud())
    monkeypatch.setattr(bundles, "build", None)
    deploy.deploy(wanted(ShoplakePackage="shoplake==9"), cloud())
    assert (parameters()["ShoplakePackage"], parameters()["Bundle"]) == ("shoplake==9", "")


def test_without_a_checkout_a_version_that_is_not_published_is_refused(account: Any):
    """The name is not ours yet: whoever takes it would have their code run with the account's role."""
    with pytest.raises(UsageError, match=r"shoplake 0\.1\.0 is not published") as told:
        deploy.deploy(wanted(None), cloud())
    assert "from a checkout" in told.value.remedy
    assert boto3.client("cloudformation").list_stacks()["StackSummaries"] == []


def test_without_a_checkout_a_published_version_is_installed_by_the_template(account: Any):
    deploy.deploy(replace(wanted(None), published=True), cloud())
    assert parameters()["Bundle"] == ""
    assert uploaded() == []


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
    deploy.deploy(wanted(Runner="glue"), cloud())
    for bucket in boto3.client("s3").list_buckets()["Buckets"]:  # as the set-up function does
        boto3.resource("s3").Bucket(bucket["Name"]).objects.delete()
        boto3.client("s3").delete_bucket(Bucket=bucket["Name"])
    assert deploy.destroy(NAME, cloud())
    assert account.get_trigger(Name="shoplake-x")["Trigger"]["State"] != "ACTIVATED"
    assert not deploy.destroy(NAME, cloud())


def test_destroy_waits_for_a_run_to_stop(account: Any, monkeypatch: pytest.MonkeyPatch):
    """A run that still writes would fill the buckets while they are emptied."""
    deploy.deploy(wanted(Runner="glue"), cloud())
    states = iter(["RUNNING", "STOPPING", "STOPPING", "STOPPED"])
    asked: list[str] = []
    slept: list[float] = []

    class Glue:
        exceptions = account.exceptions

        def __getattr__(self, name: str) -> Any:
            return getattr(account, name)

        def get_job_runs(self, **_: Any) -> Any:
            asked.append(next(states))
            return {"JobRuns": [{"Id": "jr", "JobRunState": asked[-1]}]}

        def batch_stop_job_run(self, **given: Any) -> None:
            assert given == {"JobName": "shoplake-x", "JobRunIds": ["jr"]}

    monkeypatch.setattr(stack, "remove", lambda *_: asked == ["RUNNING", "STOPPING", "STOPPING", "STOPPED"])
    services = stack.Cloud(lambda name: Glue() if name == "glue" else client(name), slept.append)
    assert deploy.destroy(NAME, services)
    assert len(slept) == 2


def test_a_dry_run_says_what_it_would_do_and_does_nothing(account: Any, built: list[str]):
    planned = preview.preview(wanted(Runner="glue"), cloud())
    assert ("stack", "create capstone-x") in planned
    assert ("parameter", "Runner: glue") in planned
    assert [details.partition(" ")[0] for what, details in planned if what == "upload"] == [
        built[0] + suffix for suffix in bundles.SUFFIXES
    ]
    assert planned[-1][1].startswith("USD 2.95, of which Glue, every 15 minutes 2.46")
    assert boto3.client("cloudformation").list_stacks()["StackSummaries"] == []


def test_a_dry_run_over_a_stack_shows_what_is_different(account: Any, built: list[str]):
    deploy.deploy(wanted(), cloud())
    before = parameters()
    planned = dict(preview.preview(wanted(Schedule="off"), cloud()))
    assert (planned["stack"], planned["parameter"]) == ("update capstone-x", "Schedule: on -> off")
    assert planned["a day"].startswith("paused; USD 0.54 when it runs")
    assert parameters() == before
    assert {key.partition(".")[0] for key in uploaded()} == {built[0].partition(".")[0]}


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
    made = command("deploy", "--student-id", "x", "--format", "json")
    assert json.loads(made.out)["GlueDatabaseName"] == "shoplake_x"
    assert "CREATE_COMPLETE" in made.err
    assert {"what": "stack", "details": "update capstone-x"} in command(
        "deploy", "--student-id", "x", "--dry-run", "--format", "json"
    ).json
    assert command("destroy").code == 2
    assert command("destroy", "--student-id", "nobody", "--yes").out == "there is no stack capstone-nobody\n"
    assert command("deploy", "--student-id", "x", "--parameter", "KeepData").code == 2
