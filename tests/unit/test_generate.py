"""The events that the generator makes: repeatable, within the contract, and shaped as each profile promises."""

import gzip
import json
import os
import re
import subprocess
import sys
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from shoplake.generator.events import PROFILES, SLOT, event_count, gzip_file, object_key, render
from shoplake.generator.files import make_object

AT = datetime(2025, 11, 18, 14, 20, tzinfo=UTC)
SRC = Path(__file__).resolve().parents[2] / "src"
KEYS = [
    "timestamp",
    "user_id",
    "session_id",
    "event_type",
    "product_id",
    "quantity",
    "price",
    "category",
    "search_query",
]
STAMP = {
    "realistic": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z",
    "uniform": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00",
}


def text_of(events, profile, at=AT, seed=1):
    """Render all lines of a slot."""
    return b"".join(render(at, events, seed, profile))


def events_of(events, profile, at=AT, seed=1):
    """Render and parse all lines of a slot."""
    return [json.loads(line) for line in text_of(events, profile, at, seed).split(b"\n")]


@pytest.fixture(scope="module")
def realistic():
    """Three chunks of the realistic profile."""
    return events_of(45_000, "realistic")


@pytest.fixture(scope="module")
def uniform():
    """Three chunks of the uniform profile."""
    return events_of(45_000, "uniform")


@pytest.fixture(params=PROFILES)
def profile(request):
    """Each profile in turn."""
    return request.param


@pytest.fixture
def sample(profile, request):
    """Each profile's events in turn."""
    return request.getfixturevalue(profile)


def test_same_seed_and_time_give_the_same_bytes(profile):
    """Two renders with equal arguments are equal, compressed too."""
    first, second = (b"".join(gzip_file(render(AT, 3_000, 7, profile))) for _ in range(2))
    assert first == second
    assert gzip.decompress(first) == text_of(3_000, profile, seed=7)


def test_bytes_do_not_depend_on_the_process(profile):
    """Another process with another hash seed and another local zone writes the same bytes."""
    code = (
        "import sys; from datetime import datetime, UTC; from shoplake.generator.events import render;"
        f"sys.stdout.buffer.write(b''.join(render(datetime(2025, 11, 18, 14, 20, tzinfo=UTC), 500, 1, {profile!r})))"
    )
    env = {**os.environ, "PYTHONPATH": str(SRC), "PYTHONHASHSEED": "99", "TZ": "Asia/Tokyo"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, check=True)
    assert done.stdout == text_of(500, profile)


def test_the_zone_of_the_scheduled_time_does_not_matter(profile):
    """One moment written in another zone is the same slot."""
    elsewhere = AT.astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert text_of(200, profile, elsewhere) == text_of(200, profile)
    assert object_key(elsewhere) == object_key(AT)


def test_another_time_or_seed_gives_other_events(profile):
    """No line of a slot appears in the next slot or under another seed."""
    lines = set(text_of(2_000, profile).split(b"\n"))
    assert len(lines) == 2_000
    assert lines.isdisjoint(text_of(2_000, profile, AT + SLOT).split(b"\n"))
    assert lines.isdisjoint(text_of(2_000, profile, seed=2).split(b"\n"))


def test_the_file_has_exactly_the_events_asked_for(profile):
    """Any count is met to the line, across the borders of chunks, and no newline follows the last line."""
    for events in (1, 2, 999, 20_000, 20_001):
        text = text_of(events, profile)
        assert text.count(b"\n") == events - 1
        assert text.endswith(b"}")


def test_lines_are_written_as_json_dumps_writes_them(profile):
    """Every line is json.dumps of its own content: separators, key order, escapes and numbers."""
    for line in text_of(5_000, profile).decode("ascii").split("\n"):
        event = json.loads(line)
        assert json.dumps(event) == line
        assert list(event) == KEYS


