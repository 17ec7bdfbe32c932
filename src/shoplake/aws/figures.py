"""Sends the figures of a run as CloudWatch metrics, for the stack's alarms and dashboard."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from shoplake.aws import clients
from shoplake.ingestion.report import RunReport
from shoplake.lake import ledger
from shoplake.lake.snapshots import View

NAMESPACE = "shoplake"


def send(report: RunReport, view: View, database: str, now: datetime, client: Any | None = None) -> None:
    """Send what a run did and how old the newest arrival is; not if it is from the future, which alarms like no run at all.

    Args:
        report: What the run did.
        view: The lake after it.
        database: The Glue database; the metrics' dimension.
        now: The time, UTC with a zone.
        client: A CloudWatch client; created if None.

    Raises:
        FatalError: CloudWatch refused.
    """
    figures = {
        "Files": report.files,
        "Lines": report.lines,
        "Quarantined": report.quarantined,
        "Duplicates": report.duplicates,
        "Unreadable": len(report.failures),
    }
    data = [_datum(name, value, "Count", database) for name, value in figures.items()]
    data.append(_datum("Seconds", report.seconds, "Seconds", database))
    arrivals = [file.upper["arrived_at"] for file in view["ledger"].files]
    age = now.astimezone(UTC).replace(tzinfo=None) - max(arrivals) if arrivals else None
    if age is not None and age >= -ledger.CLOCK_TOLERANCE:
        data.append(_datum("FreshnessMinutes", age.total_seconds() / 60, "None", database))
    with clients.explained("sending the figures to CloudWatch"):
        (client or clients.client("cloudwatch")).put_metric_data(Namespace=NAMESPACE, MetricData=data)


def _datum(name: str, value: float, unit: str, database: str) -> dict[str, Any]:
    return {"MetricName": name, "Value": value, "Unit": unit, "Dimensions": [{"Name": "Database", "Value": database}]}
