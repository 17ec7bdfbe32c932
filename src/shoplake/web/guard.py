"""Who may call the dashboard or the catalog, and what a browser may do with its responses."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self';"
        " base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


class Guard:
    """Accepts requests whose Host names this machine, and adds the security headers to every response.

    Another site can point its own name at 127.0.0.1 (DNS rebinding) and would then be allowed to read the responses, but it
    cannot keep that name out of the Host header. An address in that header is always accepted: it cannot be rebound.
    """

    def __init__(self, app: App, host: str) -> None:
        """Guard an application that listens on a host."""
        self._app = app
        self._names = {"localhost", host.lower(), socket.gethostname().lower()}

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Respond to one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                message["headers"] = [*message.get("headers", []), *given]
            await send(message)

        if self._is_meant(dict(scope["headers"]).get(b"host", b"").decode("latin-1")):
            await self._app(scope, receive, sending)
            return
        await sending(
            {"type": "http.response.start", "status": 421, "headers": [(b"content-type", b"text/plain; charset=utf-8")]}
        )
        names = ", ".join(sorted(self._names))
        await sending(
            {
                "type": "http.response.body",
                "body": f"This server responds to {names} and to IP addresses.\n".encode(),
            }
        )

    def _is_meant(self, host: str) -> bool:
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() else host
        name = name.strip("[]").lower()
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return name in self._names
        return True
