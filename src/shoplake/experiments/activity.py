"""What the units of an experiment did: one row a unit, added up by DuckDB, for all metrics at once.

The hourly tables answer whole hours. Where an exposure falls into an hour, or the question is about a category, the events
themselves are asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Self

from shoplake.errors import UsageError
from shoplake.experiments.assignment import TABLE, Listed, quoted
from shoplake.experiments.metrics import Metric
from shoplake.experiments.totals import Rows, add_up
from shoplake.experiments.window import Window
from shoplake.lake import parquet
from shoplake.lake.reader import OpenLake
from shoplake.tables import ACTIVITY_DAILY

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]

# The totals of a unit, and what each event adds to them.
_OF_AN_EVENT = {
    "page_views": "CAST(event_type = 'page_view' AS BIGINT)",
    "add_to_carts": "CAST(event_type = 'add_to_cart' AS BIGINT)",
    "removes_from_cart": "CAST(event_type = 'remove_from_cart' AS BIGINT)",
    "purchases": "CAST(event_type = 'purchase' AS BIGINT)",
    "searches": "CAST(event_type = 'search' AS BIGINT)",
    "events": "1",
    "revenue": "CASE WHEN event_type = 'purchase' THEN quantity * CAST(price AS DECIMAL(22, 2)) ELSE 0 END",
}
_SUMS = ", ".join(f"sum({name}) AS {name}" for name in _OF_AN_EVENT)
_REPEATED = "sessions_of_several_hours"
_ADDED_UP = "added_up"
FEWEST_UNITS = 4_000_000
"""DuckDB adds up 18 million rows of 1.3 million users in 7 CPU seconds, where this takes 18; of 12 million, 30 and 14."""
ROWS_AT_ONCE = 3_000_000
_MOST_ROWS = 50_000_000  # about 4.5 GB; DuckDB can use the disk
_MOST_HASHES = 250_000_000  # 2 GB


@dataclass(frozen=True)
class Activity:
    """Which activity counts.

    Attributes:
        unit: user or session.
        position: SQL for the position of a unit's variant; of units of a list, the column of the list.
        window: When.
        listed: The list of units, if there is one.
        within: How long after its exposure a unit's activity counts.
        category: Only events of this category.
        complete_by: Units whose time ``within`` is not over by then are left out.
    """

    unit: str
    position: str
    window: Window
    listed: Listed | None
    within: timedelta | None
    complete_by: datetime
    category: str | None = None

    @property
    def exposed(self) -> bool:
        """Whether the activity of each unit counts from its own exposure on."""
        return self.listed is not None and self.listed.exposed

    def during(self, window: Window) -> Self:
        """The same in another time."""
        return replace(self, window=window)

    def earlier(self, length: timedelta) -> Self:
        """What everybody did in a time before the window."""
        listed = self.listed and Listed(exposed=False, in_hours=True)
        return replace(self, window=self.window.before(length), listed=listed, within=None)


@dataclass(frozen=True)
class Values:
    """The numerators and denominators of all metrics, one value a unit, and each unit's variant by its position."""

    variants: NDArray[np.int64]
    pairs: tuple[tuple[Numbers, Numbers], ...]


def read(opened: OpenLake, activity: Activity, metrics: Sequence[Metric], earlier: Activity | None = None) -> Values:
    """The values of all units, ordered by the units' names so that the same lake gives the same digits.

    Args:
        opened: The lake.
        activity: Which units there are, and what counts.
        metrics: The metrics.
        earlier: Read what the same units did at that time instead; a unit that did nothing has zeros.

    Raises:
        UsageError: A metric is not valid SQL, or not a finite number.
    """
    import duckdb
    import pyarrow as pa

    sides = list(dict.fromkeys(side for metric in metrics for side in _sides(metric)))
    asked = ", ".join(("variant", *(f"{side} AS side{position}" for position, side in enumerate(sides))))
    added = _added_up(opened, activity, metrics, earlier)
    rows = added or f"{_grouped(opened, activity, metrics, earlier)} ORDER BY unit"
    try:
        with opened.reading():
            found = opened.sql(f"SELECT {asked} FROM ({rows})").to_arrow_table()
    except duckdb.Error as error:
        raise UsageError(
            f"a metric is not valid SQL over the totals of a unit: {error}", remedy="See help(Metric)."
        ) from error
    finally:
        if added:
            opened.register(_ADDED_UP, pa.table({"unit": []}))
    return _finite(found, metrics, sides)


