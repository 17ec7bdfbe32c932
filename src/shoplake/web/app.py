"""The dashboard's server: the page, its files, and its endpoints, which return JSON. It is read-only."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Hashable
from datetime import UTC, date, datetime
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import Response
from starlette.routing import Route

from shoplake.errors import ShoplakeError, UsageError
from shoplake.web import counts, data, pages
from shoplake.web.counts import Chosen
from shoplake.web.data import Shop
from shoplake.web.guard import Guard

if TYPE_CHECKING:
    from starlette.requests import Request

_REMEMBERED = 32
_COUNTS = {"distinct": (counts.distinct, counts.DISTINCT), "searches": (counts.searches, counts.SEARCHES)}


def create(shop: Shop, host: str = "127.0.0.1") -> Starlette:
    """The application.

    Endpoints that read the lake are plain functions: the framework runs them in threads, and each request opens the lake
    for itself, so that no two share a connection.

    Args:
        shop: What to show.
        host: The address or name to listen on.
    """
    remembered, counted = _Remembered(), _Remembered()

    def version(request: Request) -> Response:  # noqa: ARG001 - the framework's interface
        return _answer(lambda: {"catalog": data.catalog(shop.lake)})

    def answers(request: Request) -> Response:
        try:
            since, until = data.days(request.query_params.get("from", ""), request.query_params.get("to", ""))
        except UsageError as error:
            return _refusal(error, 400)

        chosen = Chosen(request.query_params.get("product", ""), request.query_params.get("category", ""))

        def ask() -> dict[str, Any]:
            return _steady(shop, lambda: data.answers(shop, since, until, chosen))

        return _answer(lambda: remembered.get((data.catalog(shop.lake), since, until, chosen), ask))

    def count(what: str, request: Request) -> Response:
        """Count what takes a while; it is remembered until the rows of these very days change."""
        try:
            since, until = data.days(request.query_params.get("from", ""), request.query_params.get("to", ""))
        except UsageError as error:
            return _refusal(error, 400)
        since, until = since or date.min, until or date.max
        ask, tables = _COUNTS[what]

        def key() -> Hashable:
            return what, counts.files_of(shop.lake.need_view(), (since, until), tables), since, until

        return _answer(lambda: counted.get(key(), lambda: _steady(shop, lambda: ask(shop, since, until))))

    def health(request: Request) -> Response:  # noqa: ARG001 - the framework's interface
        return _answer(lambda: _steady(shop, lambda: data.health(shop, datetime.now(UTC))))

    routes = [
        Route("/", _file(pages.PAGE)),
        *(Route(f"/static/{static.name}", _file(static)) for static in pages.STATIC),
        Route("/api/version", version),
        Route("/api/answers", answers),
        Route("/api/health", health),
        *(Route(f"/api/{what}", partial(count, what)) for what in _COUNTS),
    ]
    return Starlette(routes=routes, middleware=[Middleware(Guard, host=host)])


class _Remembered:
    """The latest answers. Of simultaneous requests for the same answer, one does the work and the others wait for it."""

    def __init__(self) -> None:
        self._found: OrderedDict[Hashable, dict[str, Any]] = OrderedDict()
        self._working = Lock()

    def get(self, key: Hashable, ask: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        found = self._found.get(key)
        if found is None:
            with self._working:
                found = self._found.get(key)
                if found is None:
                    found = self._found[key] = ask()
                    if len(self._found) > _REMEMBERED:
                        self._found.popitem(last=False)
        return found


def _steady(shop: Shop, ask: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Ask again if the lake changed in the meantime: maintenance may have deleted the files that were being read."""
    before = data.catalog(shop.lake)
    try:
        return ask()
    except ShoplakeError:
        if data.catalog(shop.lake) == before:
            raise
        return ask()


def _answer(ask: Callable[[], dict[str, Any]]) -> Response:
    try:
        return _json(ask())
    except ShoplakeError as error:
        return _refusal(error, 503)


def _refusal(error: ShoplakeError, status: int) -> Response:
    return _json({"error": {"message": str(error), "remedy": error.remedy}}, status)


def _json(content: dict[str, Any], status: int = 200) -> Response:
    text = json.dumps(content, ensure_ascii=False, allow_nan=False)
    return Response(text, status, {"cache-control": "no-store"}, "application/json")


def _file(static: pages.Static) -> Callable[[Request], Response]:
    forever = static.name == pages.LIBRARY  # its name has its version
    caching = {"cache-control": "max-age=31536000, immutable" if forever else "no-cache"}

    def respond(request: Request) -> Response:  # noqa: ARG001 - the framework's interface
        return Response(pages.read(static.name), 200, caching, static.media_type)

    return respond
