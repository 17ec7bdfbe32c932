"""Questions to Athena: typed rows, scanned bytes and price. The emulator hands back canned rows; their meaning is Trino's."""

from __future__ import annotations

import json
import urllib.request
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import boto3
import pytest

from shoplake.aws import athena, costs
from shoplake.errors import FatalError, UsageError
from tests.support import command

GROUP = "shoplake-a-b"


@pytest.fixture
def service(aws: str) -> Any:
    client = boto3.client("athena")
    client.create_work_group(
        Name=GROUP, Configuration={"ResultConfiguration": {"OutputLocation": "s3://lake/athena-results/"}}
    )
    return client


def canned(aws: str, columns: list[tuple[str, str]], *rows: list[str | None]) -> None:
    """What the emulator's next query gives, as Athena does: a header, and every value as text."""

    def cells(values: list[Any]) -> dict[str, Any]:
        return {"Data": [{} if value is None else {"VarCharValue": value} for value in values]}

    result = {
        "rows": [cells([name for name, _ in columns]), *map(cells, rows)],
        "column_info": [{"Name": name, "Type": kind} for name, kind in columns],
    }
    request = urllib.request.Request(  # noqa: S310 - loopback
        f"{aws}/moto-api/static/athena/query-results",
        json.dumps({"account_id": "123456789012", "region": "us-west-2", "results": [result]}).encode(),
        {"Content-Type": "application/json"},
    )
    urllib.request.urlopen(request, timeout=10).close()  # noqa: S310


def test_rows_come_with_their_types(aws: str, service: Any):
    kinds = ["varchar", "bigint", "double", "decimal", "date", "timestamp", "bigint"]
    values = ["p_1", "3", "0.25", "12.50", "2025-11-18", "2025-11-18 14:00:00.000", None]
    canned(aws, [(f"c{number}", kind) for number, kind in enumerate(kinds)], values)
    answer = athena.ask("SELECT 1", GROUP, "shoplake_a_b")
    assert answer.columns == [f"c{number}" for number in range(7)]
    assert answer.rows == [
        ("p_1", 3, 0.25, Decimal("12.50"), date(2025, 11, 18), datetime.fromisoformat("2025-11-18 14:00"), None)
    ]


def test_a_query_that_reads_next_to_nothing_is_billed_the_least(aws: str, service: Any):
    canned(aws, [("n", "bigint")], ["1"])
    assert athena.ask("SELECT 1", GROUP, "shoplake_a_b").dollars == pytest.approx(5e-5, rel=0.05)
    assert costs.athena_dollars(10**12) == 5.0


class Ends:
    """Athena, whose query runs for a while and then ends in a given way."""

    def __init__(self, state: str, why: str) -> None:
        self.states, self.why = ["QUEUED", "RUNNING", state], why
        self.asked: list[dict[str, Any]] = []

    def start_query_execution(self, **given: Any) -> dict[str, str]:
        self.asked.append(given)
        return {"QueryExecutionId": "1"}

    def get_query_execution(self, **_: Any) -> dict[str, Any]:
        return {"QueryExecution": {"Status": {"State": self.states.pop(0), "StateChangeReason": self.why}}}


@pytest.mark.parametrize(
    ("state", "why", "family"),
    [
        ("FAILED", "SYNTAX_ERROR: line 1:8: Column 'x' cannot be resolved", UsageError),
        ("FAILED", "HIVE_CURSOR_ERROR: broken", FatalError),
        ("CANCELLED", "Bytes scanned limit was exceeded", UsageError),
    ],
)
def test_a_query_that_does_not_succeed_is_told(aws: str, state: str, why: str, family: type[Exception]):
    waits: list[float] = []
    ends = Ends(state, why)
    with pytest.raises(family, match=why.split(":", maxsplit=1)[0]):
        athena.ask("SELECT x", GROUP, "db", ends, waits.append)
    assert len(waits) == 2
    assert ends.asked == [{"QueryString": "SELECT x", "WorkGroup": GROUP, "QueryExecutionContext": {"Database": "db"}}]


def test_query_asks_athena_and_tells_what_it_scanned(aws: str, service: Any):
    canned(aws, [("event_date", "date"), ("events", "bigint")], ["2025-11-18", "625000"])
    told = command("query", "user_activity", "--engine", "athena", "--workgroup", GROUP, "--format", "csv")
    assert (told.code, told.out) == (0, "event_date,events\n2025-11-18,625000\n")
    assert "Athena scanned" in told.err
    ran = service.list_query_executions(WorkGroup=GROUP)["QueryExecutionIds"]
    query = service.get_query_execution(QueryExecutionId=ran[0])["QueryExecution"]
    assert query["QueryExecutionContext"]["Database"] == "shoplake_a_b"
    assert command("query", "--engine", "athena").code == 2
