"""The Lambda runtime interface client on this machine, with a stand-in for the service that it polls."""

from __future__ import annotations

import json
import os
import queue
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

SECONDS = 300


@dataclass(frozen=True)
class Invocation:
    """What came of running a function: its answer, its seconds of wall and CPU time, its process's peak memory in MiB."""

    answer: dict[str, Any]
    seconds: float
    cpu_seconds: float
    peak_mib: float


class Service:
    """The runtime API, over which the client takes events and gives answers."""

    def __init__(self) -> None:
        self.events: queue.Queue[Any] = queue.Queue()
        self.answers: queue.Queue[tuple[bool, Any]] = queue.Queue()
        self._ends = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def address(self) -> str:
        """Where the client finds it."""
        return f"127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        """Answer no more."""
        self._ends.set()
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        events, answers, ends = self.events, self.answers, self._ends

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

        return Api


@contextmanager
def runtime(
    code: str, folder: Path, environment: dict[str, str], memory_mib: int, handler: str = "lambda_handler"
) -> Iterator[Callable[[Any], Invocation]]:
    """The Lambda runtime interface client, running inline code; yields a function that invokes it.

    What stands in for the Lambda service is the runtime API that the client polls. The process gets ``memory_mib`` of
    address space and no more.

    Raises:
        RuntimeError: The function failed, ended, or did not answer.
    """
    (folder / "index.py").write_text(code)
    service = Service()
    process = subprocess.Popen(  # noqa: S603 - our own words
        [sys.executable, "-m", "awslambdaric", f"index.{handler}"],
        cwd=folder,
        env={**environment, "PYTHONPATH": str(folder), "AWS_LAMBDA_RUNTIME_API": service.address},
        stdout=subprocess.DEVNULL,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (memory_mib << 20,) * 2),  # noqa: PLW1509 - one thread
    )

    def invoke(event: Any) -> Invocation:
        started, before = time.perf_counter(), cpu(process.pid)
        service.events.put(event)
        while service.answers.empty():
            if process.poll() is not None:
                raise RuntimeError(f"the runtime ended with {process.returncode}")
            if time.perf_counter() - started > SECONDS:
                raise RuntimeError("no answer came")
            time.sleep(0.01)
        ok, answer = service.answers.get()
        seconds = time.perf_counter() - started
        if not ok:
            raise RuntimeError(f"{answer['errorType']}: {answer['errorMessage']}")
        status = Path(f"/proc/{process.pid}/status").read_text("ascii")
        peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
        return Invocation(answer, seconds, cpu(process.pid) - before, peak / 1024)

    try:
        yield invoke
    finally:
        process.kill()
        process.wait()
        service.close()


def cpu(pid: int) -> float:
    """The CPU seconds that a process has had, in its own code and in the system."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
