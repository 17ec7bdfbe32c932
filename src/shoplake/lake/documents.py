"""Reads the JSON documents of a lake, and refuses those that are damaged before anything relies on them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, TypedDict, TypeVar, cast, get_args, get_origin, get_type_hints, is_typeddict

from shoplake.errors import FatalError
from shoplake.lake.metadata import TableMetadata, new_table
from shoplake.tables import Table

_REBUILD = (
    "Ingest its source into a new lake: shoplake ingest --source DIR --lake NEW. Until that is done, read it with the"
    " version of shoplake that wrote it."
)
_T = TypeVar("_T")
_Rule = Callable[[Any, str], str]
_REMEDY = "Go back to the newest whole state: shoplake recover --lake DIR"


class CatalogDocument(TypedDict):
    """``catalog.json``.

    Attributes:
        format: Of this document and of what it names.
        version: Counts the changes of the lake.
        id: Of this version.
        previous: The ids of the versions before it, newest first.
        tables: Where the metadata of each table is, below the lake.
    """

    format: int
    version: int
    id: str
    previous: list[str]
    tables: dict[str, str]


def read_catalog(location: str, content: bytes, format_: int, tables: tuple[str, ...]) -> CatalogDocument:
    """The catalog.

    Args:
        location: Where it is.
        content: Its bytes.
        format_: The format that is understood.
        tables: The tables that it must name.

    Raises:
        FatalError: It is damaged, or of another format.
    """
    what = f"the catalog {location}"
    document = _object(what, content)
    if isinstance(document.get("format"), int) and document["format"] != format_:
        raise _other_format(what, document["format"], format_)
    catalog = _checked(what, document, CatalogDocument)
    for table in tables:
        if table not in catalog["tables"]:
            raise FatalError(f"{what} is damaged: it names no table {table}", remedy=_REMEDY)
    return catalog


def read_metadata(location: str, content: bytes) -> TableMetadata:
    """The metadata document of a table.

    Raises:
        FatalError: It is damaged.
    """
    return _checked(location, _object(location, content), TableMetadata)


def check_columns(location: str, metadata: TableMetadata, table: Table) -> None:
    """Refuse a table that was created with other columns than this version of shoplake declares.

    Raises:
        FatalError: It was; the message says which.
    """
    try:
        schema = {field["name"]: field["type"] for field in metadata["schemas"][0]["fields"]}
        partition = [(field["name"], field["transform"]) for field in metadata["partition-specs"][0]["fields"]]
    except (LookupError, TypeError) as error:
        raise FatalError(f"{location} is damaged: {error!r} in its schema", remedy=_REMEDY) from error
    columns, partitioned = _declared(table)
    if (list(schema.items()), partition) == (list(columns.items()), partitioned):
        return
    both = schema.keys() & columns.keys()
    differences = [
        *(f"lacks {name}" for name in columns if name not in schema),
        *(f"has {name}, which this version does not know" for name in schema if name not in columns),
        *(f"has {name} as another type" for name in columns if name in both and schema[name] != columns[name]),
    ]
    raise FatalError(
        f"table {table.name} was created by another version of shoplake: it"
        f" {', '.join(differences) or 'has its columns in another order, or other partitions'}",
        remedy=_REBUILD,
    )


@cache
def _declared(table: Table) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    new = new_table(table, "")
    partition = [(field["name"], field["transform"]) for field in new["partition-specs"][0]["fields"]]
    return {field["name"]: field["type"] for field in new["schemas"][0]["fields"]}, partition


def _other_format(what: str, found: int, understood: int) -> FatalError:
    if found > understood:
        return FatalError(
            f"{what} has format {found}: a newer shoplake wrote it. This version reads format {understood}",
            remedy="Upgrade shoplake.",
        )
    return FatalError(
        f"{what} has format {found}: an older shoplake wrote it. This version reads format {understood}",
        remedy=_REBUILD,
    )


def _object(what: str, content: bytes) -> dict[str, Any]:
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise FatalError(f"{what} is damaged: {error}", remedy=_REMEDY) from error
    if not isinstance(document, dict):
        raise FatalError(f"{what} is damaged: it is not a JSON object", remedy=_REMEDY)
    return document


def _checked(what: str, document: dict[str, Any], kind: type[_T]) -> _T:
    if wrong := _rule(cast("Any", kind))(document, "it"):
        raise FatalError(f"{what} is damaged: {wrong}", remedy=_REMEDY)
    return cast("_T", document)


@cache
def _rule(kind: Any) -> _Rule:
    """What says what is wrong with a value of a document, by its name; empty if nothing is.

    Made once for each type: a run reads eight documents with hundreds of values each, and looking at the types of a value
    each time took a fifth of the CPU of a small run.
    """
    if kind is Any:
        return lambda _value, _name: ""
    if is_typeddict(kind):
        return _object_rule(kind.__required_keys__, {key: _rule(each) for key, each in get_type_hints(kind).items()})
    if get_origin(kind) is list:
        return _list_rule(_rule(get_args(kind)[0]))
    if get_origin(kind) is dict:
        return _mapping_rule(_rule(get_args(kind)[1]))

    def wrong(value: Any, name: str) -> str:
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            return f"{name} is not {'a number' if kind is int else 'a text'}"
        return ""

    return wrong


def _object_rule(required: frozenset[str], rules: Mapping[str, _Rule]) -> _Rule:
    def wrong(value: Any, name: str) -> str:
        if not isinstance(value, dict):
            return f"{name} is not an object"
        if missing := required - value.keys():
            return f"{name} has no {min(missing)}"
        return next(filter(None, (rule(value[key], key) for key, rule in rules.items() if key in value)), "")

    return wrong


def _list_rule(rule: _Rule) -> _Rule:
    def wrong(value: Any, name: str) -> str:
        if not isinstance(value, list):
            return f"{name} is not a list"
        entry = f"an entry of {name}"
        return next(filter(None, (rule(each, entry) for each in value)), "")

    return wrong


def _mapping_rule(rule: _Rule) -> _Rule:
    def wrong(value: Any, name: str) -> str:
        if not isinstance(value, dict):
            return f"{name} is not an object"
        return next(filter(None, (rule(each, f"{name}.{key}") for key, each in value.items())), "")

    return wrong
