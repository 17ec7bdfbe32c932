"""The function for arrivals: events once, twice, at once, late or lost, and each file counts once. On a real S3 server."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import pytest

from infra import emulate, grade
from shoplake.aws import arrival, bundles, glue_catalog
from shoplake.engines import choose
from shoplake.errors import ContractError
from shoplake.ingestion import pipeline, plan
from shoplake.lake.catalog import Lake
from shoplake.operations.maintain import space
from shoplake.tables import TABLES
from tests.aws.support import DATABASE, ROOT, Context, arrival_environment, runtime
from tests.support import answers, data_files, dump, events, ledger, oracle, put, put_bytes

pytestmark = pytest.mark.s3
BROKEN = [b"broken"] * 1000  # as many as the breaker asks for


@pytest.fixture
def shop(s3_place: Any, s3_url: str, emulator: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A source and a lake on the S3 server, the Data Catalog and CloudWatch on the emulator, and the function's environment."""
    grade.reset(emulator)
    for name, value in arrival_environment(s3_place, s3_url, emulator, 1769).items():
        monkeypatch.setenv(name, value)
    boto3.client("glue").create_database(DatabaseInput={"Name": DATABASE})
    return s3_place


def arrive(*paths: str, seconds: int = 900) -> dict[str, Any]:
    """EventBridge's event of a new object, as the rule hands it on; S3's own for several."""
    prefix = os.environ["SOURCE"].split("/", 3)[3]
    keys = [f"{prefix}/{path}" for path in paths]
    event: dict[str, Any] = {"detail-type": "Object Created", "detail": {"object": {"key": keys[0]}}}
    if len(keys) > 1:
        event = {"Records": [{"s3": {"object": {"key": one.replace("=", "%3D")}}} for one in keys]}
    return arrival.handle(event, Context(seconds))


def sweep(hour: int = 12, seconds: int = 900) -> dict[str, Any]:
    """The scheduled event of an hour."""
    event = {"detail-type": "Scheduled Event", "time": f"2025-11-18T{hour:02}:07:00Z"}
    return arrival.handle(event, Context(seconds))


def pointers() -> dict[str, str]:
    listed = boto3.client("glue").get_tables(DatabaseName=DATABASE)["TableList"]
    return {table["Name"]: table["Parameters"]["metadata_location"] for table in listed}


def is_published(lake: Any) -> bool:
    view = Lake(str(lake)).view()
    return pointers() == {name: table.location for name, table in view.tables.items() if table.location}


def each_file_counts_once(lake: Any, *files: str) -> bool:
    rows = dump(lake)["events"]
    different = {repr(sorted((name, str(value)) for name, value in row.items())) for row in rows}
    return set(ledger(lake)) == set(files) and len(rows) == len(different) and answers(lake) == oracle(lake)


def test_a_file_is_queryable_when_its_event_is_answered(shop: Any):
    path = put(shop / "raw", 0, [*events(40), b"broken"])
    done = arrive(path)
    assert (done["files"], done["lines"], done["accepted"], done["quarantined"]) == (1, 41, 40, 1)
    assert each_file_counts_once(shop / "lake", path)
    assert is_published(shop / "lake")
    sent = boto3.client("cloudwatch").list_metrics(Namespace="shoplake")["Metrics"]
    assert "FreshnessMinutes" in {metric["MetricName"] for metric in sent}


def test_an_event_that_comes_twice_reads_nothing_twice(shop: Any):
    path = put(shop / "raw", 0, events(40))
    first, again = arrive(path), arrive(path)
    assert (again["files"], again["lines"], again["version"]) == (0, 0, first["version"])


def test_an_event_takes_in_what_lost_and_late_ones_announce(shop: Any):
    lost, late, path = (put(shop / "raw", slot, events(20, first=20 * slot)) for slot in range(3))
    assert arrive(path)["files"] == 3
    assert arrive(late)["files"] == 0
    assert each_file_counts_once(shop / "lake", lost, late, path)


