"""Writes the gold of a batch: recomputed hours take the place of what is stored, grown ones are added to it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from shoplake.engines import packing, unit_keys
from shoplake.engines.aggregates import HourlyGold
from shoplake.engines.base import Gold, GoldRequest, Output
from shoplake.engines.codes import Mapper
from shoplake.engines.unit_keys import Keys, StoredKeys
from shoplake.errors import FatalError
from shoplake.lake import parquet
from shoplake.lake.parquet import NewFile, arrow_schema
from shoplake.lake.parts import add_up, hours_of
from shoplake.lake.snapshots import DataFile, TableSnapshot
from shoplake.tables import ACTIVITY_DAILY, GOLD_HOURLY, PRODUCT_HOURLY, SESSION_HOURLY, UNIT_TABLES, USER_HOURLY, Table

_COUNTED = {USER_HOURLY: "unique_users", SESSION_HOURLY: "unique_sessions"}
_ONE_DAY = timedelta(days=1, microseconds=-1)


@dataclass(frozen=True)
class WrittenHours:
    """The gold of some hours, written.

    Attributes:
        files: Of each hourly table, by name.
        events: How many events each hour has now.
        fresh: How many of them are of the batch, where the hour has only grown.
        keys: The batch's users and sessions, by the name of their table and by hour.
    """

    files: dict[str, list[NewFile]]
    events: dict[datetime, int]
    fresh: dict[datetime, int]
    keys: dict[str, dict[datetime, Keys | StoredKeys]]

    @classmethod
    def joined(cls, parts: Sequence[WrittenHours]) -> WrittenHours:
        """Those of several parts, none of which has an hour of another."""
        return cls(
            {table.name: [file for part in parts for file in part.files[table.name]] for table in GOLD_HOURLY},
            {hour: events for part in parts for hour, events in part.events.items()},
            {hour: events for part in parts for hour, events in part.fresh.items()},
            {
                table.name: {hour: keys for part in parts for hour, keys in part.keys[table.name].items()}
                for table in UNIT_TABLES
            },
        )


def write_gold(computed: HourlyGold, request: GoldRequest, output: Output, mapper: Mapper) -> Gold:
    """Write the gold tables of some hours and their days.

    Args:
        computed: The gold of the rows that count: of grown hours the batch's, of the others all.
        request: Which hours, and what the lake holds.
        output: Where to write.
        mapper: Spreads the work over threads.
    """
    written = write_hours(computed, request, output, mapper)
    days = frozenset(hour.date() for hour in request.hours)
    return as_gold(request, written, [day_row(day, request, written, mapper) for day in sorted(days)], output)


def write_hours(computed: HourlyGold, request: GoldRequest, output: Output, mapper: Mapper) -> WrittenHours:
    """Write the hourly tables; arguments as of :func:`write_gold`."""
    base = request.base
    products = dict(computed.rows(PRODUCT_HOURLY))
    added = dict(products)
    for hour, stored in _stored_products(base[PRODUCT_HOURLY.name], request.grown & products.keys()).items():
        added[hour] = add_up(PRODUCT_HOURLY, pa.concat_tables([_plain(stored), _plain(products[hour])]))
    files = {
        PRODUCT_HOURLY.name: [
            output.write(PRODUCT_HOURLY, hours[0], pa.concat_tables([_plain(added[hour]) for hour in hours]))
            for hours in _in_files(added)
        ]
    }
    keys: dict[str, dict[datetime, Keys | StoredKeys]] = {}
    units = mapper(lambda table: _write_units(computed, table, base[table.name].uuid, output, mapper), UNIT_TABLES)
    for table, (files[table.name], of_hours) in zip(UNIT_TABLES, units, strict=True):
        keys[table.name] = dict(of_hours)
    events, fresh = ({hour: _events([rows]) for hour, rows in some.items()} for some in (added, products))
    return WrittenHours(files, events, fresh, keys)


def day_row(day: date, request: GoldRequest, written: WrittenHours, mapper: Mapper) -> dict[str, Any] | None:
    """The row that ``activity_daily`` has of a day now; None if it has no events."""
    return _Day(day, request, mapper).row(written)


def as_gold(request: GoldRequest, written: WrittenHours, rows: Sequence[dict[str, Any] | None], output: Output) -> Gold:
    """The gold of a request, its rows of ``activity_daily`` written."""
    schema = arrow_schema(ACTIVITY_DAILY).remove_metadata()
    daily = [
        output.write(ACTIVITY_DAILY, row["event_date"], pa.Table.from_pylist([row], schema)) for row in rows if row
    ]
    days = frozenset(hour.date() for hour in request.hours)
    return Gold(written.files, request.grown, days, daily)


def _write_units(
    computed: HourlyGold, table: Table, salt: str, output: Output, mapper: Mapper
) -> tuple[list[NewFile], dict[datetime, Keys]]:
    """Write a table of users or sessions; also gives the keys of each hour."""
    rows = dict(computed.rows(table))
    keys = dict(zip(rows, computed.keys(table, salt), strict=True))

    def write(hours: Sequence[datetime]) -> NewFile:
        if len(hours) == 1:
            return output.write(table, hours[0], rows[hours[0]], keys=keys[hours[0]].encoded(salt))
        of_hours = pa.concat_tables([rows[hour] for hour in hours])
        return output.write(
            table, hours[0], of_hours, keys=unit_keys.union([keys[hour] for hour in hours]).encoded(salt)
        )

    return mapper(write, _in_files(rows)), keys


def _in_files(rows: Mapping[datetime, pa.Table]) -> list[list[datetime]]:
    """Which hours share a data file: those of a day that have few rows, so that a file of stray times is not a thousand."""
    days: dict[date, list[datetime]] = {}
    for hour in rows:
        days.setdefault(hour.date(), []).append(hour)
    return [
        shared
        for hours in days.values()
        for shared in packing.together(((hour, rows[hour].num_rows) for hour in hours), packing.FEW_ROWS)
    ]


@dataclass(frozen=True)
class _Day:
    """A day whose row of ``activity_daily`` changes.

    Attributes:
        day: The day.
        request: The hours of the batch, and what the lake holds.
        mapper: Spreads the work over threads.
    """

    day: date
    request: GoldRequest
    mapper: Mapper

    def row(self, written: WrittenHours) -> dict[str, Any] | None:
        """The day's new row; None if it has no events."""
        own = [hour for hour in self.request.hours if hour.date() == self.day]
        new = {
            table: [written.keys[table.name][hour] for hour in own if hour in written.keys[table.name]]
            for table in UNIT_TABLES
        }
        known = self._known() if set(own) <= self.request.grown else None
        if known:
            counts = {name: known[name] + self._coming(table, new[table]) for table, name in _COUNTED.items()}
            events = known["events"] + sum(written.fresh.get(hour, 0) for hour in own)
        else:
            counts = {name: self._all(table, own, new[table]) for table, name in _COUNTED.items()}
            events = self._other_events(own) + sum(written.events.get(hour, 0) for hour in own)
        return {"event_date": self.day, **counts, "events": events} if events else None

    def _known(self) -> dict[str, Any] | None:
        """The stored row, None without one that can be read."""
        stored = self.request.base[ACTIVITY_DAILY.name]
        try:
            rows = [
                row
                for file in stored.within(self.day, self.day)
                for row in parquet.read(ACTIVITY_DAILY, stored.storage.read(file.path)).to_pylist()
                if row["event_date"] == self.day
            ]
        except (FatalError, pa.ArrowException, OSError):
            return None
        return rows[0] if len(rows) == 1 else None

    def _coming(self, table: Table, new: Sequence[Keys | StoredKeys]) -> int:
        """How many units the day gains."""
        stored = self.request.base[table.name]
        newest_first = sorted(self._files(table), key=lambda file: (file.upper["event_hour"], file.rows), reverse=True)
        return unit_keys.count_new(
            unit_keys.union([keys.all() for keys in new]),
            [StoredKeys(stored, file) for file in newest_first],
            self.mapper,
        )

    def _all(self, table: Table, own: Collection[datetime], new: Sequence[Keys | StoredKeys]) -> int:
        """How many units the day has: those of the batch's hours, and the stored ones of all others."""
        stored = self.request.base[table.name]
        others = [
            StoredKeys(stored, file, [hour for hour in hours_of(file) if hour in own or hour.date() != self.day])
            for file in self._files(table)
            if not set(own).issuperset(hours_of(file))
        ]
        return unit_keys.count([*new, *others])

    def _other_events(self, own: Collection[datetime]) -> int:
        """The events of the day's stored hours but for the batch's."""
        stored = self.request.base[PRODUCT_HOURLY.name]
        found = []
        for file in self._files(PRODUCT_HOURLY):
            if not set(own).issuperset(hours_of(file)):
                rows = _read(stored, file, ["event_hour", "events"])
                ours = [hour for hour in hours_of(file) if hour.date() == self.day and hour not in own]
                found.append(rows.filter(parquet.among(rows.column("event_hour"), ours)))
        return _events(found)

    def _files(self, table: Table) -> tuple[DataFile, ...]:
        start = datetime(self.day.year, self.day.month, self.day.day)  # noqa: DTZ001 - times of the lake are UTC
        return self.request.base[table.name].within(start, start + _ONE_DAY)


def _events(parts: Any) -> int:
    return sum(pc.sum(rows.column("events")).as_py() or 0 for rows in parts)


def _stored_products(stored: TableSnapshot, hours: Collection[datetime]) -> dict[datetime, pa.Table]:
    """The stored rows of some hours, by hour."""
    found: dict[datetime, pa.Table] = {}
    files = {file.path: file for hour in hours for file in stored.within(hour, hour)}
    for file in files.values():
        rows = _read(stored, file, PRODUCT_HOURLY.column_names)
        for hour in set(hours_of(file)) & set(hours):
            part = rows.filter(pc.equal(rows.column("event_hour"), pa.scalar(hour, pa.timestamp("us"))))
            if part.num_rows:
                found[hour] = pa.concat_tables([found[hour], part]) if hour in found else part
    return found


def _read(stored: TableSnapshot, file: DataFile, names: Sequence[str]) -> pa.Table:
    with parquet.reading(file.path):
        return parquet.read(stored.table, stored.storage.read(file.path), names)


def _plain(rows: pa.Table) -> pa.Table:
    return rows.cast(arrow_schema(PRODUCT_HOURLY).remove_metadata())