def _added_up(opened: OpenLake, activity: Activity, metrics: Sequence[Metric], earlier: Activity | None) -> str | None:
    """What :func:`_grouped` gives, ordered by the units, from totals added up in memory; None where DuckDB does it as well."""
    counted, unit = replace(earlier or activity, listed=None), activity.unit
    if activity.exposed or activity.category is not None:
        return None
    used = {name for metric in metrics for name in (*_OF_AN_EVENT, "sessions") if metric.uses(name)}
    sessions = unit == "user" and "sessions" in used
    tables = {unit, "session"} if sessions else {unit}
    rows = max(_most_rows(opened, table, each.window) for table in tables for each in (counted, activity))
    if not 0 < rows <= _MOST_ROWS:
        return None
    if (count_units(opened, activity) if activity.listed else _of_a_day(opened, activity)) < FEWEST_UNITS:
        return None
    names = [name for name in _OF_AN_EVENT if name in used or (name == "events" and unit == "session")]
    parts = [counted.during(part) for part in counted.window.parts(-(-rows // ROWS_AT_ONCE))]
    asked = Rows(
        [_rows(part, unit, names) for part in parts],
        [
            f"SELECT hash(unit) AS unit, session_id FROM ({_rows(part, 'session', ('session_id',))})"
            for part in parts
            if sessions
        ],
        [_units(activity)] if activity.listed else [_rows(activity, unit, ())] if earlier else [],
        "" if activity.listed else activity.position,
    )
    added = add_up(opened, asked, opened.view[f"{unit}_hourly"].uuid)
    if added is None:
        return None
    opened.register(_ADDED_UP, added)
    columns = [f"CAST({name} AS HUGEINT) AS {name}" for name in names if name != "revenue"]
    columns += [name for name in ("revenue", "sessions") if name in added.column_names]
    if unit == "session":
        columns.append("CAST(events > 0 AS BIGINT) AS sessions")
    return f"SELECT {', '.join(('variant', *columns))} FROM {_ADDED_UP}"


def _of_a_day(opened: OpenLake, activity: Activity) -> int:
    """How many units there are in the one day of a time that has most of them."""
    stored = opened.view[ACTIVITY_DAILY.name]
    files = stored.within(activity.window.start.date(), activity.window.end.date())
    contents, column = [stored.storage.read(file.path) for file in files], f"unique_{activity.unit}s"
    return max((*parquet.read_together(ACTIVITY_DAILY, contents, [column]).column(0).to_pylist(), 0)) if files else 0


def _most_rows(opened: OpenLake, table: str, window: Window) -> int:
    """The rows of the files of an hourly table that may have some of a time."""
    return sum(file.rows for file in opened.view[f"{table}_hourly"].within(window.start, window.end))


def _grouped(opened: OpenLake, activity: Activity, metrics: Sequence[Metric], earlier: Activity | None) -> str:
    """The units with their variants and totals, as rows of SQL."""
    names = (*_OF_AN_EVENT, "sessions")
    totals = _totals(opened, earlier or activity, sessions=any(metric.uses("sessions") for metric in metrics))
    if earlier is None and activity.listed is None and activity.category is None:
        return f"SELECT unit, {activity.position} AS variant, {', '.join(names)} FROM ({totals})"
    filled = ", ".join(f"coalesce({name}, 0) AS {name}" for name in names)
    return f"SELECT unit, variant, {filled} FROM ({_units(activity)}) LEFT JOIN ({totals}) USING (unit)"


def _sides(metric: Metric) -> list[str]:
    """What has to be computed of each unit: the numerator, and the denominator unless it is 1."""
    return [_number(text, metric) for text in (metric.numerator, metric.denominator)][: 1 + (metric.denominator != "1")]


def _number(text: str, metric: Metric) -> str:
    """A side of a metric as a double; NULL is 0, but a unit without a value is left out of a quantile."""
    missing = "0" if metric.quantile is None else "'nan'::DOUBLE"
    return f"coalesce(CAST(({text}) AS DOUBLE), {missing})"


def _finite(found: pa.Table, metrics: Sequence[Metric], sides: Sequence[str]) -> Values:
    import numpy as np

    columns = {side: found.column(f"side{position}").to_numpy() for position, side in enumerate(sides)}
    one = np.broadcast_to(np.float64(1), found.num_rows)
    pairs = []
    for metric in metrics:
        above, *below = (columns[side] for side in _sides(metric))
        pair = above, below[0] if below else one
        refused = np.isinf if metric.quantile is not None else lambda side: ~np.isfinite(side)
        if bad := sum(int(refused(side).sum()) for side in pair):
            raise UsageError(
                f"metric {metric.name} is not a finite number for {bad:,} of {len(found['variant']):,} units:"
                f" {metric.numerator} / {metric.denominator}",
                remedy='A ratio is given by its two sums: Metric("basket", "revenue", "purchases"), not "revenue / purchases".',
            )
        pairs.append(pair)
    return Values(found.column("variant").to_numpy().astype("int64"), tuple(pairs))


def count_units(opened: OpenLake, activity: Activity) -> int:
    """How many units there are."""
    return int(opened.sql(f"SELECT count(*) FROM ({_units(activity)})").fetchall()[0][0])


def anyone_active(opened: OpenLake, unit: str, window: Window) -> bool:
    """Whether a unit of the list was active in a time, exposed or not."""
    rows = f"SELECT 1 FROM {unit}_hourly JOIN {TABLE} ON {unit}_id = unit WHERE {_hours(window)} LIMIT 1"
    return bool(opened.sql(rows).fetchall())


def categories(opened: OpenLake, window: Window, most: int) -> list[str]:
    """The categories with the most events in a time, by name."""
    found = opened.sql(
        f"SELECT category FROM product_hourly WHERE {_hours(window)} AND category IS NOT NULL"
        f" GROUP BY category ORDER BY sum(events) DESC, category LIMIT {most}"
    ).fetchall()
    return sorted(row[0] for row in found)


def _units(activity: Activity) -> str:
    """The units and their variants as rows of SQL."""
    if activity.exposed:
        return f"SELECT unit, variant FROM ({_exposures(activity)})"
    if activity.listed:
        return f"SELECT unit, variant FROM {TABLE}"
    table, key = f"{activity.unit}_hourly", f"{activity.unit}_id"
    return (
        f"SELECT unit, {activity.position} AS variant"
        f" FROM (SELECT DISTINCT {key} AS unit FROM {table} WHERE {_hours(activity.window)})"
    )


def _totals(opened: OpenLake, activity: Activity, *, sessions: bool) -> str:
    """The totals of the units that were active, as rows of SQL with the columns unit, sessions and all counts."""
    if activity.category is not None:
        rows = _events(activity, ("session_id", *_OF_AN_EVENT), f"category = {quoted(activity.category)}")
        return f"SELECT unit, {_SUMS}, count(DISTINCT session_id) AS sessions FROM ({rows}) GROUP BY unit"
    sums = f"SELECT unit, {_SUMS} FROM ({_rows(activity, activity.unit, tuple(_OF_AN_EVENT))}) GROUP BY unit"
    if activity.unit == "session":
        return f"SELECT *, CAST(events > 0 AS BIGINT) AS sessions FROM ({sums})"
    if not sessions:
        return f"SELECT *, 0 AS sessions FROM ({sums})"
    return f"SELECT * FROM ({sums}) LEFT JOIN ({_sessions(opened, activity)}) USING (unit)"


def _rows(activity: Activity, grain: str, columns: Sequence[str]) -> str:
    """Rows of an hourly table; of the hours that count in part for a unit, the events that count."""
    key, hours = f"{activity.unit}_id", _hours(activity.window)
    names = ", ".join(columns)
    if not activity.exposed:
        rows = f"SELECT {', '.join((f'{key} AS unit', *columns))} FROM {grain}_hourly WHERE {hours}"
        return f"{rows} AND {key} IN (SELECT unit FROM {TABLE})" if activity.listed else rows
    rows = (
        f"SELECT unit, {names} FROM {grain}_hourly JOIN ({_exposures(activity)}) ON {key} = unit"
        f" WHERE {hours} AND event_hour >= since AND event_hour + INTERVAL 1 HOUR <= until"
    )
    if activity.listed and activity.listed.in_hours:
        return rows
    hour = "date_trunc('hour', event_time)"
    return f"{rows} UNION ALL {_events(activity, columns, f'({hour} < since OR {hour} + INTERVAL 1 HOUR > until)')}"


def _events(activity: Activity, columns: Sequence[str], condition: str) -> str:
    """Rows of single events, with what each adds to the totals."""
    key, window = f"{activity.unit}_id", activity.window
    names = ", ".join(f"{_OF_AN_EVENT[name]} AS {name}" if name in _OF_AN_EVENT else name for name in columns)
    times = f"event_time >= TIMESTAMP '{window.start}' AND event_time < TIMESTAMP '{window.end}' AND {condition}"
    if not activity.exposed:
        return f"SELECT {key} AS unit, {names} FROM events WHERE {times}"
    return (
        f"SELECT unit, {names} FROM events JOIN ({_exposures(activity)}) ON {key} = unit"
        f" WHERE {times} AND event_time >= since AND event_time < until"
    )


def _exposures(activity: Activity) -> str:
    """The units that were exposed early enough, and from when until when the activity of each counts."""
    start, end = (f"TIMESTAMP '{moment}'" for moment in (activity.window.start, activity.window.end))
    until, complete = end, ""
    if activity.within is not None:
        over = f"exposed_at + INTERVAL {activity.within // timedelta(seconds=1)} SECOND"
        until, complete = f"least({end}, {over})", f" AND {over} <= TIMESTAMP '{activity.complete_by}'"
    times = f"greatest(exposed_at, {start}) AS since, {until} AS until"
    rows = f"SELECT unit, variant, {times} FROM {TABLE} WHERE exposed_at < {end}{complete}"
    return f"SELECT * FROM ({rows}) WHERE since < until"


def _sessions(opened: OpenLake, activity: Activity) -> str:
    """The number of distinct sessions of each user, as rows of SQL.

    Most sessions are over within an hour, and then a user's rows of ``session_hourly`` are its sessions: only the sessions of
    several hours, found by sorting hashes, are compared by their names. That takes a fifth of the time.
    """
    rows = _rows(activity, "session", ("session_id",))
    exact = f"SELECT unit, count(DISTINCT session_id) AS sessions FROM ({rows}) GROUP BY unit"
    if activity.exposed:
        return exact
    import numpy as np
    import pyarrow as pa

    hours = _hours(activity.window)
    [(most,)] = opened.sql(f"SELECT count(*) FROM session_hourly WHERE {hours}").fetchall()
    if most > _MOST_HASHES:
        return exact
    with opened.reading():
        hashes = opened.sql(f"SELECT hash(session_id) AS hash FROM session_hourly WHERE {hours}").fetchnumpy()["hash"]
    hashes.sort()
    repeated = np.unique(hashes[1:][hashes[1:] == hashes[:-1]])
    if not len(repeated):
        return f"SELECT unit, count(*) AS sessions FROM ({rows}) GROUP BY unit"
    if len(repeated) > most / 8:
        return exact
    opened.register(_REPEATED, pa.table({"hash": repeated}))
    again = f"hash(session_id) IN (SELECT hash FROM {_REPEATED})"
    return (
        "SELECT unit, CAST(sum(sessions) AS BIGINT) AS sessions FROM ("
        f"SELECT unit, count(*) AS sessions FROM ({rows}) WHERE NOT {again} GROUP BY unit UNION ALL"
        f" SELECT unit, count(DISTINCT session_id) FROM ({rows}) WHERE {again} GROUP BY unit) GROUP BY unit"
    )


def _hours(window: Window) -> str:
    return f"event_hour >= TIMESTAMP '{window.start}' AND event_hour < TIMESTAMP '{window.end}'"