def test_older_files_are_taken_in_when_they_are_announced_and_by_the_sweep(shop: Any, monkeypatch: pytest.MonkeyPatch):
    """Other runs look at the newest files alone."""
    monkeypatch.setattr(plan, "NEWEST", 1)
    newest = [put(shop / "raw", slot, events(20, first=20 * slot)) for slot in (2, 3)]
    assert arrive(newest[1])["files"] == 2
    older = [put(shop / "raw", slot, events(20, first=20 * slot)) for slot in (0, 1)]
    assert arrive(newest[1])["files"] == 0
    assert arrive(older[0])["files"] == 2
    last = put(shop / "raw", "events/2025.jsonl.gz", events(20, first=100))
    assert arrive(newest[1])["files"] == 0
    assert sweep()["files"] == 1
    assert each_file_counts_once(shop / "lake", *newest, *older, last)


def test_the_sweep_takes_in_what_no_event_announced(shop: Any):
    path = put(shop / "raw", 0, events(40))
    assert sweep()["files"] == 1
    assert each_file_counts_once(shop / "lake", path)


def test_events_at_once_count_each_file_once(shop: Any, monkeypatch: pytest.MonkeyPatch):
    """Both have looked at the source before either publishes: the swap lets one win, and the other plans again."""
    paths = [put(shop / "raw", slot, events(20, first=20 * slot)) for slot in range(4)]
    looked = threading.Barrier(2, timeout=60)
    real, first = pipeline.ingest_batch, threading.local()

    def ingest_batch(*given: Any) -> Any:
        if not hasattr(first, "over"):
            first.over = True
            looked.wait()
        return real(*given)

    monkeypatch.setattr(pipeline, "ingest_batch", ingest_batch)
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(arrive, paths[:2]))
    assert sum(one["files"] for one in done) == 4
    assert each_file_counts_once(shop / "lake", *paths)
    assert is_published(shop / "lake")


def test_several_files_that_wait_are_one_batch(shop: Any):
    paths = [put(shop / "raw", slot, events(20, first=20 * slot)) for slot in range(12)]
    done = arrive(*paths)
    assert (done["files"], done["batches"]) == (12, 1)
    assert each_file_counts_once(shop / "lake", *paths)


def test_no_event_waits_behind_a_file_that_the_breaker_stops(shop: Any):
    broken, path = put(shop / "raw", 0, BROKEN), put(shop / "raw", 1, events(40))
    done = arrive(path)
    assert (done["files"], done["stopped"]) == (1, [broken])
    assert each_file_counts_once(shop / "lake", path)
    later = put(shop / "raw", 2, events(40, first=40))
    assert arrive(later)["files"] == 1


def test_the_event_of_a_stopped_file_fails_and_so_does_the_sweep(shop: Any):
    """Lambda tries again, then keeps the event in the queue, of which an alarm tells."""
    path = put(shop / "raw", 1, events(40))
    broken = put(shop / "raw", 0, BROKEN)
    with pytest.raises(ContractError, match="1,000 of 1,000 lines"):
        arrive(broken)
    assert each_file_counts_once(shop / "lake", path)
    with pytest.raises(ContractError, match="1,000 of 1,000 lines"):
        sweep()


def test_an_unreadable_file_is_in_the_ledger_and_holds_nothing_back(shop: Any):
    unreadable = put_bytes(shop / "raw", 0, b"no gzip")
    path = put(shop / "raw", 1, events(40))
    assert arrive(path)["failed_files"] == 1
    assert ledger(shop / "lake")[unreadable]["status"] == "unreadable"
    assert len(dump(shop / "lake")["events"]) == 40


