"""What the tests of verify share: a report's differences, and the tables' rows to damage."""

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from shoplake.engines.duckdb import DuckDBEngine
from shoplake.lake.catalog import Lake
from shoplake.lake.commits import Commit
from shoplake.lake.parquet import read
from shoplake.operations.verify import VerifyRequest, verify
from shoplake.sources.open import open_source
from shoplake.tables import BY_NAME, GOLD_HOURLY
from tests.support import START, event, ingest, key

NOW = datetime(2025, 11, 20, tzinfo=UTC)
HOUR = START.replace(tzinfo=None)
NEXT_HOUR = HOUR + timedelta(hours=1)
MIDNIGHT = HOUR + timedelta(hours=10)
GOLD = [*(table.name for table in GOLD_HOURLY), "activity_daily"]


def at(hour, number, event_type="page_view"):
    """An event of another hour."""
    moment = (hour + timedelta(seconds=number)).isoformat()
    return event(number, event_type, timestamp=f"{moment}Z", session_id=f"s_{hour:%H}_{number}")


def check(shop, source=True, **options):
    """Verify the lake; with its source unless told otherwise."""
    place = open_source(str(shop / "raw")) if source else None
    options.setdefault("now", lambda: NOW)
    return verify(VerifyRequest(Lake(shop / "lake"), place, lambda: DuckDBEngine(2), 2, **options))


def found(report):
    """Which checks found what, and where."""
    return {(one.name, d.what, d.where) for one in report.checks for d in one.differences}


def only(report, name):
    """The one difference of a check."""
    (difference,) = next(one for one in report.checks if one.name == name).differences
    return difference


def files_of(shop, table):
    """The data files of a table."""
    return Lake(shop / "lake").view()[table].files


def rows_of(shop, table):
    """All rows of a table."""
    held = [read(BY_NAME[table], stored(shop, file).read_bytes()) for file in files_of(shop, table)]
    return pa.concat_tables(held)


def rewrite(shop, table, keys, rows):
    """Commit other rows in place of those of some keys."""
    lake, declared = Lake(shop / "lake"), BY_NAME[table]
    with Commit(lake, lake.view(), NOW.replace(tzinfo=None), {}) as commit:
        new = []
        if rows is not None and rows.num_rows:
            column = rows.column(declared.partition[0])
            transform = declared.partition[1]
            unit = pc.floor_temporal(column, unit=transform)
            for value in pc.unique(unit).to_pylist():
                part = rows.filter(pc.equal(unit, pa.scalar(value, unit.type)))
                new.append(commit.write(declared, value, part))
        commit.replace(declared, keys, new)
        commit.publish()


def with_value(rows, column, where, value):
    """The rows with another value in the rows that a mask names."""
    position = rows.column_names.index(column)
    field = rows.schema.field(column)
    changed = pc.if_else(where, pa.scalar(value, field.type), rows.column(column))
    return rows.set_column(position, field, changed)


def first_row(rows):
    return pa.array([True] + [False] * (rows.num_rows - 1))


def below(shop, path):
    return str(path).removeprefix(f"{shop / 'lake'}/")


def stored(shop, file):
    """Where a data file is."""
    return shop / "lake" / below(shop, file.path)


def heal(shop, *slots):
    """What replaying files does: their raw objects are taken in again."""
    for slot in slots:
        (shop / "raw" / key(slot)).touch()
    ingest(shop / "raw", shop / "lake")
