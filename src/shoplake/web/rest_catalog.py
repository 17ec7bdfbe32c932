"""A lake as a read-only Iceberg REST catalog: whatever speaks that protocol attaches to it by a URL.

The protocol is https://github.com/apache/iceberg/blob/main/open-api/rest-catalog-open-api.yaml. A client asks here where a
table is and what is in its metadata; the files it reads by itself, with credentials of its own: none are handed out.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.responses import Response
from starlette.routing import Route

from shoplake.errors import MissingFileError, ShoplakeError, TransientError
from shoplake.lake.catalog import Lake
from shoplake.lake.metadata import TableMetadata
from shoplake.lake.snapshots import View
from shoplake.storage.uris import is_s3
from shoplake.web.guard import Guard

if TYPE_CHECKING:
    from starlette.requests import Request

NAMESPACE = "shop"
"""The one namespace, with every table of the lake."""
PINNED = "pinned"
"""The warehouse of a client that shall see one version of the lake for as long as it is attached."""
CURRENT = "current"
"""The warehouse of a client that follows the lake, as one does that names no warehouse."""

_REMEMBERED = 16
_ATTEMPTS = 5
_READS = (
    "GET /v1/{prefix}/namespaces",
    "GET /v1/{prefix}/namespaces/{namespace}",
    "HEAD /v1/{prefix}/namespaces/{namespace}",
    "GET /v1/{prefix}/namespaces/{namespace}/tables",
    "GET /v1/{prefix}/namespaces/{namespace}/tables/{table}",
    "HEAD /v1/{prefix}/namespaces/{namespace}/tables/{table}",
    "GET /v1/{prefix}/namespaces/{namespace}/views",
    "GET /v1/{prefix}/namespaces/{namespace}/views/{view}",
    "HEAD /v1/{prefix}/namespaces/{namespace}/views/{view}",
)


class RefusedError(Exception):
    """A request that gets an error of the protocol.

    Attributes:
        status: The HTTP status.
        kind: The name that the protocol has for the error.
    """

    def __init__(self, status: int, kind: str, message: str) -> None:
        """Name it; the message says what to do as well."""
        super().__init__(message)
        self.status, self.kind = status, kind


def create(lake: Lake, host: str = "127.0.0.1") -> Starlette:
    """The application.

    Args:
        lake: The lake; it exists.
        host: The address or name to listen on.
    """
    endpoints = _Endpoints(_Versions(lake), lake.root)
    reads = {
        "/namespaces": endpoints.namespaces,
        "/namespaces/{namespace}": endpoints.namespace,
        "/namespaces/{namespace}/tables": endpoints.tables,
        "/namespaces/{namespace}/tables/{table}": endpoints.table,
        "/namespaces/{namespace}/views": endpoints.views,
        "/namespaces/{namespace}/views/{view}": endpoints.view,
    }
    metrics = "/namespaces/{namespace}/tables/{table}/metrics"
    routes = [Route("/v1/config", _answering(endpoints.config))]
    routes.append(Route("/v1/oauth/tokens", _no_tokens, methods=["POST"]))
    for start in ("/v1", "/v1/{prefix}"):
        routes += [Route(start + path, _answering(read)) for path, read in reads.items()]
        routes.append(Route(start + metrics, _taken, methods=["POST"]))
    return Starlette(
        routes=routes, middleware=[Middleware(Guard, host=host)], exception_handlers={HTTPException: _not_here}
    )


class _Versions:
    """The versions of a lake: the newest one, and those that clients are pinned to. Thread-safe."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        self._newest: View | None = None
        self._pinned: OrderedDict[str, View] = OrderedDict()
        self._reading = Lock()

    def newest(self) -> View:
        """Every table as the last batch left it. Reads the catalog alone if nothing has changed since the last call."""
        with self._reading:
            if self._newest is None or self._lake.changed_since(self._newest):
                self._newest = self._read()
            return self._newest

    def _read(self) -> View:
        for attempt in range(_ATTEMPTS):
            try:
                return self._lake.need_view()
            except MissingFileError:  # an erasure drops old documents at once, or the lake is damaged
                if attempt == _ATTEMPTS - 1:
                    raise
        raise AssertionError

    def pin(self) -> str:
        """Keep the newest version; returns its name."""
        view = self.newest()
        name = hashlib.sha256(view.catalog or b"").hexdigest()[:16]
        with self._reading:
            self._pinned[name] = view
            self._pinned.move_to_end(name)
            if len(self._pinned) > _REMEMBERED:
                self._pinned.popitem(last=False)
        return name

    def of(self, prefix: str | None) -> View:
        """The version that a client sees: the newest one, or the one that it is pinned to."""
        if prefix is None:
            return self.newest()
        with self._reading:
            view = self._pinned.get(prefix)
        if view is None:
            raise RefusedError(
                404,
                "NoSuchWarehouseException",
                f"This catalog no longer knows the version {prefix}. Attach again for a newer one.",
            )
        return view


