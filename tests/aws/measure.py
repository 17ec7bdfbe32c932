"""The inline functions under the Lambda runtime interface client, with files of the real size: time and peak memory.

    python -m tests.aws.measure              the generator
    python -m tests.aws.measure arrival      the function for arrivals: Python 3.11, root, and PyPI within reach

The function for arrivals unpacks the bundle that Glue's lock gives for Python 3.11. Its process gets the share of a core that
comes with its memory, by a control group; memory is what the process has for itself, with the inflated files it keeps.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

import boto3

from infra import emulate, grade, runtime
from shoplake.aws import bundles, costs
from shoplake.generator.events import SLOT
from shoplake.generator.files import make_object
from tests.aws import support
from tests.s3 import server

MEMORY = (2048, 1769, 3538)
UNLIMITED = 65_536
CHOSEN = 2048
CORE = 1769
FIRST = datetime(2025, 11, 18, 14, tzinfo=UTC)
GROUPS = Path("/sys/fs/cgroup")


def generator() -> None:
    """Run the generator for three times of the day."""
    with grade.emulator(), tempfile.TemporaryDirectory() as folder:
        boto3.client("s3").create_bucket(Bucket="raw", CreateBucketConfiguration={"LocationConstraint": support.REGION})
        environment = {**os.environ, "BUCKET": "raw", "SEED": "42", "LOW": "500000", "HIGH": "750000"}
        code = support.inline("EventGeneratorFunction")
        with runtime.runtime(code, Path(folder), environment, 3008) as invoke:
            for hour in (3, 14, 20):
                done = invoke({"time": f"2025-11-18T{hour:02}:00:00Z"})
                print(
                    f"{done.answer['events']:,} events, {done.answer['bytes']:,} bytes, {done.seconds:.1f} s "
                    f"({done.cpu_seconds:.1f} s of CPU), peak {done.peak_mib:,.0f} MiB"
                )


class Shop:
    """A bucket on the S3 server with the bundle in it, and the function with so much memory."""

    def __init__(self, folder: Path, memory: int, name: str) -> None:
        self.folder, self.memory, self.name, self.s3 = folder / name, memory, name, boto3.client("s3")
        (self.folder / "tmp").mkdir(parents=True)

    def put(self, slot: int, low: int = 750_000, high: int = 750_000) -> dict[str, Any]:
        """One more file; returns the event that announces it."""
        key, _, content = make_object(FIRST + slot * SLOT, 42, "realistic", low, high)
        self.s3.put_object(Bucket=server.BUCKET, Key=f"{self.name}/{key}", Body=b"".join(content))
        return {"detail-type": "Object Created", "detail": {"object": {"key": f"{self.name}/{key}"}}}

    @contextmanager
    def function(self, **settings: str) -> Iterator[Any]:
        """A new environment of the function; yields what invokes it: seconds, peak memory in MiB, and seconds of CPU."""
        environment = {
            **os.environ,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(self.memory),
            "PACKAGE": f"s3://{server.BUCKET}/bundle.zip",
            "SOURCE": f"s3://{server.BUCKET}/{self.name}/events",
            "LAKE": f"s3://{server.BUCKET}/{self.name}/lake",
            "DATABASE": "shoplake_x",
            "TMPDIR": str(self.folder / "tmp"),
            **settings,
        }
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        code = emulate.Stack({"StudentId": "x"}, support.REGION).resources["ArrivalFunction"]["Properties"]["Code"]
        with (
            group(self.memory) as watch,
            runtime.runtime(code["ZipFile"], self.folder, environment, UNLIMITED, "handler") as invoke,
        ):

            def timed(event: Any) -> tuple[float, float, float]:
                with watch() as peak:
                    done = invoke(event)
                return done.seconds, peak(), done.cpu_seconds

            yield timed


@contextmanager
def group(memory: int) -> Iterator[Any]:
    """A control group for the processes that are started in the block; yields what watches their memory."""
    core, place = GROUPS / "cpu" / "shoplake-measure", GROUPS / "memory" / "shoplake-measure"
    for folder in (core, place):
        folder.mkdir(exist_ok=True)
    period = int((core / "cpu.cfs_period_us").read_text())
    (core / "cpu.cfs_quota_us").write_text(str(period * memory // CORE))
    (place / "memory.limit_in_bytes").write_text(str(memory << 20))
    own = str(os.getpid())

    @contextmanager
    def watch() -> Iterator[Any]:
        most, ends = 0, threading.Event()

        def look() -> None:
            nonlocal most
            while not ends.wait(0.02):
                pairs = (line.split() for line in (place / "memory.stat").read_text().splitlines())
                stat = {name: int(value) for name, value in pairs}
                most = max(most, stat["total_rss"] + stat["total_shmem"])

        thread = threading.Thread(target=look)
        thread.start()
        try:
            yield lambda: most / 2**20
        finally:
            ends.set()
            thread.join()

    real: Any = subprocess.Popen

    def started(*given: Any, **named: Any) -> Any:
        before = named.get("preexec_fn")

        def enter() -> None:
            for folder in (core, place):
                (folder / "cgroup.procs").write_text(str(os.getpid()))
            if before:
                before()

        return real(*given, **{**named, "preexec_fn": enter})

    try:
        with patch.object(subprocess, "Popen", started):
            yield watch
    finally:
        for folder in (core, place):
            (folder.parent / "cgroup.procs").write_text(own)
            time.sleep(0.2)
            folder.rmdir()


def clear() -> None:
    """Forget the tables of the lake before."""
    glue = boto3.client("glue")
    for table in glue.get_tables(DatabaseName="shoplake_x")["TableList"]:
        glue.delete_table(DatabaseName="shoplake_x", Name=table["Name"])


def row(folder: Path, memory: int, price: float) -> None:
    """Print what so much memory makes of one file, cold and warm, and of twelve that wait."""
    shop = Shop(folder, memory, f"m{memory}")
    with shop.function() as invoke:
        cold, _, _ = invoke(shop.put(0))
        warm, peak, cpu = invoke(shop.put(1))
    clear()
    waiting = Shop(folder, memory, f"w{memory}")
    for slot in range(11):
        waiting.put(slot)
    with waiting.function() as invoke:
        twelve, most, all_cpu = invoke(waiting.put(11))
    clear()
    day = (costs.FILES_A_DAY + costs.SWEEPS_A_DAY) * warm * memory / 1024 * price
    one = f"{cold:.1f} | {warm:.1f} | {cpu:.1f} | {peak:,.0f}"
    print(f"| {memory:,} | {one} | {twelve:.1f} | {all_cpu:.1f} | {most:,.0f} | {day:.3f} |", flush=True)


def arrivals() -> None:
    """One file cold and warm, twelve that wait, and an hour of files one by one."""
    price = costs.prices()["lambda_gb_second"]
    with server.running() as url, grade.emulator(), tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        os.environ.update(server.KEYS, AWS_ENDPOINT_URL_S3=url)
        boto3.client("glue").create_database(DatabaseInput={"Name": "shoplake_x"})
        wheels = bundles.download(support.ROOT / "requirements-glue.lock", "3.11", folder / "wheels")
        bundles.unpacked([*wheels, bundles.build_wheel(support.ROOT, folder)], folder / "bundle.zip")
        boto3.client("s3").upload_file(str(folder / "bundle.zip"), server.BUCKET, "bundle.zip")
        hour(folder)
        print("| MiB | cold, s | warm, s | CPU, s | peak, MiB | twelve, s | CPU, s | peak, MiB | a day, USD |")
        print("| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |", flush=True)
        for memory in MEMORY:
            try:
                row(folder, memory, price)
            except RuntimeError as error:
                print(f"| {memory:,} | {error} |", flush=True)


def hour(folder: Path) -> None:
    """Print what an hour of files takes that arrive one by one; then the file that ends the hour, and the day's maintenance."""
    shop, took, used = Shop(folder, CHOSEN, "hour"), [], []
    with shop.function() as invoke:
        for slot in range(13):
            event, started = shop.put(slot, 500_000, 750_000), time.perf_counter()
            _, peak, cpu = invoke(event)
            took.append(time.perf_counter() - started)
            used.append(cpu)
            print(f"file {slot + 1}: {took[-1]:.1f} s, {cpu:.1f} s of CPU, peak {peak:,.0f} MiB", flush=True)
    with shop.function(SHOPLAKE_MAINTAIN_STORED="100") as invoke:
        wall, peak, cpu = invoke({"detail-type": "Scheduled Event", "time": "2025-11-20T03:07:00Z"})
    clear()
    print(f"the hour merged, after a cold start: {wall:.1f} s, {cpu:.1f} s of CPU, peak {peak:,.0f} MiB", flush=True)
    took, used = took[:12], used[:12]
    print(
        f"an hour of files at {CHOSEN:,} MiB, arrival to queryable: median {statistics.median(took):.1f} s,"
        f" slowest {max(took):.1f} s; CPU median {statistics.median(used):.1f} s, at most {max(used):.1f} s,"
        f" on average {sum(used) / 12:.1f} s",
        flush=True,
    )


if __name__ == "__main__":
    arrivals() if sys.argv[1:] == ["arrival"] else generator()
