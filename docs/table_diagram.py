"""Draws the tables with their keys and joins, as declared in ``tables.py``: docs/images/tables.svg."""

# ruff: noqa: INP001 - a script beside the pages

from __future__ import annotations

from shoplake import tables
from shoplake.tables import JOINS, Table

WIDTH, HEIGHT = 1220, 400
_BOX, _HEAD, _LINE = 190, 34, 20
# Where each table is: the corner at the top left of its box.
PLACES = {
    tables.LEDGER.name: (20, 30),
    tables.QUARANTINE.name: (20, 160),
    tables.ERASURES.name: (20, 310),
    tables.EVENTS.name: (330, 160),
    tables.USER_HOURLY.name: (720, 20),
    tables.SESSION_HOURLY.name: (720, 150),
    tables.PRODUCT_HOURLY.name: (720, 280),
    tables.ACTIVITY_DAILY.name: (1010, 30),
    tables.SESSIONS.name: (1010, 160),
}
_STYLE = """
    .source { fill: #dff3e6; stroke: #276749; stroke-width: 1.5 }
    .events { fill: #e1edfb; stroke: #2b6cb0; stroke-width: 1.5 }
    .gold { fill: #fdf3dc; stroke: #975a16; stroke-width: 1.5 }
    .view { fill: #ffffff; stroke: #975a16; stroke-width: 1.5; stroke-dasharray: 6 4 }
    .name { font-weight: bold; font-size: 17px }
    .key { font-size: 14px; fill: #374151 }
    .on { font-size: 13px; fill: #4a5568; text-anchor: middle; paint-order: stroke; stroke: #ffffff; stroke-width: 4px }
    .join { stroke: #4a5568; stroke-width: 1.5; fill: none; marker-end: url(#one) }
    text { fill: #111827 }
"""


def picture() -> str:
    """The diagram as SVG: an arrow leads from the many rows to the one."""
    joins = "; ".join(f"{join.many.name} to {join.one.name} by {join.on}" for join in JOINS)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}"'
        f' font-family="DejaVu Sans, Verdana, system-ui, sans-serif" role="img" aria-label="Joins: {joins}">'
    )
    arrowhead = (
        '  <defs><marker id="one" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
        '<path d="M0 0 L8 4 L0 8 z" fill="#4a5568"/></marker></defs>'
    )
    parts = [
        head,
        f"  <style>{_STYLE}  </style>",
        arrowhead,
        f'  <rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        *(_arrow(join.many, join.one) for join in JOINS),
        *(_box(table) for table in (*tables.TABLES, *tables.VIEWS)),
        *(_label(join.many, join.one, join.on) for join in JOINS),
        "</svg>",
        "",
    ]
    return "\n".join(parts)


def _box(table: Table) -> str:
    x, y = PLACES[table.name]
    lines = [f'  <rect class="{_kind(table)}" x="{x}" y="{y}" width="{_BOX}" height="{_height(table)}" rx="8"/>']
    lines.append(f'  <text class="name" x="{x + 12}" y="{y + 24}">{table.name}</text>')
    for number, column in enumerate(_keys(table)):
        lines.append(f'  <text class="key" x="{x + 12}" y="{y + _HEAD + 13 + _LINE * number}">{column}</text>')
    return "\n".join(lines)


def _keys(table: Table) -> tuple[str, ...]:
    return ("all nine fields of the line",) if table is tables.EVENTS else table.identity


def _height(table: Table) -> int:
    return _HEAD + _LINE * len(_keys(table)) + 8


def _kind(table: Table) -> str:
    if table in tables.VIEWS:
        return "view"
    if table is tables.EVENTS:
        return "events"
    return "gold" if table in (*tables.GOLD_HOURLY, tables.ACTIVITY_DAILY) else "source"


def _ends(many: Table, one: Table) -> tuple[int, int, int, int]:
    """The ends of an arrow: from side to side where the boxes stand beside each other, else from top to bottom."""
    (x1, y1), (x2, y2) = PLACES[many.name], PLACES[one.name]
    if abs(x1 - x2) < _BOX:
        middle = x1 + _BOX // 2
        return (middle, y1 + _height(many), middle, y2) if y1 < y2 else (middle, y1, middle, y2 + _height(one))
    left = (x1 + _BOX, x2) if x1 < x2 else (x1, x2 + _BOX)
    return left[0], y1 + _height(many) // 2, left[1], y2 + _height(one) // 2


def _arrow(many: Table, one: Table) -> str:
    x1, y1, x2, y2 = _ends(many, one)
    return f'  <path class="join" d="M{x1} {y1} L{x2} {y2}"/>'


def _label(many: Table, one: Table, on: str) -> str:
    x1, y1, x2, y2 = _ends(many, one)
    return f'  <text class="on" x="{(x1 + x2) // 2}" y="{(y1 + y2) // 2 + 4}">{on}</text>'
