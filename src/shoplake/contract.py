"""The event contract: fields, rules and reason codes, declared once.

The SQL (``sql/check.sql``), the Parquet schema, the generator's tests and the reference page derive from this module. A line
is judged by its nine fields read as text; every rule is one SQL condition over those texts and their casts.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from shoplake.queries import sql

EVENT_TYPES = ("page_view", "add_to_cart", "remove_from_cart", "purchase", "search")
WITH_PRODUCT = ("page_view", "add_to_cart", "remove_from_cart", "purchase")
WITH_AMOUNT = ("add_to_cart", "remove_from_cart", "purchase")

MALFORMED = "malformed_json"
INVALID_UTF8 = "invalid_utf8"
FUTURE = "future_timestamp"
TOO_LONG = "line_too_long"
MAX_DEPTH = 100
_LAST = "TIMESTAMP '9999-12-31 23:59:59.999999'"


@dataclass(frozen=True)
class Field:
    """One field of an event.

    Attributes:
        name: The key in the JSON line.
        column: The column of the ``events`` table.
        type: The stored type.
        rule: What a value must be, in words: "price must be {rule}".
        present_for: The event types that carry it; for the others it must be null.
        cast: SQL that turns the text into the stored type, NULL where it cannot.
        fine: SQL that is true for a text that is present and meets the rule, or None where any text will do. ``{latest}``
            stands for the latest time that an event may have.
        code: Reason code of a text that is present and breaks the rule.
        sure: SQL that is true for a text that is fine and that a reader may take as it is; a line with another one is parsed
            with care. None where that is the same.
        nullable_text: Whether an empty text is a value (True) or counts as missing (False).
    """

    name: str
    column: str
    type: str
    rule: str
    present_for: tuple[str, ...] = EVENT_TYPES
    cast: str | None = None
    fine: str | None = None
    code: str | None = None
    sure: str | None = None
    nullable_text: bool = False

    @property
    def missing(self) -> str:
        """SQL that is true where no value is there."""
        return f"{self.name} IS NULL" if self.nullable_text else f"coalesce({self.name}, '') = ''"

    @property
    def present(self) -> str:
        """SQL that is true where a value is there."""
        return f"{self.name} IS NOT NULL" if self.nullable_text else f"{self.name} <> ''"


# An object or an array is no identifier; a text that looks like one is.
_FLAT = "coalesce(nested, '') NOT LIKE '% {0} %'"
# A text that looks like what the reader makes of a number (1.50 becomes 1.5) has to be read again. So has what may be an
# object or an array. Nearly every text starts with a letter.
_NUMBER_LIKE = r"'^(-.*|0|[0-9]+(\.[0-9]+(e[+-]?[0-9]+)?|e[+-]?[0-9]+))$'"
_SURE = (
    "CASE WHEN {0} >= chr(92) AND {0} < '{{' THEN TRUE WHEN {0} >= ':' AND {0} < '[' THEN TRUE WHEN {0} < '[' THEN"
    " {0} > '' AND NOT regexp_like({0}, " + _NUMBER_LIKE + ") ELSE {0} >= '|' END"
)
# The two forms that producers write are recognised without the regular expression, which costs twice the cast: what has
# their shape and can be cast is one, but for white space in place of the hour's first digit and the hour 24. Neither gives
# an hour of two digits. It is a CASE because engines evaluate every arm of an OR.
_PLAIN_HOUR = "CASE WHEN hour(event_time) >= 10 THEN TRUE ELSE substring(timestamp, 12, 2) BETWEEN '00' AND '23' END"
_ISO_8601 = (
    f"CASE WHEN timestamp LIKE '____-__-__T__:__:__.______+00:00' THEN {_PLAIN_HOUR}"
    f" WHEN timestamp LIKE '____-__-__T__:__:__.___Z' THEN {_PLAIN_HOUR} ELSE "
    r"regexp_like(timestamp, '^\d{4}-\d{2}-\d{2}T([01]\d|2[0-3]):\d{2}(:\d{2}(\.\d{1,9})?)?"
    r"(Z|[+-]([01]\d|2[0-3])(:?[0-5]\d)?)?$') END"
)
_PLAIN_NUMBER = r"regexp_like(price, '^(\d+(\.\d+)?|-0+(\.0+)?)$')"

FIELDS = (
    Field(
        "timestamp",
        "event_time",
        "timestamp",
        "an ISO 8601 time in the years 1970 to 9999 (UTC if it has no offset)",
        cast="make_timestamp(epoch_us(TRY_CAST(timestamp AS TIMESTAMPTZ)))",
        fine=f"event_time BETWEEN TIMESTAMP '1970-01-01 00:00:00' AND {{latest}} AND {_ISO_8601}",
        code="bad_timestamp",
    ),
    Field(
        "user_id",
        "user_id",
        "string",
        "non-empty text",
        fine=_FLAT.format("user_id"),
        sure=_SURE.format("user_id"),
        code="bad_user_id",
    ),
    Field(
        "session_id",
        "session_id",
        "string",
        "non-empty text",
        fine=_FLAT.format("session_id"),
        sure=_SURE.format("session_id"),
        code="bad_session_id",
    ),
    Field(
        "event_type",
        "event_type",
        "string",
        "one of " + ", ".join(EVENT_TYPES),
        fine="event_type IN (" + ", ".join(f"'{name}'" for name in EVENT_TYPES) + ")",
        code="unknown_event_type",
    ),
    Field(
        "product_id",
        "product_id",
        "string",
        "non-empty text",
        WITH_PRODUCT,
        fine=_FLAT.format("product_id"),
        sure=_SURE.format("product_id"),
        code="bad_product_id",
    ),
    Field(
        "category",
        "category",
        "string",
        "non-empty text",
        WITH_PRODUCT,
        fine=_FLAT.format("category"),
        sure=_SURE.format("category"),
        code="bad_category",
    ),
    Field(
        "quantity",
        "quantity",
        "int",
        "a whole number of at least 1",
        WITH_AMOUNT,
        cast="TRY_CAST(quantity AS INTEGER)",
        fine="quantity_value >= 1 AND CAST(quantity_value AS VARCHAR) = quantity",
        code="bad_quantity",
    ),
    Field(
        "price",
        "price",
        "decimal(12,2)",
        "a number from 0 to 9999999999.99 (rounded to cents)",
        WITH_AMOUNT,
        cast="TRY_CAST(price AS DECIMAL(12, 2))",
        # The cast allows more than JSON does in texts, and is wrong about some exponents, which parse_line writes out. A
        # negative price that rounds to zero is still negative.
        fine=f"price_value >= 0 AND {_PLAIN_NUMBER}",
        sure=f"CASE WHEN price_value > 0 THEN TRUE ELSE price_value = 0 AND {_PLAIN_NUMBER} END",
        code="bad_price",
    ),
    Field(
        "search_query",
        "search_query",
        "string",
        "text, possibly empty",
        ("search",),
        sure="search_query = '' OR " + _SURE.format("search_query"),
        nullable_text=True,
    ),
)
DETAILS = (
    (
        "An identifier may be any text that is not empty, a single space included; a number or `true` is the text that it is"
        " written as. An object or an array is not an identifier."
    ),
    (
        "A time has the extended form of ISO 8601, with `T`, and `Z` or an offset in capitals and digits: no basic form"
        " (`20251118T142345Z`), no `t` or `z`, no decimal comma, no second 60 and no hour 24."
    ),
    (
        "Digits of a second beyond the sixth are dropped. Events that differ in them alone are equal, so the later one is a"
        " duplicate."
    ),
    (
        "A file is one gzip stream, or several in a row. One that is gzipped twice, or goes on with other bytes, is set aside"
        " as a whole: what it says cannot be trusted to be what was meant."
    ),
)
"""What the rules leave open to a reader, decided; each is pinned by tests/behaviour/test_details.py."""
FIELD_NAMES = tuple(field.name for field in FIELDS)
EVENT_COLUMNS = tuple(field.column for field in FIELDS)


@dataclass(frozen=True)
class Rule:
    """One way in which a line can break the contract.

    Attributes:
        code: The stable reason code stored in ``quarantine.reasons``.
        meaning: What is wrong with the line, in words.
        broken_when: SQL over the checked columns, true for a line that breaks the rule.
    """

    code: str
    meaning: str
    broken_when: str


def _rules() -> tuple[Rule, ...]:
    rules = [
        Rule(MALFORMED, "the line is not a complete JSON object", f"problem = '{MALFORMED}'"),
        Rule(INVALID_UTF8, "the line's bytes are not UTF-8", f"problem = '{INVALID_UTF8}'"),
        Rule(TOO_LONG, "the line has more bytes than max_line_bytes allows", f"problem = '{TOO_LONG}'"),
    ]
    for field in FIELDS:
        types = ", ".join(f"'{name}'" for name in field.present_for)
        everywhere = field.present_for == EVENT_TYPES
        due = "problem IS NULL" if everywhere else f"problem IS NULL AND event_type IN ({types})"
        for_whom = "" if everywhere else f" from an event of type {', '.join(field.present_for)}"
        rules.append(Rule(f"missing_{field.name}", f"{field.name} is missing{for_whom}", f"{due} AND {field.missing}"))
        if field.fine:
            rules.append(
                Rule(
                    str(field.code),
                    f"{field.name} must be {field.rule}",
                    f"{due} AND {field.present} AND NOT coalesce({field.fine.replace('{latest}', _LAST)}, FALSE)",
                )
            )
        if field.name == "timestamp" and field.fine:
            in_time = field.fine.replace("{latest}", _LAST)
            rules.append(
                Rule(
                    FUTURE,
                    "timestamp is further in the future than max_future_hours allows",
                    f"{due} AND coalesce({in_time} AND event_time > {{latest}}, FALSE)",
                )
            )
        if not everywhere:
            others = ", ".join(f"'{name}'" for name in EVENT_TYPES if name not in field.present_for)
            rules.append(
                Rule(
                    f"unexpected_{field.name}",
                    f"{field.name} is present, but this event type must not have it",
                    f"problem IS NULL AND event_type IN ({others}) AND {field.name} IS NOT NULL",
                )
            )
    return tuple(rules)


RULES = _rules()
REASON_CODES = tuple(rule.code for rule in RULES)


def accepted_condition() -> str:
    """SQL that is true for a line that meets every rule, if its texts are texts and not values of another kind.

    It is derived from the same fields as the rules, turned round and sorted by event type, so that each line is
    tested on its own type's conditions only: what all lines of a batch pass through has to be cheap.
    """
    common = [_fine(field) for field in FIELDS if field.present_for == EVENT_TYPES and field.name != "event_type"]
    alike: dict[str, list[str]] = {}
    for event_type in EVENT_TYPES:
        conditions = " AND ".join(
            _fine(field) if event_type in field.present_for else f"{field.name} IS NULL"
            for field in FIELDS
            if field.present_for != EVENT_TYPES
        )
        alike.setdefault(conditions, []).append(f"'{event_type}'")
    arms = [f"WHEN event_type IN ({', '.join(types)}) THEN {conditions}" for conditions, types in alike.items()]
    choice = f"CASE {' '.join(arms)} ELSE FALSE END"
    return f"coalesce({' AND '.join(common)} AND {choice}, FALSE)"


def _fine(field: Field) -> str:
    if field.type == "string" and field.name != "event_type":
        return f"({field.present})"  # whether it is a text at all, certain_sql says
    return f"({field.sure or field.fine})"  # what is sure is fine, and what is fine is there


def certain_sql(lines: str) -> str:
    """A SELECT that says, as ``certain``, in which lines every text is sure to be one, as it was written.

    Args:
        lines: SQL of a relation with the text fields, as a reader gave them that makes texts of all values.
    """
    texts = [f"({field.name} IS NULL OR {field.sure})" for field in FIELDS if field.type == "string" and field.sure]
    return f"SELECT coalesce({' AND '.join(texts)}, FALSE) AS certain FROM {lines}"


def check_sql(lines: str, latest: datetime, more: str) -> str:
    """The text of ``sql/check.sql`` for one relation of lines.

    Args:
        lines: SQL of a relation with the nine fields as text.
        latest: The latest time that an event may have, UTC without a zone.
        more: SQL of further columns.

    Returns:
        A SELECT with the typed columns of ``events``, ``accepted`` and the further ones.
    """
    return _fill("check", lines=lines, accepted=accepted_condition(), more=more, latest=_moment(latest))


def reasons_sql(lines: str, latest: datetime) -> str:
    """The text of ``sql/reasons.sql``: why each line of a (small) relation is quarantined.

    Args:
        lines: SQL of a relation with ``position``, ``problem`` (NULL or the code of what the line is instead of an object),
            ``nested`` (names of the fields that hold an object or an array, each between spaces), ``extra`` and the fields.
        latest: The latest time that an event may have, UTC without a zone.

    Returns:
        A SELECT with ``position``, the typed columns, ``extra`` and ``reasons`` (codes joined by commas, '' for none).
    """
    codes = ",\n        ".join(f"CASE WHEN {rule.broken_when} THEN '{rule.code}' END" for rule in RULES)
    return _fill("reasons", lines=lines, reasons=f"concat_ws(',',\n        {codes})", latest=_moment(latest))


def _moment(value: datetime) -> str:
    return f"TIMESTAMP '{value:%Y-%m-%d %H:%M:%S.%f}'"


def _fill(name: str, **parts: str) -> str:
    text = sql(name)
    casts = ",\n        ".join(f"{field.cast} AS {_cast_name(field)}" for field in FIELDS if field.cast)
    typed = ",\n    ".join(f"{_cast_name(field)} AS {field.column}" if field.cast else field.name for field in FIELDS)
    for key, value in {"casts": casts, "typed": typed, **parts}.items():
        text = text.replace("{" + key + "}", value)
    return text


def _cast_name(field: Field) -> str:
    return field.column if field.column != field.name else f"{field.name}_value"
