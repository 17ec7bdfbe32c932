"""What the commands that serve the lake over HTTP share."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from shoplake.cli import output
from shoplake.errors import UsageError, installing


@contextmanager
def on(host: str, port: int, what: str) -> Iterator[tuple[ModuleType, socket.socket]]:
    """A block with the server's module and a socket that accepts connections from now on.

    Args:
        host: An address or name of this machine.
        port: Its port; 0 chooses a free one.
        what: What is served, for the message where the packages are missing.

    Raises:
        UsageError: The packages are missing, the port is taken or not allowed, or the host is not this machine.
    """
    try:
        from shoplake.web import serve
    except ImportError as error:
        raise UsageError(
            f"{what} needs a package that is not installed: {error.name}", remedy=installing("web")
        ) from error
    with serve.listen(host, port) as listening:
        yield serve, listening


def warn(host: str) -> None:
    """Say how to stop a server, and who can reach it if that is not this machine alone."""
    output.note("Stop with Ctrl-C.")
    if not _is_this_machine(host):
        output.note(f"Anyone who can reach {host} can read this lake; there is no authentication.")


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
