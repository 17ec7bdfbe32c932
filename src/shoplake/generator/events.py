"""Seeded shop events as gzipped JSON Lines; also the source text of the event generator's AWS Lambda.

Standard library only, nothing from shoplake. Output depends on (seed, profile, scheduled time, number of events) and
nothing else: the lines are the same everywhere, the gzip bytes wherever zlib is the same.
"""

import json
import random
import zlib
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import accumulate, chain

SLOT = timedelta(minutes=5)
LOW, HIGH = 500_000, 750_000
PROFILES = ("realistic", "uniform")
CHUNK_LINES = 20_000
GZIP_LEVEL = 3  # level 6 doubles the time of compression to save a seventh of the size

# category: P(cart | view), P(purchase | kept in cart), lowest and highest price, searches
SHOP: dict[str, tuple[float, float, int, int, tuple[str, ...]]] = {
    "electronics": (0.008, 0.38, 15, 900, ("wireless headphones", "laptop stand", "usb-c charger")),
    "clothing": (0.013, 0.45, 9, 180, ("rain jacket", "running shoes", "jeans 32/34")),
    "home": (0.011, 0.50, 6, 400, ("coffee maker", "desk lamp", "cr\u00e8me br\u00fbl\u00e9e torch")),
    "books": (0.017, 0.62, 5, 60, ("python books", 'the "big" atlas', "crime novel")),
    "sports": (0.010, 0.44, 8, 350, ("yoga mat", "dumbbells 10kg", "bike helmet")),
    "toys": (0.014, 0.55, 4, 120, ("lego", "puzzle 1000 pieces", "board games")),
}
PRODUCTS_PER_CATEGORY = 50
SEARCH_FIRST = 0.25
REMOVE_AFTER_CART = 0.14
QUANTITY_WEIGHTS = (0.70, 0.16, 0.08, 0.04, 0.02)
JOURNEYS = 8_192
USERS, STAY = 300, 21  # for each session number, and days
BUSY_BY_HOUR = (30, 18, 11, 8, 8, 12, 20, 32, 45, 55, 62, 66, 70, 66, 62, 62, 66, 74, 86, 97, 100, 92, 72, 48)  # %, UTC

Visit = tuple[tuple[str, ...], tuple[str, ...]]  # line tails of one product: while browsing, and at the checkout
Steps = tuple[tuple[int, ...], tuple[str, ...]]  # milliseconds of a slot, and line tails


def event_count(seed: int, scheduled: datetime, low: int = LOW, high: int = HIGH, profile: str = "realistic") -> int:
    """Return the number of events of a slot, in [low, high]: it follows the time of day and week (UTC), with noise."""
    if not 1 <= low <= high:
        raise ValueError(f"events per file must satisfy 1 <= low <= high, got {low} and {high}")
    at = _utc(scheduled)
    now, later = BUSY_BY_HOUR[at.hour], BUSY_BY_HOUR[(at.hour + 1) % 24]
    busy, noise = (now + (later - now) * at.minute / 60) / 100, 0.2
    if profile == "realistic":
        busy, noise = busy * (0.9 + at.weekday() / 60), 0.03
    return low + round((high - low) * ((1 - noise) * busy + noise * _random(seed, "count", at).random()))


def object_key(scheduled: datetime, written: datetime | None = None) -> str:
    """Return the key of a slot's object: folders from its scheduled time, file name from `written` or else the same."""
    at = _utc(scheduled)
    return f"events/{at:year=%Y/month=%m/day=%d/hour=%H/minute=%M}/events-{_utc(written or at):%Y%m%d-%H%M%S}.jsonl.gz"