def test_every_line_meets_the_contract(sample):
    """Fields are present and null exactly where the contract says so, with the right types and ranges."""
    for event in sample:
        kind = event["event_type"]
        assert kind in {"page_view", "add_to_cart", "remove_from_cart", "purchase", "search"}
        assert event["user_id"].startswith("u_")
        assert event["session_id"].startswith("s_")
        assert (event["search_query"] is not None) == (kind == "search")
        for name in ("product_id", "category"):
            assert event[name] is None if kind == "search" else event[name]
        if kind in {"page_view", "search"}:
            assert event["quantity"] is None
            assert event["price"] is None
        else:
            assert type(event["quantity"]) is int
            assert 1 <= event["quantity"] <= 5
            assert type(event["price"]) is float
            assert 0 < event["price"] < 1_000
            assert round(event["price"], 2) == event["price"]


def test_times_ascend_within_the_five_minutes(sample, profile):
    """The first event is not before the slot, the last before its end, none before its predecessor."""
    assert all(re.fullmatch(STAMP[profile], event["timestamp"]) for event in sample)
    times = [datetime.fromisoformat(event["timestamp"]) for event in sample]
    assert times == sorted(times)
    assert AT <= times[0] < AT + timedelta(seconds=5)
    assert AT + SLOT - timedelta(seconds=5) < times[-1] < AT + SLOT


def test_uniform_draws_types_with_the_starters_weights(uniform):
    """Views, carts, removals, purchases and searches come 50/20/10/10/10."""
    counts = Counter(event["event_type"] for event in uniform)
    weights = {"page_view": 0.5, "add_to_cart": 0.2, "remove_from_cart": 0.1, "purchase": 0.1, "search": 0.1}
    for kind, weight in weights.items():
        assert counts[kind] / len(uniform) == pytest.approx(weight, abs=0.01)


def test_uniform_has_the_starters_catalogue_and_people(uniform):
    """Thirty products in six categories; users and sessions are independent numbers from 10000 to 99999."""
    products = {(event["category"], event["product_id"]) for event in uniform if event["product_id"]}
    categories = ("electronics", "clothing", "home", "books", "sports", "toys")
    assert products == {(name, f"p_{n}{m:03d}") for n, name in enumerate(categories, 1) for m in range(1, 6)}
    for name in ("user_id", "session_id"):
        numbers = [int(event[name][2:]) for event in uniform]
        assert min(numbers) >= 10_000
        assert max(numbers) <= 99_999
        assert len(set(numbers)) > 30_000
    prices = [event["price"] for event in uniform if event["price"] is not None]
    assert 10 <= min(prices) < 11
    assert 499 < max(prices) <= 500


FIELDS = re.compile(rb'"timestamp": "(.{19}).*?"user_id": "(.*?)", "session_id": "(.*?)", "event_type": "(.*?)"')


def sessions_of(day, slots=288, events=300):
    """The sessions of a day's first slots, each with times, users and types of its events; every slot is made by itself."""
    sessions = defaultdict(list)
    for slot in range(slots):
        at = datetime(2025, 11, 18, tzinfo=UTC) + timedelta(days=day, minutes=5 * slot)
        for time, user, session, kind in FIELDS.findall(text_of(events, "realistic", at)):
            sessions[session].append((time, user, kind))
    return sessions


@pytest.fixture(scope="module")
def shop():
    """The sessions of a day."""
    return sessions_of(0)


def share(counted):
    counted = list(counted)
    return sum(counted) / len(counted)


def test_realistic_sessions_look_like_those_of_a_shop(shop):
    """A user has 1 to 3 of them a day, they run over slots and hours, and 2 to 4 % of them buy."""
    sessions = shop
    assert all(len({user for _, user, _ in events}) == 1 for events in sessions.values())
    counts = Counter(events[0][1] for events in sessions.values())
    assert 1.3 < len(sessions) / len(counts) < 2
    assert share(count <= 3 for count in counts.values()) > 0.93
    assert max(counts.values()) < 20  # regulars
    assert 0.02 < share(any(kind == b"purchase" for *_, kind in events) for events in sessions.values()) < 0.04
    slots = [{(time[:15], time[15:16] < b"5") for time, *_ in events} for events in sessions.values()]
    assert 0.3 < share(len(each) > 1 for each in slots) < 0.7
    assert max(len(each) for each in slots) > 6
    assert 0.04 < share(len({time[:13] for time, *_ in events}) > 1 for events in sessions.values()) < 0.15
    assert 6 < sum(map(len, sessions.values())) / len(sessions) < 12


