"""The template on the emulator: it comes up with its files and tables, and leaves nothing when it goes."""

from __future__ import annotations

import time
from typing import Any

import boto3
import pytest

from infra import emulate, grade
from shoplake import contract
from tests.aws.support import REGION
from tests.support import proof


@pytest.fixture
def stack(aws: str) -> emulate.Stack:
    made = emulate.Stack({"StudentId": "a-b", "AlarmEmail": "x@example.com"}, REGION)
    emulate.create(made, "capstone-a-b")
    return made


def test_the_stack_comes_up_with_all_that_the_emulator_knows(stack: emulate.Stack):
    resources = boto3.client("cloudformation").describe_stack_resources(StackName="capstone-a-b")["StackResources"]
    assert {one["ResourceStatus"] for one in resources} == {"CREATE_COMPLETE"}
    job = boto3.client("glue").get_job(JobName=stack.outputs["GlueJobName"])["Job"]
    assert job["GlueVersion"] == "5.1"
    rule = boto3.client("events").describe_rule(Name="shoplake-arrival-a-b")
    assert (rule["State"], rule["ScheduleExpression"]) == ("DISABLED", "cron(7 * * * ? *)")
    assert boto3.client("sqs").list_queues()["QueueUrls"][0].endswith("/shoplake-arrival-failures-a-b")
    athena = boto3.client("athena")
    assert len(athena.list_named_queries(WorkGroup=stack.outputs["AthenaWorkGroup"])["NamedQueryIds"]) == 5
    assert len(boto3.client("cloudwatch").describe_alarms()["MetricAlarms"]) == 4


def test_the_raw_table_has_the_fields_of_the_contract_and_computed_partitions(stack: emulate.Stack):
    found = boto3.client("glue").get_table(DatabaseName=stack.outputs["GlueDatabaseName"], Name="raw_events")["Table"]
    assert [column["Name"] for column in found["StorageDescriptor"]["Columns"]] == [one.name for one in contract.FIELDS]
    assert [key["Name"] for key in found["PartitionKeys"]] == ["day"]
    template = found["Parameters"]["storage.location.template"]
    key = grade.generate(emulate.Stack({"StudentId": "a-b", "MinEvents": "5", "MaxEvents": "5"}, REGION), grade.FIRST)[
        "key"
    ]
    literals = found["Parameters"]["projection.day.format"].split("'")  # as Java's DateTimeFormatter quotes them
    day = "".join({"yyyy": "2025", "MM": "11", "dd": "18"}.get(part, part) for part in literals)
    assert f"s3://{stack.outputs['SourceBucketName']}/{key}".startswith(template.replace("${day}", day))
    low, high = found["Parameters"]["projection.day.range"].split(",")
    assert (low, high) == ("year=2025/month=01/day=01", "NOW")  # a partition a day, empty ones included


def test_deleting_the_stack_leaves_nothing(stack: emulate.Stack):
    s3 = boto3.client("s3")
    source = stack.outputs["SourceBucketName"]
    for _ in range(2):  # two versions, and a marker on top
        s3.put_object(Bucket=source, Key="events/a", Body=b"x")
    s3.delete_object(Bucket=source, Key="events/a")
    emulate.delete(stack, "capstone-a-b")
    assert s3.list_buckets()["Buckets"] == []
    assert boto3.client("glue").get_databases()["DatabaseList"] == []
    assert boto3.client("logs").describe_log_groups()["logGroups"] == []
    assert boto3.client("cloudwatch").describe_alarms()["MetricAlarms"] == []


def test_keep_data_keeps_both_buckets(aws: str):
    stack = emulate.Stack({"StudentId": "x", "KeepData": "true"}, REGION)
    emulate.create(stack, "capstone-x")
    emulate.delete(stack, "capstone-x")
    assert len(boto3.client("s3").list_buckets()["Buckets"]) == 2


@pytest.mark.parametrize(
    ("status", "keep", "left"),
    [
        ("DELETE_IN_PROGRESS", "false", 0),
        ("DELETE_IN_PROGRESS", "true", 2),
        ("ROLLBACK_IN_PROGRESS", "false", 0),
        ("ROLLBACK_IN_PROGRESS", "true", 0),
        ("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "false", 2),
        ("UPDATE_ROLLBACK_IN_PROGRESS", "false", 2),
    ],
)
def test_buckets_go_only_with_the_stack(stack: emulate.Stack, status: str, keep: str, left: int):
    """CloudFormation also sends Delete when an update renames or replaces the resource; a failed create keeps nothing."""
    s3 = boto3.client("s3")
    s3.put_object(Bucket=stack.outputs["SourceBucketName"], Key="events/a", Body=b"x")
    given = {**stack.of("Custom::BucketCleanup")[0], "KeepData": keep}
    emulate.set_up(stack, given, "Delete", status)
    assert len(s3.list_buckets()["Buckets"]) == left


def test_a_writer_beside_the_deletion(stack: emulate.Stack, monkeypatch: pytest.MonkeyPatch):
    """A run that still writes while the buckets are emptied does not keep the stack from going."""
    monkeypatch.setattr(time, "sleep", lambda _: None)
    source, writes = stack.outputs["SourceBucketName"], iter(range(3))
    real = boto3.resource

    def resource(name: str) -> Any:
        made = real(name)
        made.meta.client.meta.events.register("before-call.s3.DeleteBucket", write_once_more)
        return made

    def write_once_more(**_: Any) -> None:
        if next(writes, None) is not None:
            boto3.client("s3").put_object(Bucket=source, Key="events/late", Body=b"x")

    monkeypatch.setattr(boto3, "resource", resource)
    emulate.set_up(stack, stack.of("Custom::BucketCleanup")[0], "Delete")
    assert next(writes, None) is None
    assert boto3.client("s3").list_buckets()["Buckets"] == []


def test_the_setup_function_tells_cloudformation_of_a_failure(stack: emulate.Stack):
    with pytest.raises(RuntimeError, match="NoSuchBucket"):
        emulate.set_up(stack, {"LakeBucket": "nowhere", "Files": {"a": "b"}}, "Create")


@proof
def test_the_graders_path_holds_with_small_files(capsys: pytest.CaptureFixture[str]):
    assert grade.grade(300)
    said = capsys.readouterr().out
    assert "yes  lines reprocessed = 0" in said
    assert "NO " not in said