def render(scheduled: datetime, events: int, seed: int, profile: str = "realistic") -> Iterator[bytes]:
    """Return a slot's lines as chunks of bytes, whose concatenation has no newline at its end.

    Event times ascend within [scheduled, scheduled + 5 minutes). `uniform` draws every field independently, as the
    course's starter does; `realistic` has sessions that search, view, fill a cart and buy, over several slots.

    Raises:
        ValueError: a time without a zone, fewer than 1 event, or an unknown profile; before any chunk is made.
    """
    at = _utc(scheduled)
    if events < 1:
        raise ValueError(f"events must be at least 1, got {events}")
    if profile not in PROFILES:
        raise ValueError(f"profile must be one of {', '.join(PROFILES)}, got {profile!r}")
    return _join((_realistic if profile == "realistic" else _uniform)(at, events, seed))


def gzip_file(chunks: Iterable[bytes], level: int = GZIP_LEVEL) -> Iterator[bytes]:
    """Yield the chunks as one gzip stream, without time or name in its header."""
    packer = zlib.compressobj(level, zlib.DEFLATED, 16 + zlib.MAX_WBITS, 9)
    for chunk in chunks:
        yield packer.compress(chunk)
    yield packer.flush()


def _utc(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError(f"time must carry a zone, got {moment.isoformat()}")
    return moment.astimezone(UTC).replace(microsecond=0)


def _random(seed: int, purpose: str, at: datetime) -> random.Random:
    return random.Random(f"{seed}|{purpose}|{at.isoformat()}")


def _seconds(at: datetime) -> list[str]:
    return [f'{{"timestamp": "{at + timedelta(seconds=s):%Y-%m-%dT%H:%M:%S}.' for s in range(SLOT.seconds)]


def _join(lines: Iterator[list[str]]) -> Iterator[bytes]:
    between = ""
    for chunk in lines:
        yield (between + "\n".join(chunk)).encode()
        between = "\n"


def _tail(kind: str, product: str, category: str, quantity: int | None = None, price: float | str | None = None) -> str:
    fields = {"event_type": kind, "product_id": product, "quantity": quantity, "price": price, "category": category}
    return json.dumps({**fields, "search_query": None})[1:]


def _search(query: str) -> str:
    fields = dict.fromkeys(("product_id", "quantity", "price", "category"))
    return json.dumps({"event_type": "search", **fields, "search_query": query})[1:]


@cache
def _uniform_tails() -> list[tuple[str, str]]:
    """Return 1,500 equally likely line tails, cut where a price goes; without a price the second part is empty."""
    tails = []
    for number, (category, (*_, queries)) in enumerate(SHOP.items(), start=1):
        tails += [_search(queries[n % len(queries)]) for n in range(25)]
        for product in (f"p_{number}{n:03d}" for n in range(1, 6)):
            tails += [_tail("page_view", product, category)] * 25
            for kind, times in (("add_to_cart", 2), ("remove_from_cart", 1), ("purchase", 1)):
                tails += [_tail(kind, product, category, n, "@") for n in range(1, 6)] * times
    return [(before, after) for before, _, after in (tail.partition('"@"') for tail in tails)]


def _uniform(at: datetime, events: int, seed: int) -> Iterator[list[str]]:
    rng = _random(seed, "uniform", at)
    seconds, ids, tails = _seconds(at), range(10_000, 100_000), _uniform_tails()
    prices = [repr(cents / 100) for cents in range(1_000, 50_001)]
    step = SLOT.seconds * 1_000_000 / events
    for first in range(0, events, CHUNK_LINES):
        n = min(CHUNK_LINES, events - first)
        times = [int((i + rng.random()) * step) for i in range(first, first + n)]
        users, sessions = rng.choices(ids, k=n), rng.choices(ids, k=n)
        drawn = zip(times, users, sessions, rng.choices(tails, k=n), rng.choices(prices, k=n), strict=True)
        yield [
            f'{seconds[t // 1_000_000]}{t % 1_000_000:06d}+00:00", "user_id": "u_{user}", "session_id": "s_{session}", '
            f"{before}{price if after else ''}{after}"
            for t, user, session, (before, after), price in drawn
        ]


@cache
def _visits() -> tuple[list[Visit], list[float]]:
    """Return every way to visit a product with its cumulative weight; the catalogue is the same for every seed."""
    rng, catalogue = random.Random("catalogue"), []
    for number, (category, (cart, buy, low, high, queries)) in enumerate(SHOP.items(), start=1):
        for n in range(1, PRODUCTS_PER_CATEGORY + 1):
            price = round(round(low * (high / low) ** rng.random()) - rng.choice((0.01, 0.05, 0.5)), 2)
            catalogue.append((f"p_{number}{n:03d}", category, price, cart, buy, _search(queries[n % len(queries)])))
    rng.shuffle(catalogue)
    ways: list[tuple[Visit, float]] = []
    for rank, (product, category, price, cart, buy, search) in enumerate(catalogue):
        view = _tail("page_view", product, category)
        for before, popularity in ((), (1 - SEARCH_FIRST) / (rank + 4)), ((search,), SEARCH_FIRST / (rank + 4)):
            ways.append((((*before, view), ()), popularity * (1 - cart)))
            for quantity, share in enumerate(QUANTITY_WEIGHTS, start=1):
                kinds = ("add_to_cart", "remove_from_cart", "purchase")
                add, remove, purchase = (_tail(kind, product, category, quantity, price) for kind in kinds)
                carted = popularity * cart * share
                kept = carted * (1 - REMOVE_AFTER_CART)
                ways.append((((*before, view, add, remove), ()), carted - kept))
                ways.append((((*before, view, add), (purchase,)), kept * buy))
                ways.append((((*before, view, add), ()), kept * (1 - buy)))
    return [visit for visit, _ in ways], list(accumulate(weight for _, weight in ways))


@cache
def _journeys() -> list[list[Steps]]:
    """Return what each journey does in its first slot, in its second, and so on up to an hour."""
    (visits, weights), rng = _visits(), random.Random("journeys")
    slots: list[list[Steps]] = [[((), ())] * JOURNEYS for _ in range(12)]
    for n in range(JOURNEYS):
        chosen = rng.choices(visits, cum_weights=weights, k=1 + int(rng.expovariate(1 / 7)))
        at = rng.random() * 3e5
        for tail in chain(*chain(*zip(*chosen, strict=True))):  # all browsing, then the checkout
            slot, time = divmod(int(at), 300_000)
            if slot < len(slots):
                times, tails = slots[slot][n]
                slots[slot][n] = (*times, min(time, 298_999)), (*tails, tail)
            at += 1_500 + rng.expovariate(1 / 4e4)
    return slots


def _realistic(at: datetime, events: int, seed: int) -> Iterator[list[str]]:
    """Make a slot alone: a session's journey and user follow from its first slot, its number there and the seed."""
    going = []
    for age, journeys in enumerate(_journeys()):
        began = at - age * SLOT
        rng = _random(seed, "sessions", began)
        turn = rng.randrange(JOURNEYS)
        prefix = f'", "session_id": "s_{int(began.timestamp()):08x}'
        going.append((journeys[turn:] + journeys[:turn], prefix, began.toordinal(), rng.random))
    times, heads, tails = list[int](), list[str](), list[str]()
    number, whole = 0, (events - (10 * events) ** 0.5) / 9.4  # numbers that most slots reach
    while len(times) < events:
        for journeys, prefix, day, draw in going[: None if number < whole else 1]:
            chance, (steps, lines) = draw(), journeys[number % JOURNEYS]
            if steps:
                user = int(USERS * chance**1.5)  # the first are regulars, others stay for a while
                group = number + (user > 30) * ((day + user) // STAY % 16) * 100_000
                late = int(chance * 997_000) % 1_000
                times += [step + late for step in steps]
                heads += [f'Z", "user_id": "u_{group * USERS + user}{prefix}{number:05x}", '] * len(steps)
                tails += lines
        number += 1
    seconds, order = _seconds(at), sorted(range(events), key=times.__getitem__)
    for first in range(0, events, CHUNK_LINES):
        now = order[first : first + CHUNK_LINES]
        yield [f"{seconds[times[i] // 1_000]}{times[i] % 1_000:03d}{heads[i]}{tails[i]}" for i in now]
