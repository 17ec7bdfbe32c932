"""What a day of the stack costs: measured sizes and assumed times, multiplied by list prices."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

FILES_A_DAY = 288
SWEEPS_A_DAY = 24
EVERY = (None, 5, 15, 60)  # None: on arrival
ALARMS = 4
LIST_KEYS = 1000  # of a page
METRICS = 7
GIB = 2**30
GENERATOR = "Lambda, generator"
ATHENA_LEAST_BYTES = 10 * 2**20  # Athena charges at least this much for a query


@dataclass(frozen=True)
class Usage:
    """What a day uses. The defaults were measured (docs/aws.md has the commands), or say that they are assumed.

    Attributes:
        file_bytes: Compressed bytes of a source file.
        source_days: Days that source files are kept.
        lake_bytes: Bytes that the tables use per source file, the keys beside them included.
        lake_days: Days of events that the lake holds.
        lake_factor: Bytes stored per byte that the tables use, at most: files that were merged stay for a day.
        lambda_seconds: Seconds that the generator takes per file: 2.5 of CPU (measured), plus start and upload (assumed).
        lambda_gib: Memory of the generator.
        arrival_seconds: Seconds that the function takes for an arrival: 0.8 warm (measured, on a server without latency), the
            rest for S3's latency and for cold starts (assumed).
        sweep_seconds: Seconds of a sweep that finds nothing (assumed).
        arrival_gib: Memory of the function.
        dpus: DPUs of the Glue job (a G.1X worker is one).
        run_seconds: Billed seconds of a Glue run without files; assumed.
        run_file_seconds: Additional billed seconds per file of a run; assumed.
        run_puts: PUT requests of a run, and those LIST requests that do not list the source.
        run_gets: GET requests of a run.
        run_log_bytes: Bytes of logs that a run writes; assumed.
        arrival_log_bytes: Bytes of logs that the function writes for an event.
        queries: Athena queries per day.
        query_bytes: Bytes that one of the five questions scans.
    """

    file_bytes: int = 13_100_000
    source_days: int = 30
    lake_bytes: int = 9_500_000
    lake_days: int = 30
    lake_factor: float = 1.5
    lambda_seconds: float = 4.0
    lambda_gib: float = 3008 / 1024
    arrival_seconds: float = 4.5
    sweep_seconds: float = 4.0
    arrival_gib: float = 2.0
    dpus: int = 2
    run_seconds: float = 60.0
    run_file_seconds: float = 15.0
    run_puts: int = 35
    run_gets: int = 65
    run_log_bytes: int = 1_000_000
    arrival_log_bytes: int = 2_000
    queries: int = 100
    query_bytes: int = ATHENA_LEAST_BYTES


@dataclass(frozen=True)
class Line:
    """A line of the bill: what, how much of it per day, its unit, and dollars per day."""

    what: str
    amount: float
    unit: str
    dollars: float


def price_list() -> dict[str, Any]:
    """The list prices, with the day they were looked up and the source of each."""
    text = resources.files("shoplake.aws").joinpath("prices.json").read_text("utf-8")
    return dict(json.loads(text))


def prices() -> dict[str, float]:
    """Dollars per unit of each item that is billed."""
    return {name: float(one["usd"]) for name, one in price_list()["prices"].items()}


def daily(every: int | None, usage: Usage) -> list[Line]:
    """The bill of a day, with Glue running every so many minutes, or with the function on arrival (None)."""
    price = prices()
    runs = FILES_A_DAY + SWEEPS_A_DAY if every is None else 24 * 60 / every
    generated = FILES_A_DAY * usage.lambda_seconds * usage.lambda_gib
    lake = usage.lake_bytes * usage.lake_days * usage.lake_factor
    stored = FILES_A_DAY * (usage.file_bytes * usage.source_days + lake) / GIB
    pages = math.ceil(FILES_A_DAY * usage.source_days / LIST_KEYS)
    puts, gets = runs * (usage.run_puts + pages) + FILES_A_DAY, runs * usage.run_gets
    scanned = usage.queries * max(usage.query_bytes, ATHENA_LEAST_BYTES)
    month = 1 / 30
    metrics, alarms = METRICS * price["cloudwatch_metric_month"], ALARMS * price["cloudwatch_alarm_month"]
    logs = runs * (usage.run_log_bytes if every else usage.arrival_log_bytes) / GIB
    return [
        _on_arrival(usage, price) if every is None else _glue(every, usage, price),
        Line(
            GENERATOR,
            generated,
            "GB-seconds",
            generated * price["lambda_gb_second"] + FILES_A_DAY * price["lambda_request"],
        ),
        Line("S3 storage", stored, "GiB", stored * price["s3_gb_month"] * month),
        Line("S3 PUT, LIST", puts, "requests", puts * price["s3_put_list"]),
        Line("S3 GET", gets, "requests", gets * price["s3_get"]),
        Line("Athena", scanned / GIB, "GiB scanned", athena_dollars(scanned)),
        Line("CloudWatch metrics and alarms", METRICS + ALARMS, "", month * (metrics + alarms)),
        Line("CloudWatch dashboard", 1, "", month * price["cloudwatch_dashboard_month"]),
        Line("CloudWatch logs", logs, "GiB", logs * price["cloudwatch_logs_gb"]),
    ]


def _on_arrival(usage: Usage, price: Mapping[str, float]) -> Line:
    seconds = FILES_A_DAY * usage.arrival_seconds + SWEEPS_A_DAY * usage.sweep_seconds
    dollars = seconds * usage.arrival_gib * price["lambda_gb_second"]
    dollars += (FILES_A_DAY + SWEEPS_A_DAY) * price["lambda_request"]
    return Line("Lambda, on arrival", seconds * usage.arrival_gib, "GB-seconds", dollars)


def _glue(every: int, usage: Usage, price: Mapping[str, float]) -> Line:
    runs = 24 * 60 / every
    seconds = max(60.0, usage.run_seconds + usage.run_file_seconds * FILES_A_DAY / runs)
    dpu_hours = runs * usage.dpus * seconds / 3600
    return Line(f"Glue, every {every} minutes", dpu_hours, "DPU hours", dpu_hours * price["glue_dpu_hour"])


def athena_dollars(scanned: int) -> float:
    """What Athena charges for scanned bytes."""
    return scanned / 10**12 * prices()["athena_tb"]
