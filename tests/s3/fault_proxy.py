"""A proxy between the client and an S3 server that spoils chosen requests.

A rule is asked about every request and names a fault, or gives something to be done before the request goes through, or None.
"""

from __future__ import annotations

import http.client
import re
import socket
import struct
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_ERROR = '<?xml version="1.0" encoding="UTF-8"?><Error><Code>{}</Code><Message>{}</Message>{}</Error>'
REFUSALS = {  # as AWS words them
    "503": (503, _ERROR.format("SlowDown", "Please reduce your request rate.", "")),
    "denied": (403, _ERROR.format("AccessDenied", "Access Denied", "")),
    "wrong region": (
        400,
        _ERROR.format(
            "AuthorizationHeaderMalformed",
            "The authorization header is malformed; the region 'us-east-1' is wrong; expecting 'eu-west-1'",
            "<Region>eu-west-1</Region>",
        ),
    ),
}
FAULTS = ("503", "reset", "reset after", "stalled", "stalled body", "cut", "stale list")
_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length"}


@dataclass(frozen=True)
class Request:
    """What a rule is asked about.

    Attributes:
        number: Counts from 1.
        method: GET, PUT, ...
        path: The decoded path: bucket and key.
        query: The query string.
        conditional: Whether it is a PUT with a condition.
    """

    number: int
    method: str
    path: str
    query: str
    conditional: bool

    @property
    def lists(self) -> bool:
        """Whether it is a listing."""
        return "list-type=2" in self.query


Rule = Callable[[Request], "str | Callable[[], object] | None"]


class Proxy:
    """See the module; ``rule`` may be changed at any time, ``seen`` are the requests with what was done to them.

    A stale list lacks the object ``hidden``, or its last one.
    """

    def __init__(self, server: str) -> None:
        self.rule: Rule = lambda _: None
        self.hidden = ""
        self.seen: list[tuple[Request, str | None]] = []
        self.let_go = threading.Event()
        self._lock = threading.Lock()
        self.target = server.removeprefix("http://")
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"proxy": self}))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def close(self) -> None:
        self.let_go.set()
        self._server.shutdown()
        self._server.server_close()

    def done_to(self, fault: str) -> list[Request]:
        """The requests that got this fault."""
        return [request for request, what in self.seen if what == fault]

    def decide(self, method: str, target: str, headers: Any) -> str | None:
        path, _, query = target.partition("?")
        conditional = method == "PUT" and ("if-match" in headers or "if-none-match" in headers)
        with self._lock:
            request = Request(len(self.seen) + 1, method, urllib.parse.unquote(path), query, conditional)
            told = self.rule(request)
            fault = told if isinstance(told, str) else None
            self.seen.append((request, fault))
        if callable(told):
            told()
        return fault


class _Handler(BaseHTTPRequestHandler):
    """Answers one connection's requests, one after the other."""

    proxy: Proxy
    protocol_version = "HTTP/1.1"
    timeout = 30

    def log_message(self, *_: Any) -> None:
        return

    def handle(self) -> None:
        try:
            super().handle()
        except ConnectionError:
            return  # the client gave up

    def _one(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        fault = self.proxy.decide(self.command, self.path, self.headers)
        if fault in REFUSALS:
            status, content = REFUSALS[fault]
            self._answer(
                status, [("Content-Type", "application/xml")], b"" if self.command == "HEAD" else content.encode()
            )
        elif fault == "reset":
            self._reset()
        elif fault == "stalled":
            self.proxy.let_go.wait(30)
            self.close_connection = True
        else:
            self._forward(body, fault)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _one  # noqa: N815 - the server's names

    def _forward(self, body: bytes, fault: str | None) -> None:
        upstream = http.client.HTTPConnection(self.proxy.target, timeout=30)
        try:
            upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                upstream.putheader(name, value)
            upstream.endheaders(body or None)
            answer = upstream.getresponse()
            content = answer.read()
            headers = [pair for pair in answer.getheaders() if pair[0].lower() not in _HOP_BY_HOP]
            length = answer.getheader("content-length")
        finally:
            upstream.close()
        if fault == "stale list":
            content = _without(content, self.proxy.hidden)
        if fault == "reset after":
            self._reset()
        elif fault == "overlook" and answer.status == http.client.PRECONDITION_FAILED:
            self._answer(200, [("ETag", '"0"')], b"")
        elif self.command == "HEAD":  # has no body to be spoilt
            self._answer(answer.status, headers, b"", int(length or 0))
        elif fault in ("cut", "stalled body"):
            self._answer(answer.status, headers, content[: len(content) // 2], len(content))
            if fault == "stalled body":
                self.proxy.let_go.wait(30)
            self.close_connection = True
        else:
            self._answer(answer.status, headers, content)

    def _answer(self, status: int, headers: list[tuple[str, str]], content: bytes, length: int | None = None) -> None:
        self.send_response_only(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content) if length is None else length))
        self.end_headers()
        self.wfile.write(content)
        self.wfile.flush()

    def _reset(self) -> None:
        """Close with a RST, as a crashed peer does."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.shutdown(socket.SHUT_RD)
        self.close_connection = True


def _without(listing: bytes, hidden: str) -> bytes:
    """A listing without an object, or without its last one."""
    entries = [one[0] for one in re.finditer(rb"<Contents>.*?</Contents>", listing, re.DOTALL)]
    gone = [one for one in entries if f"{hidden}</Key>".encode() in one] if hidden else entries[-1:]
    for one in gone:
        listing = listing.replace(one, b"")
    return listing


@contextmanager
def proxied(server: str) -> Iterator[Proxy]:
    """A proxy in front of a server, for as long as the block lasts."""
    proxy = Proxy(server)
    try:
        yield proxy
    finally:
        proxy.close()
