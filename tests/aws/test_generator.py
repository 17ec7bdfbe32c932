"""The inline generator under the Lambda runtime interface client, with the memory that the template gives it."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.aws import support
from tests.support import proofs

AT = datetime(2025, 11, 18, 14, 2, 37, tzinfo=UTC)  # rate(5 minutes) counts from when the rule was made


@pytest.fixture
def invoke(aws: str, tmp_path: Path) -> Iterator[Any]:
    boto3.client("s3").create_bucket(Bucket="raw", CreateBucketConfiguration={"LocationConstraint": support.REGION})
    environment = {**os.environ, "BUCKET": "raw", "SEED": "42", "LOW": "1000", "HIGH": "2000"}
    with support.runtime(support.inline("EventGeneratorFunction"), tmp_path, environment, 3008) as function:
        yield lambda at: function({"time": at.isoformat().replace("+00:00", "Z")} if isinstance(at, datetime) else at)


def test_a_scheduled_time_makes_one_file_however_often_it_is_asked_for(invoke: Any):
    first, second = invoke(AT).answer, invoke(AT).answer
    assert (first["written"], second["written"]) == (True, False)
    assert {**second, "written": True} == first
    assert first["key"] == "events/year=2025/month=11/day=18/hour=14/minute=02/events-20251118-140237.jsonl.gz"
    objects = boto3.client("s3").list_object_versions(Bucket="raw")["Versions"]
    assert [(one["Key"], one["Size"]) for one in objects] == [(first["key"], first["bytes"])]


def test_the_events_are_those_of_the_five_minutes_before_and_as_many_as_it_says(invoke: Any):
    made = invoke(AT).answer
    stored = boto3.client("s3").get_object(Bucket="raw", Key=made["key"])
    assert stored["ContentEncoding"] == "gzip"
    lines = gzip.decompress(stored["Body"].read()).split(b"\n")
    assert len(lines) == made["events"]
    assert 1000 <= made["events"] <= 2000
    times = [datetime.fromisoformat(json.loads(line)["timestamp"]) for line in lines]
    assert AT - timedelta(minutes=5) <= min(times) <= max(times) < AT


@pytest.mark.parametrize(
    "payload",
    [None, "text", {"key1": "value1", "key2": "value2"}, {"time": 5}, *proofs({}, [], {"time": "soon"})],
    ids=["none", "text", "the console's test event", "a number", "empty", "list", "no time"],
)
def test_any_payload_makes_a_file_for_now(invoke: Any, payload: Any):
    before = datetime.now(UTC).replace(microsecond=0)
    made = invoke(payload).answer
    at = datetime.strptime(made["key"][-24:-9], "%Y%m%d-%H%M%S").replace(tzinfo=UTC)
    assert made["written"]
    assert before <= at <= datetime.now(UTC)


def test_a_time_without_a_zone_is_utc(invoke: Any):
    assert invoke({"time": "2025-11-18T14:02:37"}).answer["key"] == invoke(AT).answer["key"]


def test_a_conflict_is_not_a_written_file(monkeypatch: pytest.MonkeyPatch, aws: str):
    """S3 answers 409 while another write of the key is under way: what became of that one, only another attempt tells."""
    client = boto3.client("s3")
    client.create_bucket(Bucket="raw", CreateBucketConfiguration={"LocationConstraint": support.REGION})
    for name, value in {"BUCKET": "raw", "SEED": "42", "LOW": "10", "HIGH": "20"}.items():
        monkeypatch.setenv(name, value)
    code: dict[str, Any] = {"__name__": "index"}
    exec(support.inline("EventGeneratorFunction"), code)  # noqa: S102 - the template's own
    answers = iter([409, 409, 200])
    real = client.put_object

    def put_object(**given: Any) -> Any:
        if next(answers) == 409:
            raise ClientError({"Error": {"Code": "ConditionalRequestConflict"}}, "PutObject")
        return real(**given)

    client.put_object = put_object
    monkeypatch.setattr(boto3, "client", lambda _: client)
    made = code["lambda_handler"]({"time": "2025-11-18T14:05:00Z"}, None)
    assert made["written"]
    assert next(answers, None) is None
    assert client.head_object(Bucket="raw", Key=made["key"])["ContentLength"] == made["bytes"]


def test_another_time_makes_another_file(invoke: Any):
    first, later = invoke(AT), invoke(AT + timedelta(minutes=5))
    assert later.answer["key"] != first.answer["key"]
    assert later.answer["written"]
    assert later.peak_mib < 3008
