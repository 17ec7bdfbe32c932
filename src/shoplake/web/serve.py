"""Serves the dashboard, or the catalog, until it is stopped."""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING

import uvicorn

from shoplake.errors import UsageError

if TYPE_CHECKING:
    from starlette.applications import Starlette


def listen(host: str, port: int) -> socket.socket:
    """A socket that accepts connections from now on.

    Args:
        host: An address or name of this machine.
        port: Its port; 0 chooses a free one.

    Raises:
        UsageError: The port is taken or not allowed, or the host is not this machine.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise UsageError(
                f"port {port} of {host} is already in use", remedy="Choose another, or a free one: --port 0"
            ) from error
        raise UsageError(
            f"cannot listen on {host}, port {port}: {error.strerror}",
            remedy="Give an address of this machine (--host) and a port above 1023 (--port).",
        ) from error


def address(host: str, listening: socket.socket) -> str:
    """The URL by which this machine reaches it."""
    port = listening.getsockname()[1]
    name = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound
    return f"http://[{name}]:{port}/" if ":" in name else f"http://{name}:{port}/"


def serve(application: Starlette, listening: socket.socket) -> None:
    """Serve an application until interrupted."""
    config = uvicorn.Config(application, log_level="warning", access_log=False, lifespan="off", server_header=False)
    try:
        uvicorn.Server(config).run(sockets=[listening])
    except KeyboardInterrupt:
        return
