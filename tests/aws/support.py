"""What the tests of the AWS part share: the emulator, the template, and a stand-in for the Lambda service."""

from __future__ import annotations

import json
import logging
import os
import queue
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from infra.emulate import TEMPLATE, read

ROOT = Path(__file__).parents[2]
ROLES = ROOT / "infra" / "roles.cfn.yaml"
REGION = "us-west-2"
SECONDS = 300
START = datetime(2025, 11, 18, 14, tzinfo=UTC)
KEYS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_REGION": REGION,
    "AWS_DEFAULT_REGION": REGION,
    "AWS_EC2_METADATA_DISABLED": "true",
}


def inline(resource_id: str) -> str:
    """The inline code of a function of the template."""
    return str(read(TEMPLATE)["Resources"][resource_id]["Properties"]["Code"]["ZipFile"])


@dataclass(frozen=True)
class Invocation:
    """What came of running a function: its answer, its seconds of wall and CPU time, its process's peak memory in MiB."""

    answer: dict[str, Any]
    seconds: float
    cpu_seconds: float
    peak_mib: float


@contextmanager
def runtime(
    code: str,
    folder: Path,
    environment: dict[str, str],
    memory_mib: int,
    handler: str = "lambda_handler",
    python: Path | str = sys.executable,
) -> Iterator[Any]:
    """The Lambda runtime interface client, running inline code; yields a function that invokes it.

    What stands in for the Lambda service is the runtime API that the client polls. The process gets ``memory_mib`` of
    address space and no more.
    """
    (folder / "index.py").write_text(code)
    events: queue.Queue[dict[str, Any]] = queue.Queue()
    answers: queue.Queue[tuple[bool, Any]] = queue.Queue()
    ends = threading.Event()

    class Api(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            while not ends.is_set():
                try:
                    body = json.dumps(events.get(timeout=0.1)).encode()
                except queue.Empty:
                    continue
                self.send_response(200)
                for name, value in (
                    ("Lambda-Runtime-Aws-Request-Id", "1"),
                    ("Lambda-Runtime-Deadline-Ms", str(int(time.time() * 1000) + 900_000)),
                    ("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:us-west-2:123456789012:function:it"),
                    ("Lambda-Runtime-Trace-Id", "Root=1-00000000-000000000000000000000000"),
                    ("Content-Type", "application/json"),
                    ("Content-Length", str(len(body))),
                ):
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)
                return

        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            answers.put((self.path.endswith("/response"), json.loads(content)))
            self.send_response(202)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Api)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    process = subprocess.Popen(
        [str(python), "-m", "awslambdaric", f"index.{handler}"],
        cwd=folder,
        env={**environment, "PYTHONPATH": str(folder), "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{server.server_port}"},
        stdout=subprocess.DEVNULL,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (memory_mib << 20,) * 2),  # noqa: PLW1509 - one thread
    )

    def invoke(event: Any) -> Invocation:
        started, before = time.perf_counter(), cpu(process.pid)
        events.put(event)
        while answers.empty():
            assert process.poll() is None, f"the runtime ended with {process.returncode}"
            assert time.perf_counter() - started < SECONDS, "no answer came"
            time.sleep(0.01)
        ok, answer = answers.get()
        seconds = time.perf_counter() - started
        assert ok, answer
        status = Path(f"/proc/{process.pid}/status").read_text("ascii")
        peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
        return Invocation(answer, seconds, cpu(process.pid) - before, peak / 1024)

    try:
        yield invoke
    finally:
        ends.set()
        process.kill()
        process.wait()
        server.shutdown()
        server.server_close()


def cpu(pid: int) -> float:
    """The CPU seconds that a process has had, in its own code and in the system."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def emulator() -> Iterator[str]:
    """The URL of moto's server, with no state, in this process."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.stop()
