"""The files of the dashboard: what the server hands out by name, and the same as one page that needs no server."""

from __future__ import annotations

import base64
import hashlib
import json
from functools import cache
from importlib import resources
from typing import Any, NamedTuple

LIBRARY = "vendor/echarts-6.1.0.common.min.js"


class Static(NamedTuple):
    """A file of the page, and its media type."""

    name: str
    media_type: str


# Nothing else is handed out, whatever path is asked for.
PAGE = Static("index.html", "text/html; charset=utf-8")
STATIC = (
    Static("dashboard.css", "text/css; charset=utf-8"),
    Static("dashboard.js", "text/javascript; charset=utf-8"),
    Static("icon.svg", "image/svg+xml"),
    Static(LIBRARY, "text/javascript; charset=utf-8"),
)

_STYLE = '<link rel="stylesheet" href="static/dashboard.css">'
_ICON = '<link rel="icon" href="static/icon.svg">'
_CHARTS = f'<script src="static/{LIBRARY}" defer></script>'
_SCRIPT = '<script type="module" src="static/dashboard.js"></script>'


@cache
def read(name: str) -> str:
    """The text of a file of the page."""
    return resources.files("shoplake.web").joinpath("static", name).read_text("utf-8")


def whole(answers: dict[str, Any], health: dict[str, Any]) -> str:
    """One page with everything inside: it asks nobody for anything, and its own policy forbids it to.

    Args:
        answers: What the server would answer for all days.
        health: What it would tell of the health.
    """
    style, charts, script = read("dashboard.css"), read(LIBRARY), read("dashboard.js")
    data = _as_text_in_html(json.dumps({"answers": answers, "health": health}, ensure_ascii=False))
    policy = (
        f"default-src 'none'; script-src {_hash(charts)} {_hash(script)}; style-src {_hash(style)};"
        " img-src data:; base-uri 'none'; form-action 'none'"
    )
    icon = base64.b64encode(read("icon.svg").encode()).decode()
    page = read("index.html")
    for old, new in (
        (_STYLE, f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n<style>{style}</style>'),
        (_ICON, f'<link rel="icon" href="data:image/svg+xml;base64,{icon}">'),
        (_CHARTS, ""),
        (
            _SCRIPT,
            f'<script type="application/json" id="data">{data}</script>\n<script>{charts}</script>\n'
            f'<script type="module">{script}</script>',
        ),
    ):
        before, found, after = page.partition(old)
        if not found:
            raise LookupError(f"index.html does not hold {old}")
        page = before + new + after
    return page


def _as_text_in_html(data: str) -> str:
    """JSON that cannot end the element it stands in."""
    for character in "<>&\u2028\u2029":
        data = data.replace(character, f"\\u{ord(character):04x}")
    return data


def _hash(text: str) -> str:
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"
