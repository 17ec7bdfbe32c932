"""Runs queries on Athena: the rows as the embedded engine returns them, and the bytes scanned."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from shoplake.aws import clients, costs
from shoplake.errors import FatalError, UsageError

POLL_SECONDS = 0.5
_VALUES: dict[str, Callable[[str], Any]] = {
    "tinyint": int,
    "smallint": int,
    "integer": int,
    "bigint": int,
    "float": float,
    "double": float,
    "decimal": Decimal,
    "boolean": lambda text: text == "true",
    "date": date.fromisoformat,
    "timestamp": datetime.fromisoformat,
}


@dataclass(frozen=True)
class Answer:
    """The result of a query.

    Attributes:
        columns: Their names.
        rows: Typed values; None for NULL.
        scanned: Bytes that Athena read.
        dollars: What that costs.
    """

    columns: list[str]
    rows: list[tuple[Any, ...]]
    scanned: int
    dollars: float


def database_of(workgroup: str) -> str:
    """The Glue database of a stack, from its workgroup: the names differ only in their hyphens."""
    return workgroup.replace("-", "_")


def ask(
    sql: str,
    workgroup: str,
    database: str,
    client: Any | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> Answer:
    """Run one statement in a workgroup, which defines where results go and how much a query may scan.

    Raises:
        UsageError: The statement or the workgroup is wrong, or the workgroup's limit cancelled it.
        FatalError: Athena failed.
    """
    athena = client or clients.client("athena")
    with clients.explained("asking Athena"):
        started = athena.start_query_execution(
            QueryString=sql, WorkGroup=workgroup, QueryExecutionContext={"Database": database}
        )
        query_id = started["QueryExecutionId"]
        try:
            run = _finished(athena, query_id, sleep)
        except KeyboardInterrupt:
            athena.stop_query_execution(QueryExecutionId=query_id)
            raise
        columns, rows = _rows(athena, query_id)
    scanned = int(run.get("Statistics", {}).get("DataScannedInBytes", 0))
    return Answer(columns, rows, scanned, costs.athena_dollars(max(scanned, costs.ATHENA_LEAST_BYTES)))


def _finished(athena: Any, query_id: str, sleep: Callable[[float], None]) -> dict[str, Any]:
    while True:
        run: dict[str, Any] = athena.get_query_execution(QueryExecutionId=query_id)["QueryExecution"]
        state, why = run["Status"]["State"], run["Status"].get("StateChangeReason", "")
        if state == "SUCCEEDED":
            return run
        if state == "CANCELLED":
            raise UsageError(
                f"Athena cancelled the query: {why or 'someone stopped it'}",
                remedy="If it scanned too much, select less, or raise the stack's parameter ScanLimitBytes.",
            )
        if state == "FAILED":
            wrong = why.split(":")[0].endswith(("SYNTAX_ERROR", "COLUMN_NOT_FOUND", "TABLE_NOT_FOUND", "TYPE_MISMATCH"))
            family = UsageError if wrong else FatalError
            raise family(f"Athena refused the query: {why}", remedy="Check the statement, --workgroup and --database.")
        sleep(POLL_SECONDS)


def _rows(athena: Any, query_id: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    """All pages of a result; the first row of a SELECT's first page is the header."""
    columns: list[str] = []
    kinds: list[Callable[[str], Any]] = []
    rows: list[tuple[Any, ...]] = []
    for page in athena.get_paginator("get_query_results").paginate(QueryExecutionId=query_id):
        found = page["ResultSet"]["Rows"]
        if not columns:
            about = page["ResultSet"]["ResultSetMetadata"]["ColumnInfo"]
            columns = [column["Name"] for column in about]
            kinds = [_VALUES.get(column["Type"], str) for column in about]
            if found and [cell.get("VarCharValue") for cell in found[0]["Data"]] == columns:
                found = found[1:]
        rows += [
            tuple(
                kind(cell["VarCharValue"]) if "VarCharValue" in cell else None
                for kind, cell in zip(kinds, row["Data"], strict=True)
            )
            for row in found
        ]
    return columns, rows
