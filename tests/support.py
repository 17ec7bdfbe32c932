"""What the tests share: raw files, runs, the rows of a lake, and the five answers counted without the code under test.

What should become of each line says :mod:`tests.judge`.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import pytest

import shoplake
from shoplake import queries
from shoplake.cli.main import main
from shoplake.engines import choose
from shoplake.ingestion import pipeline
from shoplake.ingestion.report import RunReport
from shoplake.lake.catalog import Lake
from shoplake.lake.reader import OpenLake
from shoplake.settings import Settings
from shoplake.sources.base import Source
from shoplake.sources.open import open_source
from tests.judge import Event, Verdict, accepted, fates, judge, judge_files
from tests.s3.path import S3Path

ENGINE = os.environ.get("SHOPLAKE_TEST_ENGINE", "duckdb")
__all__ = ["Event", "Verdict", "accepted", "fates", "judge", "judge_files"]

Place = Path | S3Path
everywhere = pytest.mark.parametrize(
    "place",
    [pytest.param("tmp_path", id="local"), pytest.param("s3_place", id="s3", marks=pytest.mark.s3)],
    indirect=True,
)
everywhere_in_proofs = pytest.mark.parametrize(  # where S3 adds nothing that other tests on S3 do not show
    "place",
    [
        pytest.param("tmp_path", id="local"),
        pytest.param("s3_place", id="s3", marks=[pytest.mark.s3, pytest.mark.proof]),
    ],
    indirect=True,
)
FULL = os.environ.get("SHOPLAKE_PROOFS") == "full"  # `make proofs`
proof = pytest.mark.proof  # left out by `make test`


def proofs(*cases: Any) -> list[Any]:
    """Cases of a parametrized test that `make proofs` runs, and `make test` leaves out."""
    return [pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=proof) for case in cases]


# Tests that each engine has to pass; with SHOPLAKE_TEST_ENGINE=spark Spark computes in all tests instead. Where the tests of
# Spark itself show the same by comparing its tables with DuckDB's, Spark's turn is a proof.
def _both(*marks: pytest.MarkDecorator) -> pytest.MarkDecorator:
    spark = [pytest.param("spark", marks=marks)] if ENGINE == "duckdb" else []
    return pytest.mark.parametrize("engine", [ENGINE, *spark], indirect=True)


def _everywhere_by_both(
    *marks: pytest.MarkDecorator, on_s3: tuple[pytest.MarkDecorator, ...] = ()
) -> pytest.MarkDecorator:
    local = pytest.param("tmp_path", ENGINE, id="local")
    s3 = pytest.param("s3_place", ENGINE, id="s3", marks=[pytest.mark.s3, *on_s3])
    spark = [pytest.param("tmp_path", "spark", id="spark", marks=marks)] if ENGINE == "duckdb" else []
    return pytest.mark.parametrize(("place", "engine"), [local, s3, *spark], indirect=True)


def everywhere_but(names: str, *cases: Any, on_s3: Any) -> pytest.MarkDecorator:
    """Cases in a folder, and one of them on S3 as well; the others are left to the proofs there.

    Args:
        names: What a case consists of, as for `parametrize`.
        cases: The cases, with a name each.
        on_s3: The one for S3.
    """
    values = [case if isinstance(case, tuple) else (case,) for case in cases]
    local = [pytest.param("tmp_path", *value, id=f"local-{_id(value)}") for value in values]
    s3 = [
        pytest.param(
            "s3_place", *value, id=f"s3-{_id(value)}", marks=[pytest.mark.s3, *([] if case == on_s3 else [proof])]
        )
        for case, value in zip(cases, values, strict=True)
    ]
    return pytest.mark.parametrize(f"place, {names}", [*local, *s3], indirect=["place"])


def _id(value: tuple[Any, ...]) -> str:
    return "-".join(part if isinstance(part, str) else part.__name__ for part in value)


both, both_in_proofs = _both(), _both(proof)
everywhere_by_both, everywhere_by_both_in_proofs = _everywhere_by_both(), _everywhere_by_both(proof)
elsewhere_in_proofs = _everywhere_by_both(proof, on_s3=(proof,))  # a folder and DuckDB here, S3 and Spark there
START = datetime(2025, 11, 18, 14, tzinfo=UTC)
SLOT = timedelta(minutes=5)
RUN_DEPENDENT = {"ledger": {"arrived_at", "batch", "seconds", "version"}, "quarantine": {"arrived_at", "batch"}}
QUESTIONS = ("conversion_funnel", "hourly_revenue", "top_products", "category_performance", "user_activity")

# ------------------------------------------------------------------------------------------------------------ raw files


def key(slot: int) -> str:
    """The path of the file of a slot of five minutes, counted from START."""
    at = START + slot * SLOT
    return f"events/{at:year=%Y/month=%m/day=%d/hour=%H/minute=%M}/events-{at:%Y%m%d-%H%M%S}.jsonl.gz"


def event(number: int = 0, event_type: str = "page_view", **changes: Any) -> dict[str, Any]:
    """A valid event; another number is another event, a change sets a field."""
    amount = event_type in ("add_to_cart", "remove_from_cart", "purchase")
    search = event_type == "search"
    at = START + timedelta(milliseconds=137 * number)
    return {
        "timestamp": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "user_id": f"u_{number % 7}",
        "session_id": f"s_{number}",
        "event_type": event_type,
        "product_id": None if search else f"p_{number % 3}",
        "quantity": 1 + number % 3 if amount else None,
        "price": 19.99 if amount else None,
        "category": None if search else "books",
        "search_query": "yoga mat" if search else None,
    } | changes


def events(count: int, first: int = 0) -> list[dict[str, Any]]:
    """Valid events of all types in turn, all different."""
    types = ("page_view", "add_to_cart", "remove_from_cart", "purchase", "search")
    return [event(number, types[number % len(types)]) for number in range(first, first + count)]


def as_line(line: Mapping[str, Any] | bytes) -> bytes:
    """A raw line: bytes as they are, an event as the starter writes it."""
    return line if isinstance(line, bytes) else json.dumps(line).encode()


def put(
    source: Place,
    where: int | str,
    lines: Iterable[Mapping[str, Any] | bytes],
    *,
    newline: bytes = b"\n",
    bom: bool = False,
) -> str:
    """Write lines as one source file, without a newline at its end as the starter does.

    Args:
        source: The source folder.
        where: A slot, or a path below the source.
        lines: Events, or bytes for lines that are no events.
        newline: What stands between the lines.
        bom: Whether the file begins with a byte order mark.

    Returns:
        Its path below the source.
    """
    return put_bytes(
        source, where, gzip.compress((b"\xef\xbb\xbf" if bom else b"") + newline.join(map(as_line, lines)), 1)
    )


def put_bytes(source: Place, where: int | str, content: bytes) -> str:
    """Write a source file's bytes as they are; returns its path below the source."""
    name = key(where) if isinstance(where, int) else where
    path = source / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return name


