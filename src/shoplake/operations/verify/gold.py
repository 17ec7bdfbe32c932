"""Gold and answers: the stored tables against the same recomputed from events, by independently written SQL."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from shoplake import queries
from shoplake.lake.snapshots import DataFile
from shoplake.operations.verify.files import Inventory, hours_of
from shoplake.operations.verify.reader import Hours, Reader, iso
from shoplake.operations.verify.report import FIRST, REBUILD, Audit
from shoplake.tables import ACTIVITY_DAILY, EVENTS, GOLD_HOURLY, PRODUCT_HOURLY, Table

_KEYS = {
    "product_hourly": ("product_id", "category"),
    "user_hourly": ("user_id",),
    "session_hourly": ("session_id",),
    "activity_daily": ("event_date",),
}
_RESTORE_EVENTS = "Restore the events first, as described above; that rebuilds it."
_Row = tuple[Any, ...]


class Gold:
    """Compares the gold tables, hour by hour and day by day."""

    def __init__(self, reader: Reader, inventory: Inventory, hours: Hours) -> None:
        """Prepare one audit for each table, and one for the answers."""
        self.hourly = {table.name: Audit(table.name, "gold = recomputed from events", "hours") for table in GOLD_HOURLY}
        self.daily = Audit(ACTIVITY_DAILY.name, "gold = recomputed from events", "days")
        self.answers = Audit("answers", "answers from gold = from events", "answers")
        self._reader, self._inventory, self._hours = reader, inventory, hours

    # -------------------------------------------------------------------------------------------------------------- hours

    def look_at_hour(self, table: Table, hour: datetime, events: Sequence[DataFile]) -> None:
        """Compare the rows of an hour in one table.

        Args:
            table: An hourly table.
            hour: The hour.
            events: All data files of its events that can be read.
        """
        audit = self.hourly[table.name]
        if self._broken(table, hour):
            remedy = _RESTORE_EVENTS if hour in self._hours.lacking else REBUILD
            message = f"{table.name} of {iso(hour)} cannot be read"
            audit.differs("gold_unreadable", iso(hour), message, remedy, table=table.name, hour=hour)
        elif hour in self._hours.lacking:
            audit.skipped += 1
            return
        else:
            self._compare(table, hour, events)
        audit.checked += 1

    def _broken(self, table: Table, hour: datetime) -> bool:
        return any(hour in hours_of(file, "event_hour") for file in self._inventory.broken(table))

    def _compare(self, table: Table, hour: datetime, events: Sequence[DataFile]) -> None:
        columns, keys = ", ".join(table.column_names), ", ".join(_KEYS[table.name])
        stored = self._reader.relation(table, self._hours.gold[table.name].get(hour, []))
        self._reader.view("events", EVENTS, events)
        self._reader.rows(f"SET VARIABLE hour = TIMESTAMP '{hour.isoformat()}'")
        self._reader.rows(f"CREATE OR REPLACE TEMP TABLE expected AS {queries.sql(f'oracle_{table.name}')}")
        self._reader.rows(
            f"CREATE OR REPLACE TEMP TABLE stored AS SELECT {columns} FROM {stored}"
            " WHERE date_trunc('hour', event_hour) = getvariable('hour')"
        )
        self._reader.rows(
            "CREATE OR REPLACE TEMP TABLE differing AS"
            f" SELECT 'expected' AS side, * FROM (SELECT {columns} FROM expected EXCEPT ALL SELECT {columns} FROM stored)"
            " UNION ALL"
            f" SELECT 'found', * FROM (SELECT {columns} FROM stored EXCEPT ALL SELECT {columns} FROM expected)"
        )
        rows = self._reader.rows(f"SELECT count(*) FROM (SELECT DISTINCT {keys} FROM differing)")[0][0]
        if not rows:
            return
        listed = self._reader.rows(f"SELECT side, {columns} FROM differing ORDER BY {keys}, side LIMIT {2 * FIRST}")
        first = _side_by_side(listed, table)[:FIRST]
        there, due = self._reader.rows("SELECT (SELECT count(*) FROM stored), (SELECT count(*) FROM expected)")[0]
        self.hourly[table.name].differs(
            "gold",
            iso(hour),
            f"{table.name} of {iso(hour)}: {rows:,} {'row differs' if rows == 1 else 'rows differ'} from events"
            f" ({there:,} there, {due:,} expected); first: {_in_words(first[0])}",
            REBUILD,
            table=table.name,
            hour=hour,
            rows=rows,
            first=first,
        )

    # --------------------------------------------------------------------------------------------------------------- days

    def days(self) -> list[date]:
        """Every day that events or gold have rows of."""
        relation = self._reader.relation(ACTIVITY_DAILY, self._inventory.usable(ACTIVITY_DAILY))
        stored = {row[0] for row in self._reader.rows(f"SELECT DISTINCT event_date FROM {relation}")}
        return sorted({*stored, *self._broken_days(), *(hour.date() for hour in self._hours.all)})

    def skip_day(self) -> None:
        """Count a day that is not examined."""
        self.daily.skipped += 1
        self.answers.skipped += len(queries.five())

    def look_at_day(self, day: date, files: Sequence[DataFile]) -> None:
        """Compare the row and the five answers of a day.

        Args:
            day: The day.
            files: All data files of its events.
        """
        self._view("events", EVENTS, files, day)
        expected = {query.name: self._reader.rows(query.sql) for query in queries.oracle()}
        gold = {
            file.path: file
            for hour, of_hour in self._hours.gold[PRODUCT_HOURLY.name].items()
            if hour.date() == day
            for file in of_hour
        }
        self._view("product_hourly", PRODUCT_HOURLY, list(gold.values()), day)
        broken = day in self._broken_days()
        if broken:
            message = f"activity_daily of {day} cannot be read"
            self.daily.differs("gold_unreadable", str(day), message, REBUILD, table=ACTIVITY_DAILY.name, day=day)
        else:
            usable = self._inventory.usable(ACTIVITY_DAILY)
            self._reader.view("activity_daily", ACTIVITY_DAILY, usable, f"event_date = DATE '{day}'")
            self._compare_day(day, expected["user_activity"])
        self.daily.checked += 1
        for query in queries.five():
            if broken and query.name == "user_activity":
                self.answers.skipped += 1
                continue
            self.answers.checked += 1
            self._compare_answer(day, query.name, self._reader.rows(query.sql), expected[query.name])

    def _broken_days(self) -> set[date]:
        return {day for file in self._inventory.broken(ACTIVITY_DAILY) for day in days_of(file)}

    def _view(self, name: str, table: Table, files: Sequence[DataFile], day: date) -> None:
        column = table.partition[0]
        inside = f"{column} >= TIMESTAMP '{day}' AND {column} < TIMESTAMP '{day}' + INTERVAL 1 DAY"
        self._reader.view(name, table, files, inside)

    def _compare_day(self, day: date, expected: list[_Row]) -> None:
        found = self._reader.rows(f"SELECT {', '.join(ACTIVITY_DAILY.column_names)} FROM activity_daily")
        if found == expected:
            return
        sides = [("expected", *row) for row in expected] + [("found", *row) for row in found]
        first = _side_by_side(sides, ACTIVITY_DAILY)
        message = f"activity_daily of {day}: {_in_words(first[0])}"
        if len(found) > 1:
            message = f"activity_daily has {len(found)} rows of {day} instead of one"
        self.daily.differs("gold", str(day), message, REBUILD, table=ACTIVITY_DAILY.name, day=day, first=first)

    def _compare_answer(self, day: date, name: str, found: list[_Row], expected: list[_Row]) -> None:
        if found == expected:
            return
        pairs = zip([*found, None], [*expected, None], strict=False)
        here, due = next((have, want) for have, want in pairs if have != want)
        message = f"{name} of {day}, first row that differs: {_plain(here)} from gold, {_plain(due)} from events"
        more = {"question": name, "day": day, "rows": len(found), "expected": len(expected)}
        self.answers.differs("answer", f"{name} {day}", message, REBUILD, **more)


def days_of(file: DataFile) -> Iterator[date]:
    """The days that a data file of the daily table spans."""
    day = file.lower["event_date"]
    while day <= file.upper["event_date"]:
        yield day
        day += timedelta(days=1)


def _side_by_side(rows: Sequence[_Row], table: Table) -> list[dict[str, Any]]:
    """Rows of both sides by key: only the columns that differ, None for a side without a row."""
    keys = _KEYS[table.name]
    pairs: dict[_Row, dict[str, dict[str, Any]]] = {}
    for side, *values in rows:
        row = dict(zip(table.column_names, values, strict=True))
        pairs.setdefault(tuple(row[name] for name in keys), {})[side] = row
    found = []
    for key, sides in pairs.items():
        expected, there = sides.get("expected"), sides.get("found")
        if expected and there:
            names = [name for name in table.column_names if expected[name] != there[name]]
            expected, there = ({name: row[name] for name in names} for row in (expected, there))
        found.append({"key": dict(zip(keys, key, strict=True)), "expected": expected, "found": there})
    return found


def _in_words(pair: dict[str, Any]) -> str:
    key = ", ".join(f"{name} {value}" for name, value in pair["key"].items())
    if pair["found"] is None:
        return f"{key} is missing"
    if pair["expected"] is None:
        return f"{key} should not be there"
    figures = ", ".join(f"{name} {value} instead of {pair['expected'][name]}" for name, value in pair["found"].items())
    return f"{key}: {figures}"


def _plain(row: _Row | None) -> str:
    return "nothing" if row is None else ", ".join(str(value) for value in row)
