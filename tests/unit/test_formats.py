"""A lake that another version of shoplake wrote is named as such, never misread; and the format says when it changes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shoplake.lake import Lake
from shoplake.lake.catalog import FORMAT
from shoplake.tables import TABLES
from tests.support import command

FORMATS = {2: "5b5bf23b5a220efa"}
"""A digest of the tables' declarations for each format. A change to a table needs a new format and a line here: lakes that were
created before it have the old columns (docs/concepts/compatibility.md)."""


def test_a_change_of_the_tables_is_a_new_format() -> None:
    declared = [
        (table.name, table.partition, table.key, [(column.name, column.type) for column in table.columns])
        for table in TABLES
    ]
    digest = hashlib.sha256(json.dumps(declared).encode()).hexdigest()[:16]
    assert FORMATS[FORMAT] == digest


@pytest.mark.parametrize(
    ("kind", "said", "remedy"),
    [
        (1, "an older shoplake wrote it", "Ingest its source into a new lake"),
        (FORMAT + 1, "a newer shoplake", "Upgrade"),
    ],
)
@pytest.mark.parametrize("words", [("status",), ("ingest", "--source", "."), ("query", "all")])
def test_another_format_is_named(tmp_path: Path, kind: int, said: str, remedy: str, words: tuple[str, ...]) -> None:
    Lake(tmp_path).create()
    path = tmp_path / "catalog.json"
    path.write_text(json.dumps(json.loads(path.read_bytes()) | {"format": kind}))
    before = path.read_bytes()
    told = command(*words, "--lake", tmp_path)
    assert (told.code, said in told.err, remedy in told.err) == (1, True, True), told.err
    assert path.read_bytes() == before


def _without(name: str) -> Callable[[list[dict[str, Any]]], list[dict[str, Any]]]:
    return lambda fields: [field for field in fields if field["name"] != name]


def _with(name: str) -> Callable[[list[dict[str, Any]]], list[dict[str, Any]]]:
    return lambda fields: [*fields, {"id": 99, "name": name, "type": "string", "required": False, "doc": ""}]


def _as_int(name: str) -> Callable[[list[dict[str, Any]]], list[dict[str, Any]]]:
    return lambda fields: [field | ({"type": "int"} if field["name"] == name else {}) for field in fields]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_without("erased"), "lacks erased"),
        (_with("device"), "has device, which this version"),
        (_as_int("lines"), "has lines as another type"),
        (lambda fields: list(reversed(fields)), "another order"),
    ],
)
def test_tables_of_another_version_are_named(
    tmp_path: Path, change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]], said: str
) -> None:
    ledger = Path(str(Lake(tmp_path).create()["ledger"].location))
    document = json.loads(ledger.read_bytes())
    document["schemas"][0]["fields"] = change(document["schemas"][0]["fields"])
    ledger.write_text(json.dumps(document))
    told = command("status", "--lake", tmp_path)
    assert (told.code, "table ledger was created by another version" in told.err, said in told.err) == (1, True, True)
    assert "new lake" in told.err