def test_a_run_ends_between_batches_when_time_is_short_and_the_next_goes_on(shop: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(arrival, "BATCH_SHARE", 2**30)  # a file a batch
    paths = [put(shop / "raw", slot, events(20, first=20 * slot)) for slot in range(3)]
    short = arrive(*paths, seconds=arrival.RESERVE_SECONDS - 1)
    assert (short["files"], short["left"]) == (1, True)
    assert is_published(shop / "lake")
    assert arrive(*paths)["files"] == 2
    assert each_file_counts_once(shop / "lake", *paths)


def test_one_sweep_a_day_maintains_the_lake_and_publishes_what_it_merged(shop: Any, monkeypatch: pytest.MonkeyPatch):
    for slot in range(3):
        put(shop / "raw", slot, events(20, first=20 * slot))
        assert "maintenance" not in sweep(slot + 10)
    assert len(data_files(shop / "lake", "events")) == 3
    with monkeypatch.context() as patch:
        patch.setattr(space, "FREE", 0)
        patch.setenv("SHOPLAKE_MAINTAIN_STORED", "1.001")
        assert sweep(arrival.MAINTENANCE_HOUR)["maintenance"]["commits"] == 0  # no room
    done = sweep(arrival.MAINTENANCE_HOUR)
    assert done["maintenance"]["commits"] >= 1
    assert len(data_files(shop / "lake", "events")) == 1
    assert is_published(shop / "lake")
    assert answers(shop / "lake") == oracle(shop / "lake")


def test_before_the_first_file_there_is_nothing_to_do(shop: Any):
    assert (sweep()["files"], sweep(arrival.MAINTENANCE_HOUR)["files"]) == (0, 0)


@pytest.mark.parametrize("event", [None, {}, [], "text", {"detail": None}], ids=str)
def test_any_other_event_takes_in_what_is_new(shop: Any, event: Any):
    put(shop / "raw", 0, events(20))
    assert arrival.handle(event, Context())["files"] == 1


def test_what_a_killed_run_left_unpublished_is_published_by_the_next(shop: Any, monkeypatch: pytest.MonkeyPatch):
    path = put(shop / "raw", 0, events(20))

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(glue_catalog, "publish", killed)
        with pytest.raises(KeyboardInterrupt):
            arrive(path)
    assert not is_published(shop / "lake")
    assert arrive(path)["files"] == 0
    assert is_published(shop / "lake")
    assert len(pointers()) <= len(TABLES)


def test_each_core_comes_with_its_memory(shop: Any, monkeypatch: pytest.MonkeyPatch):
    seen: list[Any] = []
    monkeypatch.setattr(choose, "engine", lambda chosen, _: seen.append(chosen))
    for memory in (1024, 1769, 3538):
        monkeypatch.setenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", str(memory))
        arrival._run(pipeline.Watchers())
    assert [chosen.threads for chosen in seen] == [1, 1, 2]
    assert [chosen.batch_bytes for chosen in seen] == [memory * 2**20 // 32 for memory in (1024, 1769, 3538)]


def test_the_inline_function_fetches_the_package_once_and_hands_it_the_event(shop: Any, tmp_path: Path):
    """Under the runtime interface client, with the memory that the template gives it and the wheel of this checkout."""
    wheel = bundles.build_wheel(ROOT, tmp_path)
    bundles.unpacked([wheel], tmp_path / "bundle.zip")
    s3 = boto3.client("s3")
    prefix = str(shop).removeprefix("s3://shop/")
    s3.upload_file(str(tmp_path / "bundle.zip"), "shop", f"{prefix}/code/bundle.zip")
    function = emulate.Stack({"StudentId": "x"}, "us-east-1").resources["ArrivalFunction"]["Properties"]
    temporary, place = tmp_path / "tmp", tmp_path / "task"
    for folder in (temporary, place):
        folder.mkdir()
    environment = {**os.environ, "PACKAGE": f"{shop}/code/bundle.zip", "TMPDIR": str(temporary)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    with runtime(function["Code"]["ZipFile"], place, environment, function["MemorySize"], "handler") as invoke:
        path = put(shop / "raw", 0, events(40))
        event = {"detail-type": "Object Created", "detail": {"object": {"key": f"{prefix}/raw/{path}"}}}
        first = invoke(event)
        s3.delete_object(Bucket="shop", Key=f"{prefix}/code/bundle.zip")
        again = invoke(event)
    assert (first.answer["files"], again.answer["files"]) == (1, 0)
    assert list((temporary / "package" / "shoplake" / "aws" / "__pycache__").glob("arrival.*"))  # it ran from there
    assert each_file_counts_once(shop / "lake", path)
