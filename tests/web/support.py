"""What the tests of the dashboard share: a shop of three days with hostile names, and its answers counted event by event."""

import json
from datetime import date, timedelta

from shoplake.text import json_value
from tests.support import START, accepted, event, events, five_answers, ingest, judge_files, key, put

DAYS = (date(2025, 11, 17), date(2025, 11, 18), date(2025, 11, 19))
HOSTILE = (
    "<script>window.hacked=1</script>",
    "</script><img src=x onerror='window.hacked=2'>",
    "'; DROP TABLE product_hourly; --",
    '"><svg onload=window.hacked=3>',
    "a{red|${window.hacked=4}}",
)
BROKEN = b"<img src=x onerror='window.hacked=5'></script><script>window.hacked=6</script>"


def hostile(first):
    """Views, carts and purchases of products and categories with hostile names."""
    made = []
    for number, name in enumerate(HOSTILE):
        for offset, kind in enumerate((*["page_view"] * 3, *["add_to_cart"] * 2, "purchase")):
            made.append(event(first + 10 * number + offset, kind, product_id=name, category=name, user_id=name))
    return made


def on(day, lines):
    """The same lines on another day."""
    return [line | {"timestamp": line["timestamp"].replace("2025-11-18", day.isoformat())} for line in lines]


def build(folder):
    """Raw files and a lake: three days, a slot with two files, one with none, a duplicate, broken lines."""
    source, lake = folder / "raw", folder / "lake"
    put(source, 0, on(DAYS[0], events(60)))
    put(source, key(0).replace(".jsonl", "-more.jsonl"), on(DAYS[0], events(7, first=60)))
    put(source, 1, [*events(150, first=100), *hostile(400), BROKEN, b'{"user_id": 3}'])
    put(source, 3, [*on(DAYS[2], events(90, first=600)), *on(DAYS[2], events(1, first=600))])
    ingest(source, lake)
    return source, lake


def truth(source, since=None, until=None):
    """The five answers over some days as JSON, counted one event at a time."""
    low, high = since or date.min, until or date.max
    found = [one for one in accepted(judge_files(source)) if low <= one.time.date() <= high]
    return {name: [json_value(row) for row in rows] for name, rows in five_answers(found).items()}


def answered(content):
    """The rows of the answers by name."""
    return {answer["name"]: answer["rows"] for answer in content["answers"]}


def tree(folder):
    """Every file with its content's size and time, to see that nothing was written."""
    return {path: (path.stat().st_size, path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}


def slot_times(count):
    """The first slots, as JSON."""
    return [json_value((START + number * timedelta(minutes=5)).replace(tzinfo=None)) for number in range(count)]


def exported_data(page):
    """The data inside an exported page."""
    _, _, rest = page.partition('<script type="application/json" id="data">')
    return json.loads(rest.partition("</script>")[0])
