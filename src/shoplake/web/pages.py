"""The files of the dashboard: served by name, or combined into one page that needs no server."""

from __future__ import annotations

import base64
import hashlib
import json
from functools import cache
from importlib import resources
from typing import Any, NamedTuple

LIBRARY = "vendor/echarts-6.1.0.common.min.js"
SCRIPTS = (LIBRARY, "words.js", "charts.js", "answers.js", "health.js", "dashboard.js")


class Static(NamedTuple):
    """A file of the page, and its media type."""

    name: str
    media_type: str


# Nothing else is served, whatever the path.
PAGE = Static("index.html", "text/html; charset=utf-8")
STATIC = (
    Static("dashboard.css", "text/css; charset=utf-8"),
    Static("icon.svg", "image/svg+xml"),
    *(Static(name, "text/javascript; charset=utf-8") for name in SCRIPTS),
)


@cache
def read(name: str) -> str:
    """The text of a file of the page."""
    return resources.files("shoplake.web").joinpath("static", name).read_text("utf-8")


def whole(answers: dict[str, Any], health: dict[str, Any], counts: dict[str, Any]) -> str:
    """One page with everything inside: it loads nothing, and its own policy forbids it to.

    Args:
        answers: What the server would return for all days.
        health: What it would return about the health.
        counts: What it would count for all days, by name.
    """
    style = read("dashboard.css")
    scripts = [read(name) for name in SCRIPTS]
    policy = (
        f"default-src 'none'; script-src {' '.join(map(_hash, scripts))}; style-src {_hash(style)}; img-src data:;"
        " base-uri 'none'; form-action 'none'"
    )
    icon = base64.b64encode(read("icon.svg").encode()).decode()
    data = _as_text_in_html(json.dumps({"answers": answers, "health": health, **counts}, ensure_ascii=False))
    links = "".join(f'<script src="static/{name}"></script>\n' for name in SCRIPTS)
    inside = {
        '<link rel="stylesheet" href="static/dashboard.css">': (
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n<style>{style}</style>'
        ),
        '<link rel="icon" href="static/icon.svg">': f'<link rel="icon" href="data:image/svg+xml;base64,{icon}">',
        links: "\n".join(
            [
                f'<script type="application/json" id="data">{data}</script>',
                *(f"<script>{script}</script>" for script in scripts),
                "",
            ]
        ),
    }
    page = read("index.html")
    for link, content in inside.items():
        before, _, after = page.partition(link)
        page = before + content + after
    return page


def _as_text_in_html(data: str) -> str:
    """JSON that cannot close the element it is in."""
    for character in "<>&\u2028\u2029":
        data = data.replace(character, f"\\u{ord(character):04x}")
    return data


def _hash(text: str) -> str:
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"
