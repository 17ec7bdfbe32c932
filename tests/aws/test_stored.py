"""What two hours of arrivals store, with the stack's own settings and files of the real size, on a real S3 server."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import boto3
import pytest

from infra import emulate, grade
from shoplake.aws import arrival
from shoplake.generator.events import SLOT
from shoplake.generator.files import make_object
from shoplake.lake.catalog import Lake
from shoplake.lake.snapshots import keys_location
from tests.aws.support import DATABASE, REGION, START, Context, arrival_environment
from tests.support import answers, oracle, proof

RUNS = 24
MOST = 1.5


def sizes(lake: Lake) -> tuple[int, int]:
    """Bytes of all objects of a lake, metadata included, and of the data files and keys that its newest tables use."""
    stored = {file.location: file.bytes for file in lake.storage.list(lake.root)}
    used = [file.path for table in lake.view().tables.values() for file in table.files]
    return sum(stored.values()), sum(stored[path] + stored.get(keys_location(path), 0) for path in used)


@proof
@pytest.mark.s3
def test_two_hours_of_arrivals_store_at_most_half_as_much_again(
    s3_place: Any, s3_url: str, emulator: str, monkeypatch: pytest.MonkeyPatch
):
    """After each of 24 five-minute runs, and after the one that ends the second hour; each hour's sweep comes as well."""
    grade.reset(emulator)
    stack = emulate.Stack({"StudentId": "x"}, REGION)
    memory = stack.resources["ArrivalFunction"]["Properties"]["MemorySize"]
    for name, value in arrival_environment(s3_place, s3_url, emulator, memory).items():
        monkeypatch.setenv(name, value)
    boto3.client("glue").create_database(DatabaseInput={"Name": DATABASE})
    real, lake, ratios = arrival._run, Lake(str(s3_place / "lake")), []
    low, high = (int(stack.parameters[name]) for name in ("MinEvents", "MaxEvents"))
    for number in range(RUNS + 1):
        at = START + number * SLOT
        monkeypatch.setattr(
            arrival,
            "_run",
            lambda *words, at=at, **how: replace(real(*words, **how), now=lambda: at + timedelta(minutes=6)),
        )
        key, _, content = make_object(at, 42, "realistic", low, high)
        (s3_place / "raw" / key).write_bytes(b"".join(content))
        event = {"detail-type": "Object Created", "detail": {"object": {"key": key}}}
        assert arrival.handle(event, Context())["files"] == 1
        if number % 12 == 1:
            sweep = {"detail-type": "Scheduled Event", "time": (at + SLOT).isoformat()}
            assert arrival.handle(sweep, Context())["files"] == 0
        stored, used = sizes(lake)
        ratios.append(stored / used)
    assert max(ratios) <= MOST
    assert answers(s3_place / "lake") == oracle(s3_place / "lake")