def test_realistic_users_come_back_and_new_ones_come(shop):
    """Of the users of another day, half were there the day before, and four weeks before little but the regulars."""
    before = {events[0][1] for events in shop.values()}
    next_day, later = ({events[0][1] for events in sessions_of(day, slots=60).values()} for day in (1, 28))
    assert 0.45 < share(user in before for user in next_day) < 0.75
    assert 0.1 < share(user in before for user in later) < 0.4


def test_realistic_times_of_a_session_ascend(realistic):
    """No two events of a session are at the same time."""
    times = defaultdict(list)
    for event in realistic:
        times[event["session_id"]].append(event["timestamp"])
    assert all(len(set(stamps)) == len(stamps) for stamps in times.values())
    following = events_of(45_000, "realistic", AT + SLOT)
    assert len(times.keys() & {event["session_id"] for event in following}) > 0.3 * len(times)


def test_realistic_sessions_begin_where_their_ids_say(shop):
    """Fewer than one in a hundred is joined midway, though slots differ in how many sessions fit."""
    midnight = datetime(2025, 11, 18, tzinfo=UTC)
    late = []
    for session, events in shop.items():
        began = datetime.fromtimestamp(int(session[2:10], 16), UTC)
        if began >= midnight:
            late.append(datetime.fromisoformat(min(events)[0].decode() + "+00:00") >= began + SLOT)
    assert share(late) < 0.01


def test_the_week_has_a_rhythm():
    """Sunday is busier than Monday, hour by hour, in the realistic profile; uniform is every day the same but for noise."""
    monday = datetime(2025, 11, 17, tzinfo=UTC)
    counts = [sum(event_count(1, monday + timedelta(days=d, hours=h)) for h in range(24)) for d in range(7)]
    assert counts == sorted(counts)
    assert counts[-1] > 1.015 * counts[0]
    flat = [
        sum(event_count(1, monday + timedelta(days=d, hours=h), profile="uniform") for h in range(24)) for d in range(7)
    ]
    assert flat != sorted(flat)


def test_realistic_products_keep_price_and_category(realistic):
    """Each of the 300 products has one category and one price, under every seed."""
    seen = defaultdict(set)
    for event in [*realistic, *events_of(45_000, "realistic", AT + SLOT, seed=9)]:
        if event["price"] is not None:
            seen[event["product_id"]].add((event["category"], event["price"]))
    assert all(len(offers) == 1 for offers in seen.values())
    viewed = {event["product_id"] for event in realistic if event["product_id"]}
    assert len(viewed) == 300


def test_realistic_purchases_only_what_is_in_the_cart():
    """A session views before it carts, and removes or buys only a quantity that it carted before.

    So do those that began in the first of two hours, up to a number that every slot reaches.
    """
    viewed: set[tuple[str, str]] = set()
    carts: Counter[tuple[str, str, int]] = Counter()
    began = {f"s_{int((AT + n * SLOT).timestamp()):08x}" for n in range(12)}
    for event in (event for n in range(24) for event in events_of(2_000, "realistic", AT + n * SLOT)):
        if event["session_id"][:-5] not in began or int(event["session_id"][-5:], 16) > 150:
            continue
        item = (event["session_id"], event["product_id"])
        match event["event_type"]:
            case "page_view":
                viewed.add(item)
            case "add_to_cart":
                assert item in viewed
                carts[*item, event["quantity"]] += 1
            case "remove_from_cart" | "purchase":
                carts[*item, event["quantity"]] -= 1
                assert carts[*item, event["quantity"]] >= 0
    assert carts.total() > 20


