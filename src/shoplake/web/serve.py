"""Listening for browsers, until somebody stops it."""

from __future__ import annotations

import errno
import socket

import uvicorn

from shoplake.errors import UsageError
from shoplake.web import app
from shoplake.web.data import Shop


def listen(host: str, port: int) -> socket.socket:
    """A socket that takes connections from now on.

    Args:
        host: An address or name of this machine.
        port: Its port, 0 for a free one.

    Raises:
        UsageError: The port is taken or not allowed, or the host is none of this machine's.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise UsageError(
                f"port {port} of {host} is taken", remedy="Name another, or 0 for a free one: --port 0"
            ) from error
        raise UsageError(
            f"cannot listen on {host}, port {port}: {error.strerror}",
            remedy="Name an address of this machine (--host) and a port above 1023 (--port).",
        ) from error


def address(host: str, listening: socket.socket) -> str:
    """What to type into a browser on this machine."""
    port = listening.getsockname()[1]
    name = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound
    return f"http://[{name}]:{port}/" if ":" in name else f"http://{name}:{port}/"


def serve(shop: Shop, host: str, listening: socket.socket) -> None:
    """Answer until interrupted."""
    config = uvicorn.Config(
        app.create(shop, host), log_level="warning", access_log=False, lifespan="off", server_header=False
    )
    try:
        uvicorn.Server(config).run(sockets=[listening])
    except KeyboardInterrupt:
        return
