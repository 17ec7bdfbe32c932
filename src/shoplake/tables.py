"""Every table of a lake, declared once: columns, grain and partitioning.

Iceberg schemas, Parquet schemas, the views of :func:`shoplake.open` and the data dictionary derive from here.
"""

from __future__ import annotations

from dataclasses import dataclass

from shoplake.contract import FIELDS

MONEY = "decimal(38,2)"


@dataclass(frozen=True)
class Column:
    """One column: ``type`` is string, int, long, double, timestamp (UTC, microseconds), date, decimal(p,s) or list<string>."""

    name: str
    type: str
    doc: str


@dataclass(frozen=True)
class Table:
    """One table.

    Attributes:
        name: Its name in the lake's namespace.
        grain: What one row is.
        columns: In order; an Iceberg field id is the position, counted from 1.
        partition: The partitioned column and its transform (hour, day or month).
        key: The column by whose values rows are replaced as a whole (a source file, an hour, a day).
        identity: The columns whose values no two rows share, NULL taken for a value.
        sort: Order of the rows inside a data file, for small files and selective reads; empty keeps the order of arrival.
        merged_sort: Order of the rows inside a file that maintenance merged.
        unit: The column of the users or sessions whose distinct values ``activity_daily`` counts, for a table of these. An
            hour of such a table may lie in several data files, its parts (see :mod:`shoplake.lake.parts`).
    """

    name: str
    grain: str
    columns: tuple[Column, ...]
    partition: tuple[str, str]
    key: str
    identity: tuple[str, ...]
    sort: tuple[str, ...] = ()
    merged_sort: tuple[str, ...] = ()
    unit: str | None = None

    @property
    def column_names(self) -> tuple[str, ...]:
        """The names of the columns, in order."""
        return tuple(column.name for column in self.columns)


_HOUR = Column("event_hour", "timestamp", "Start of the hour of the events, UTC.")
_COUNTS = (
    Column("page_views", "long", "Events of type page_view."),
    Column("add_to_carts", "long", "Events of type add_to_cart."),
    Column("removes_from_cart", "long", "Events of type remove_from_cart."),
    Column("purchases", "long", "Events of type purchase."),
)
_SEARCHES = Column("searches", "long", "Events of type search.")
_REVENUE = Column("revenue", MONEY, "Sum of quantity x price over the purchases, exact.")
_EVENTS = Column("events", "long", "All events.")


def _session(where: str = "") -> tuple[Column, ...]:
    """What is known of a session, in an hour or over all of them."""
    return (
        Column("session_id", "string", "The session."),
        Column("user_id", "string", "Its user (of several, the first by name)."),
        Column("first_event_time", "timestamp", f"Its earliest event{where}, UTC."),
        Column("last_event_time", "timestamp", f"Its latest event{where}, UTC."),
        *_COUNTS,
        _SEARCHES,
        _EVENTS,
        _REVENUE,
    )


