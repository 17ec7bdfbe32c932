"""The dashboard's server: the page, its files, and its endpoints, which return JSON. It is read-only."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Hashable
from contextlib import suppress
from datetime import UTC, date, datetime
from functools import partial
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any, TypeVar

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import Response
from starlette.routing import Route

from shoplake.errors import ShoplakeError, UsageError
from shoplake.web import counts, data, experiment, pages
from shoplake.web.counts import Chosen
from shoplake.web.data import Shop
from shoplake.web.guard import Guard

if TYPE_CHECKING:
    from starlette.requests import Request

_REMEMBERED = 32
Answer = TypeVar("Answer")
_COUNTS = {"distinct": (counts.distinct, counts.DISTINCT), "searches": (counts.searches, counts.SEARCHES)}


def create(shop: Shop, host: str = "127.0.0.1", *, ahead: bool = False) -> Starlette:
    """The application.

    Endpoints that read the lake are plain functions: the framework runs them in threads, and each request opens the lake
    for itself, so that no two share a connection.

    Args:
        shop: What to show.
        host: The address or name to listen on.
        ahead: Whether to work out the first view before anyone asks for it.
    """
    ours = _Endpoints(shop)
    if ahead:
        Thread(target=ours.prepare, name="first view").start()
    routes = [
        Route("/", _file(pages.PAGE)),
        Route("/experiment", ours.experiment),
        Route(experiment.STYLESHEET, ours.style),
        *(Route(f"/static/{static.name}", _file(static)) for static in pages.STATIC),
        Route("/api/version", ours.version),
        Route("/api/answers", ours.answers),
        Route("/api/health", ours.health),
        *(Route(f"/api/{what}", partial(ours.count, what)) for what in _COUNTS),
    ]
    return Starlette(routes=routes, middleware=[Middleware(Guard, host=host)])


class _Endpoints:
    """What is asked of a lake."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop
        self._remembered, self._counted = _Remembered(), _Remembered()

    def version(self, request: Request) -> Response:  # noqa: ARG002 - the framework's interface
        return _answer(lambda: {"catalog": data.catalog(self._shop.lake)})

    def prepare(self) -> None:
        """Work out the answers of all days, so that the first page finds them; whoever asks meanwhile waits for them."""
        with suppress(ShoplakeError):  # which the page shows
            self._answers(None, None, Chosen())

    def answers(self, request: Request) -> Response:
        try:
            since, until = _days(request)
        except UsageError as error:
            return _refusal(error, 400)
        chosen = Chosen(request.query_params.get("product", ""), request.query_params.get("category", ""))
        return _answer(lambda: self._answers(since, until, chosen))

    def _answers(self, since: date | None, until: date | None, chosen: Chosen) -> dict[str, Any]:
        def ask() -> dict[str, Any]:
            return self._steady(lambda: data.answers(self._shop, since, until, chosen))

        return self._remembered.get((data.catalog(self._shop.lake), since, until, chosen), ask)

    def count(self, what: str, request: Request) -> Response:
        """Count what takes a while; it is remembered until the rows of these very days change."""
        try:
            since, until = _days(request)
        except UsageError as error:
            return _refusal(error, 400)
        first, last = since or date.min, until or date.max
        ask, tables = _COUNTS[what]

        def key() -> Hashable:
            return what, counts.files_of(self._shop.lake.need_view(), (first, last), tables), first, last

        return _answer(lambda: self._counted.get(key(), lambda: self._steady(lambda: ask(self._shop, first, last))))

    def health(self, request: Request) -> Response:  # noqa: ARG002 - the framework's interface
        return _answer(lambda: self._steady(lambda: data.health(self._shop, datetime.now(UTC))))

    def experiment(self, request: Request) -> Response:
        asked = request.query_params
        if not asked.get("name"):
            return _page(experiment.form(asked))
        try:
            return _page(self._steady(lambda: experiment.report(self._shop, asked)))
        except ShoplakeError as error:
            return _page(
                experiment.form(asked, f"{error}. {error.remedy}"), 400 if isinstance(error, UsageError) else 503
            )

    def style(self, request: Request) -> Response:  # noqa: ARG002 - the framework's interface
        return Response(experiment.style(), 200, {"cache-control": "no-cache"}, "text/css; charset=utf-8")

    def _steady(self, ask: Callable[[], Answer]) -> Answer:
        """Ask again if the lake changed in the meantime: maintenance may have deleted the files that were being read."""
        before = data.catalog(self._shop.lake)
        try:
            return ask()
        except ShoplakeError:
            if data.catalog(self._shop.lake) == before:
                raise
            return ask()


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


def _days(request: Request) -> tuple[date | None, date | None]:
    return data.days(request.query_params.get("from", ""), request.query_params.get("to", ""))


def _answer(ask: Callable[[], dict[str, Any]]) -> Response:
    try:
        return _json(ask())
    except ShoplakeError as error:
        return _refusal(error, 503)


def _refusal(error: ShoplakeError, status: int) -> Response:
    return _json({"error": {"message": str(error), "remedy": error.remedy}}, status)


def _page(text: str, status: int = 200) -> Response:
    return Response(text, status, {"cache-control": "no-store"}, "text/html; charset=utf-8")


def _json(content: dict[str, Any], status: int = 200) -> Response:
    text = json.dumps(content, ensure_ascii=False, allow_nan=False)
    return Response(text, status, {"cache-control": "no-store"}, "application/json")


def _file(static: pages.Static) -> Callable[[Request], Response]:
    forever = static.name == pages.LIBRARY  # its name has its version
    caching = {"cache-control": "max-age=31536000, immutable" if forever else "no-cache"}

    def respond(request: Request) -> Response:  # noqa: ARG001 - the framework's interface
        return Response(pages.read(static.name), 200, caching, static.media_type)

    return respond