# ----------------------------------------------------------------------------------------------------------------- runs


def prepare(source: Place | Source, lake: Place, **settings: Any) -> pipeline.Run:
    """A run that is ready to be done or previewed, by the engine that the settings or the environment name."""
    source = open_source(str(source)) if isinstance(source, Path | S3Path) else source
    given: dict[str, Any] = {"engine": ENGINE, "threads": 2} | settings
    chosen = Settings(**given)
    target = Lake(str(lake))
    return pipeline.Run(target, source, choose.engine(chosen, target), chosen)


def skip_without(*packages: str) -> NoReturn:
    """Say which packages of Java a test needs that could not be fetched."""
    pytest.skip(
        f"{', '.join(packages)} could not be fetched: it needs Maven Central (https://repo1.maven.org) once,"
        " then it is kept in ~/.ivy2"
    )


def ingest(source: Place | Source, lake: Place, **settings: Any) -> RunReport:
    """Take in what is new."""
    return pipeline.ingest(prepare(source, lake, **settings))


class Told(NamedTuple):
    """How a command ended and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Its output, read."""
        return json.loads(self.out)


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def command(*words: object, terminal: bool = False) -> Told:
    """Call the command line in this process, with its output in a pipe or on a terminal."""
    out, err, argv = Terminal() if terminal else io.StringIO(), io.StringIO(), sys.argv
    sys.argv = ["shoplake", *map(str, words)]
    code: Any = 0
    try:
        with redirect_stdout(out), redirect_stderr(err):
            main()
    except SystemExit as end:
        code = end.code or 0
    finally:
        sys.argv = argv
    return Told(code, out.getvalue(), err.getvalue())


def once_before(monkeypatch: pytest.MonkeyPatch, cls: type, method: str, other: Callable[[], object]) -> None:
    """Before a method's real work, once, somebody else does all of theirs."""
    real, turns = getattr(cls, method), iter([other])

    def wrapper(*args: Any, **more: Any) -> Any:
        for turn in turns:
            turn()
        return real(*args, **more)

    monkeypatch.setattr(cls, method, wrapper)


def data_files(lake: Place, table: str) -> dict[str, tuple[Any, Any]]:
    """A table's data files by path, with the smallest and the largest key that each holds."""
    snapshot = Lake(str(lake)).view()[table]
    return {file.path: (file.lower[snapshot.table.key], file.upper[snapshot.table.key]) for file in snapshot.files}


def dump(lake: Place) -> dict[str, list[dict[str, Any]]]:
    """Every published row of every table, sorted, without the columns that say when and by which run it came."""
    with reading(lake) as opened:
        return {name: _rows(opened, name) for name in opened.tables}