EVENTS = Table(
    "events",
    "one accepted event",
    (
        *(Column(field.column, field.type, f"{field.name} of the line: {field.rule}.") for field in FIELDS),
        Column("source_file", "string", "The source file that the event came in (of several, the first by name)."),
        Column("extra", "string", "Keys of the line that the contract does not know, as a JSON object; NULL for none."),
    ),
    ("event_time", "hour"),
    "source_file",
    tuple(field.column for field in FIELDS),
    merged_sort=("event_type", "event_time"),
)
QUARANTINE = Table(
    "quarantine",
    "one quarantined line",
    (
        Column("source_file", "string", "The source file of the line."),
        Column("line_number", "long", "Number of the line in its file, from 1, blank lines counted."),
        Column("raw", "string", "The line exactly as it came, in the given encoding."),
        Column("encoding", "string", "utf-8, or base64 where the bytes are not UTF-8."),
        Column("reasons", "list<string>", "Every rule of the contract that the line breaks."),
        Column("arrived_at", "timestamp", "When this version of its file was first ingested, UTC; a replay keeps it."),
        Column("batch", "string", "The batch that judged the line."),
    ),
    ("arrived_at", "day"),
    "source_file",
    ("source_file", "line_number"),
    merged_sort=("source_file", "line_number"),
)
LEDGER = Table(
    "ledger",
    "the ingested version of one source file",
    (
        Column("source_file", "string", "Path of the file below the source."),
        Column("version", "string", "Which version of it: size and modification time, or the storage's etag."),
        Column("bytes", "long", "Its size, compressed."),
        Column(
            "status",
            "string",
            "ingested, unreadable, or to be ingested again by the next batch: reopened, rewritten.",
        ),
        Column("error", "string", "Why an unreadable file could not be read."),
        Column("lines", "long", "Its lines that are not blank = accepted + duplicates + quarantined + erased."),
        Column("accepted", "long", "Its lines that are rows of events."),
        Column("duplicates", "long", "Its lines that are equal to an event counted already."),
        Column("quarantined", "long", "Its lines that are rows of quarantine."),
        Column("erased", "long", "Its lines about erased people, of which the lake keeps nothing else."),
        Column(
            "unknown_keys",
            "string",
            "Keys that the contract does not know, each with its lines, as a JSON object; beyond 500 (other keys).",
        ),
        Column("duplicates_of", "list<string>", "The other source files that hold the events of its duplicates."),
        Column("min_event_time", "timestamp", "Its earliest accepted event, UTC."),
        Column("max_event_time", "timestamp", "Its latest accepted event, UTC."),
        Column("arrived_at", "timestamp", "When this version of it was first ingested, UTC; a replay keeps it."),
        Column("batch", "string", "The batch that took it on."),
        Column("engine", "string", "The engine that computed it."),
        Column("seconds", "double", "Seconds of work that reading and checking it took."),
    ),
    ("arrived_at", "month"),
    "source_file",
    ("source_file",),
    merged_sort=("source_file",),
)
ERASURES = Table(
    "erasures",
    "one erased person",
    (
        Column("user_hash", "string", "HMAC-SHA256 of the user_id, with the salt as its key, in hexadecimal digits."),
        Column("salt", "string", "Random bytes in hexadecimal digits, the same in all rows of a lake."),
        Column("erased_at", "timestamp", "When the person was first erased, UTC."),
        Column("request", "string", "The id of that request, as in its receipt."),
    ),
    ("erased_at", "month"),
    "user_hash",
    ("user_hash",),
    merged_sort=("user_hash",),
)
PRODUCT_HOURLY = Table(
    "product_hourly",
    "hour x product x category (searches have neither)",
    (
        _HOUR,
        Column("product_id", "string", "The product; NULL for searches."),
        Column("category", "string", "The category as the events name it; NULL for searches."),
        *_COUNTS,
        Column("units_sold", "long", "Sum of the quantity of the purchases."),
        _REVENUE,
        _SEARCHES,
        _EVENTS,
    ),
    ("event_hour", "day"),
    "event_hour",
    ("event_hour", "product_id", "category"),
    ("product_id", "category"),
    ("product_id", "category", "event_hour"),
)
USER_HOURLY = Table(
    "user_hourly",
    "hour x user",
    (_HOUR, Column("user_id", "string", "The user."), *_COUNTS, _SEARCHES, _EVENTS, _REVENUE),
    ("event_hour", "day"),
    "event_hour",
    ("event_hour", "user_id"),
    ("user_id",),
    ("user_id", "event_hour"),
    unit="user_id",
)
SESSION_HOURLY = Table(
    "session_hourly",
    "hour x session",
    (
        _HOUR,
        *_session(" in the hour"),
    ),
    ("event_hour", "day"),
    "event_hour",
    ("event_hour", "session_id"),
    ("session_id",),
    ("session_id", "event_hour"),
    unit="session_id",
)
ACTIVITY_DAILY = Table(
    "activity_daily",
    "day",
    (
        Column("event_date", "date", "The day, UTC."),
        Column("unique_users", "long", "Distinct users of the day, exact."),
        Column("unique_sessions", "long", "Distinct sessions of the day, exact."),
        _EVENTS,
    ),
    ("event_date", "month"),
    "event_date",
    ("event_date",),
    merged_sort=("event_date",),
)

SESSIONS = Table(
    "sessions",
    "session",
    _session(),
    ("first_event_time", "day"),
    "session_id",
    ("session_id",),
)

GOLD_HOURLY = (PRODUCT_HOURLY, USER_HOURLY, SESSION_HOURLY)
UNIT_TABLES = (USER_HOURLY, SESSION_HOURLY)
TABLES = (EVENTS, QUARANTINE, *GOLD_HOURLY, ACTIVITY_DAILY, LEDGER, ERASURES)
VIEWS = (SESSIONS,)
"""What is read like a table and computed from others, by ``sql/view_NAME.sql``; no lake stores it."""
BY_NAME = {table.name: table for table in TABLES}


@dataclass(frozen=True)
class Join:
    """How two tables join: every row of the first has exactly one row of the second.

    Attributes:
        many: The first table.
        one: The second.
        condition: SQL, with the names of the tables; NULL equals NULL where it says IS NOT DISTINCT FROM.
        on: The same in the words of a diagram.
    """

    many: Table
    one: Table
    condition: str
    on: str


def _hour_of_events(table: Table, *columns: str) -> Join:
    equal = "=" if table.unit else "IS NOT DISTINCT FROM"  # searches have neither product nor category
    same = [f"events.{column} {equal} {table.name}.{column}" for column in columns]
    hour = f"date_trunc('hour', events.event_time) = {table.name}.event_hour"
    return Join(EVENTS, table, " AND ".join((hour, *same)), ", ".join(("hour", *columns)))


JOINS = (
    Join(EVENTS, LEDGER, "events.source_file = ledger.source_file", "source_file"),
    Join(QUARANTINE, LEDGER, "quarantine.source_file = ledger.source_file", "source_file"),
    _hour_of_events(PRODUCT_HOURLY, "product_id", "category"),
    _hour_of_events(USER_HOURLY, "user_id"),
    _hour_of_events(SESSION_HOURLY, "session_id"),
    Join(SESSION_HOURLY, SESSIONS, "session_hourly.session_id = sessions.session_id", "session_id"),
    Join(USER_HOURLY, ACTIVITY_DAILY, "CAST(user_hourly.event_hour AS DATE) = activity_daily.event_date", "day"),
)
