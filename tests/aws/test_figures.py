"""What a run tells CloudWatch is what the template's alarm looks at."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3

from infra import emulate
from shoplake.aws import figures
from shoplake.ingestion.report import RunReport
from shoplake.lake.catalog import Lake
from tests.aws.support import REGION
from tests.support import events, ingest, put


def test_the_alarm_looks_at_the_age_that_a_run_sends(aws: str, tmp_path: Path):
    put(tmp_path / "raw", 0, events(50))
    report = ingest(tmp_path / "raw", tmp_path / "lake")
    view = Lake(tmp_path / "lake").view()
    arrived = max(file.upper["arrived_at"] for file in view["ledger"].files).replace(tzinfo=UTC)
    stack = emulate.Stack({"StudentId": "a-b"}, REGION)
    figures.send(report, view, stack.outputs["GlueDatabaseName"], arrived + timedelta(minutes=30))
    alarm = stack.resources["DataLate"]["Properties"]
    now = datetime.now(UTC)
    points = boto3.client("cloudwatch").get_metric_statistics(
        Namespace=alarm["Namespace"],
        MetricName=alarm["MetricName"],
        Dimensions=alarm["Dimensions"],
        StartTime=now - timedelta(hours=1),
        EndTime=now + timedelta(hours=1),
        Period=3600,
        Statistics=[alarm["Statistic"]],
    )["Datapoints"]
    assert [round(point["Minimum"]) for point in points] == [30]
    sent = {one["MetricName"] for one in boto3.client("cloudwatch").list_metrics(Namespace="shoplake")["Metrics"]}
    assert {"Lines", "Quarantined", "Duplicates"} <= sent


def test_an_arrival_in_the_future_has_no_age(aws: str, tmp_path: Path):
    """The alarm takes missing data for stale data."""
    put(tmp_path / "raw", 0, events(5))
    report = ingest(tmp_path / "raw", tmp_path / "lake")
    figures.send(report, Lake(tmp_path / "lake").view(), "x", datetime.now(UTC) - timedelta(hours=2))
    sent = {one["MetricName"] for one in boto3.client("cloudwatch").list_metrics(Namespace="shoplake")["Metrics"]}
    assert "FreshnessMinutes" not in sent
    alarm = emulate.Stack({"StudentId": "a-b"}, REGION).resources["DataLate"]["Properties"]
    assert alarm["TreatMissingData"] == "breaching"


def test_a_lake_without_arrivals_has_no_age(aws: str, tmp_path: Path):
    figures.send(RunReport(), Lake(tmp_path).create(), "x", datetime.now(UTC))
    sent = {one["MetricName"] for one in boto3.client("cloudwatch").list_metrics(Namespace="shoplake")["Metrics"]}
    assert "Lines" in sent
    assert "FreshnessMinutes" not in sent