@contextmanager
def reading(lake: Place) -> Iterator[OpenLake]:
    """The newest state of a lake, opened; in a folder, by a database that may have read it before: a new one costs 20 ms."""
    if isinstance(lake, S3Path):
        with shoplake.open(str(lake), threads=2) as opened:
            yield opened
    else:
        opened = _database(str(lake))
        opened.refresh()
        yield opened


@lru_cache(maxsize=3)
def _database(lake: str) -> OpenLake:
    return shoplake.open(lake, threads=2)


def _rows(opened: Any, name: str) -> list[dict[str, Any]]:
    relation = opened.sql(f"SELECT * FROM {name}")
    columns = list(relation.columns)
    left_out = RUN_DEPENDENT.get(name, set())
    rows = [
        {column: value for column, value in zip(columns, row, strict=True) if column not in left_out}
        for row in relation.fetchall()
    ]
    return sorted(rows, key=repr)


def snapshots(lake: Place) -> dict[str, int | None]:
    """The newest snapshot of every table."""
    return {name: table.snapshot_id for name, table in Lake(str(lake)).view().tables.items()}


def ledger(lake: Place) -> dict[str, dict[str, Any]]:
    """The ledger's rows by source file."""
    return {row["source_file"]: row for row in dump(lake)["ledger"]}


def answers(lake: Place) -> dict[str, list[tuple[Any, ...]]]:
    """The five answers from the gold tables."""
    with reading(lake) as opened:
        return {name: opened.query(name).fetchall() for name in QUESTIONS}


def oracle(lake: Place) -> dict[str, list[tuple[Any, ...]]]:
    """The five answers from the events, by grading/queries.sql."""
    with reading(lake) as opened:
        return {query.name: opened.sql(query.sql).fetchall() for query in queries.oracle()}


# ----------------------------------------------------------------------------------------------------------- the answers


def five_answers(found: Iterable[Event]) -> dict[str, list[tuple[Any, ...]]]:
    """The five answers, counted one event at a time."""
    found = list(found)
    return {
        "conversion_funnel": _funnel(found),
        "hourly_revenue": _revenue(found),
        "top_products": _top(found),
        "category_performance": _categories(found),
        "user_activity": _activity(found),
    }


def _by_product(found: list[Event]) -> dict[str, tuple[str, Counter[str]]]:
    products: dict[str, tuple[str, Counter[str]]] = {}
    for one in found:
        if one.product is not None and one.category is not None:
            category, count = products.get(one.product, (one.category, Counter()))
            count[one.type] += 1
            products[one.product] = (min(category, one.category), count)
    return products


def _funnel(found: list[Event]) -> list[tuple[Any, ...]]:
    rows = []
    for product, (category, count) in _by_product(found).items():
        views, carts, bought = (count[name] for name in ("page_view", "add_to_cart", "purchase"))
        rates = (_rate(carts, views), _rate(bought, carts), _rate(bought, views))
        rows.append((product, category, views, carts, bought, *rates))
    return sorted(rows, key=lambda row: (-row[2], row[0]))


def _rate(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _revenue(found: list[Event]) -> list[tuple[Any, ...]]:
    hours: dict[datetime, list[Any]] = defaultdict(lambda: [Decimal(0), 0, 0])
    for one in found:
        if one.type == "purchase" and one.price is not None and one.quantity is not None:
            hour = hours[one.time.replace(minute=0, second=0, microsecond=0)]
            hour[0] += one.price * one.quantity
            hour[1] += 1
            hour[2] += one.quantity
    return [(hour, *hours[hour]) for hour in sorted(hours)]


def _top(found: list[Event]) -> list[tuple[Any, ...]]:
    seen = [(product, category, count["page_view"]) for product, (category, count) in _by_product(found).items()]
    return sorted((row for row in seen if row[2]), key=lambda row: (-row[2], row[0]))[:10]


def _categories(found: list[Event]) -> list[tuple[Any, ...]]:
    groups: dict[tuple[Any, str], Counter[str]] = defaultdict(Counter)
    for one in found:
        groups[one.time.date(), "(none)" if one.type == "search" else str(one.category)][one.type] += 1
    types = ("page_view", "add_to_cart", "remove_from_cart", "purchase", "search")
    return [(*group, groups[group].total(), *(groups[group][name] for name in types)) for group in sorted(groups)]


def _activity(found: list[Event]) -> list[tuple[Any, ...]]:
    days: dict[Any, list[Event]] = defaultdict(list)
    for one in found:
        days[one.time.date()].append(one)
    return [
        (day, len({one.user for one in days[day]}), len({one.session for one in days[day]}), len(days[day]))
        for day in sorted(days)
    ]