class _Endpoints:
    """What each path of the protocol returns."""

    def __init__(self, versions: _Versions, root: str) -> None:
        self._versions, self._root = versions, root

    def config(self, request: Request) -> dict[str, Any]:
        """The settings of a client, by the warehouse that it names."""
        warehouse = request.query_params.get("warehouse") or CURRENT
        if warehouse not in (CURRENT, PINNED, self._root):
            raise RefusedError(
                404,
                "NoSuchWarehouseException",
                f"There is no warehouse {warehouse}. Name none or {CURRENT} to follow the lake,"
                f" or {PINNED} to stay at its version of now.",
            )
        overrides = {"prefix": self._versions.pin()} if warehouse == PINNED else {}
        return {"defaults": _place_of_files(self._root), "overrides": overrides, "endpoints": list(_READS)}

    def namespaces(self, request: Request) -> dict[str, Any]:
        """The namespace, or those below it, of which there are none."""
        parent = request.query_params.get("parent")
        if parent:
            _need_namespace(parent)
        return {"namespaces": [] if parent else [[NAMESPACE]], "next-page-token": None}

    def namespace(self, request: Request) -> dict[str, Any]:
        """The properties of the namespace."""
        _need_namespace(request.path_params["namespace"])
        view = self._versions.of(request.path_params.get("prefix"))
        return {"namespace": [NAMESPACE], "properties": {"lake": self._root, "version": str(view.version)}}

    def tables(self, request: Request) -> dict[str, Any]:
        """The names of all tables, on one page."""
        _need_namespace(request.path_params["namespace"])
        names = self._versions.of(request.path_params.get("prefix")).tables
        return {"identifiers": [{"namespace": [NAMESPACE], "name": name} for name in names], "next-page-token": None}

    def table(self, request: Request) -> dict[str, Any]:
        """A table: where its metadata is, and the metadata itself."""
        _need_namespace(request.path_params["namespace"])
        name = request.path_params["table"]
        found = self._versions.of(request.path_params.get("prefix")).tables.get(name)
        if found is None or found.metadata is None:
            raise RefusedError(404, "NoSuchTableException", f"There is no table {NAMESPACE}.{name} in {self._root}.")
        metadata = found.metadata
        if request.query_params.get("snapshots") == "refs":
            metadata = _with_referenced_snapshots(metadata)
        return {"metadata-location": found.location, "metadata": metadata, "config": {}}

    def views(self, request: Request) -> dict[str, Any]:
        """The names of all views, of which there are none."""
        _need_namespace(request.path_params["namespace"])
        return {"identifiers": [], "next-page-token": None}

    def view(self, request: Request) -> dict[str, Any]:
        """No view."""
        _need_namespace(request.path_params["namespace"])
        raise RefusedError(404, "NoSuchViewException", f"There is no view {request.path_params['view']}.")


def _need_namespace(name: str) -> None:
    if name != NAMESPACE:
        shown = name.replace("\x1f", ".")
        raise RefusedError(
            404, "NoSuchNamespaceException", f"There is no namespace {shown}. The tables are in {NAMESPACE}."
        )


def _with_referenced_snapshots(metadata: TableMetadata) -> TableMetadata:
    """The metadata with the snapshots that a branch names, as a client asks that reads the others only when it needs them."""
    named = {ref["snapshot-id"] for ref in metadata["refs"].values()}
    return metadata | {"snapshots": [each for each in metadata["snapshots"] if each["snapshot-id"] in named]}


def _place_of_files(root: str) -> dict[str, str]:
    """How a client reaches the files, as far as that is no secret; what the client says itself comes first."""
    if not is_s3(root):
        return {}
    settings: dict[str, str] = {}
    if endpoint := os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL"):
        settings |= {"s3.endpoint": endpoint, "s3.path-style-access": "true"}
    if region := os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION"):
        settings |= {"client.region": region, "s3.region": region}
    return settings


# ----------------------------------------------------------------------------------------------------------- responses


def _answering(read: Callable[[Request], dict[str, Any]]) -> Callable[[Request], Response]:
    """An endpoint: a plain function, which the framework runs in a thread."""

    def respond(request: Request) -> Response:
        try:
            content = read(request)
        except RefusedError as error:
            return _error(error.status, error.kind, str(error))
        except ShoplakeError as error:
            said = f"{error}. {error.remedy}"
            if isinstance(error, TransientError):
                return _error(503, "ServiceUnavailableException", said)
            return _error(500, "InternalServerError", said)
        if request.method == "HEAD":
            return Response(status_code=204)
        text = json.dumps(content)
        tag = f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'
        headers = {"cache-control": "no-cache", "etag": tag}
        if tag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(text, 200, headers, "application/json")

    return respond


def _taken(request: Request) -> Response:  # noqa: ARG001 - the framework's interface
    """What a client reports of its scan is taken, and dropped."""
    return Response(status_code=204)


def _no_tokens(request: Request) -> Response:  # noqa: ARG001 - the framework's interface
    said = "This catalog has no credentials. Attach without credential, token and OAuth2."
    return Response(
        json.dumps({"error": "unsupported_grant_type", "error_description": said}), 400, None, "application/json"
    )


def _not_here(request: Request, error: Exception) -> Response:
    """No such path, or a path of the protocol that is asked to change something."""
    writes = request.method not in ("GET", "HEAD") and request.url.path.startswith("/v1/")
    if writes:
        return _error(
            406,
            "UnsupportedOperationException",
            f"This catalog is read-only: {request.method} {request.url.path} is refused. A lake is changed by shoplake"
            " (ingest, replay, erase, maintain); write your own tables to another catalog.",
        )
    status = error.status_code if isinstance(error, HTTPException) else 404
    return _error(status, "NotFoundException", f"There is nothing at {request.url.path}. The catalog is below /v1.")


def _error(status: int, kind: str, message: str) -> Response:
    """An error in the form that the protocol gives it."""
    content = json.dumps({"error": {"message": message, "type": kind, "code": status}})
    return Response(content, status, {"cache-control": "no-store"}, "application/json")