def test_realistic_shoppers_narrow_down_by_category(realistic):
    """Views outnumber carts, carts outnumber purchases, and books convert better than electronics."""
    counts = Counter((event["event_type"], event["category"]) for event in realistic)
    for category in ("electronics", "books"):
        assert counts["page_view", category] > counts["add_to_cart", category] > counts["purchase", category] > 0

    def rate(category):
        return counts["purchase", category] / counts["page_view", category]

    assert rate("books") > 2 * rate("electronics")


def test_realistic_popularity_is_skewed(realistic):
    """The ten most viewed of 300 products draw more than a fifth of the views."""
    views = Counter(event["product_id"] for event in realistic if event["event_type"] == "page_view")
    assert sum(count for _, count in views.most_common(10)) > 0.2 * views.total()


def test_event_count_stays_in_its_range_and_follows_the_day():
    """The count is repeatable, within the range, and higher in the evening than at night."""
    day = [AT.replace(hour=0, minute=0) + SLOT * n for n in range(288)]
    counts = {slot: event_count(42, slot) for slot in day}
    assert counts == {slot: event_count(42, slot) for slot in day}
    assert all(500_000 <= count <= 750_000 for count in counts.values())
    assert len(set(counts.values())) > 280
    night, evening = (sum(n for slot, n in counts.items() if slot.hour == hour) / 12 for hour in (3, 20))
    assert evening > night + 100_000
    assert event_count(1, AT, 1000, 1000) == 1000


def test_key_layout():
    """Folders name the scheduled minute in UTC; the name's stamp is when it was written, else the same."""
    at = datetime(2025, 1, 2, 3, 4, 5, tzinfo=UTC)
    folder = "events/year=2025/month=01/day=02/hour=03/minute=04"
    assert object_key(at) == f"{folder}/events-20250102-030405.jsonl.gz"
    assert object_key(at, at + timedelta(seconds=70)) == f"{folder}/events-20250102-030515.jsonl.gz"


def test_make_object_is_key_count_and_bytes_of_one_slot():
    """The whole object follows from scheduled time and seed, so a slot asked for twice is one object."""
    key, events, chunks = make_object(AT, 5, low=100, high=200)
    assert key == object_key(AT)
    assert events == event_count(5, AT, 100, 200)
    assert gzip.decompress(b"".join(chunks)) == text_of(events, "realistic", seed=5)


def test_gzip_header_carries_no_time():
    """The four time bytes of the gzip header are zero."""
    assert b"".join(gzip_file([b"{}"]))[:8] == b"\x1f\x8b\x08\x00\x00\x00\x00\x00"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((datetime(2025, 11, 18, 14), 10, 1, "uniform"), "zone"),  # noqa: DTZ001 - the missing zone is the case
        ((AT, 0, 1, "uniform"), "at least 1"),
        ((AT, 10, 1, "steady"), "realistic, uniform"),
    ],
)
def test_wrong_arguments_are_refused_at_the_call(arguments, message):
    """What cannot be rendered is refused before any chunk is drawn."""
    with pytest.raises(ValueError, match=message):
        render(*arguments)


@pytest.mark.parametrize("bounds", [(0, 10), (10, 5)])
def test_wrong_ranges_are_refused(bounds):
    """A range of events begins at 1 or more and does not run backwards."""
    with pytest.raises(ValueError, match="low <= high"):
        event_count(1, AT, *bounds)


def test_the_generator_needs_the_standard_library_only():
    """The Lambda's source imports nothing that a bare Python lacks, and nothing of shoplake."""
    source = (SRC / "shoplake" / "generator" / "events.py").read_text()
    roots = set(re.findall(r"^\s*(?:from|import) (\w+)", source, re.MULTILINE))
    assert roots <= sys.stdlib_module_names
