"""Seeded arrivals for the proofs: a lake's first files, and what comes then."""

import random
from dataclasses import replace

from shoplake.ingestion import pipeline
from tests.support import dump, event, prepare, put

HOURS = ("2025-11-18T13:59:59.9Z", "2025-11-18T15:10:00Z", "2025-11-17T23:30:00Z", "2025-11-18T00:00:00+00:00")


def _lines(rng, count):
    """Events of which other files of the same seed hold some as well, and broken lines."""
    types = ("page_view", "add_to_cart", "remove_from_cart", "purchase", "search")
    lines = []
    for number in rng.sample(range(120), count):
        kind = types[number % len(types)]
        late = {"timestamp": HOURS[number % len(HOURS)]} if number % 9 == 0 else {}
        lines.append(event(number, kind, **late))
        if number % 25 == 0:
            lines.append(rng.choice([b"broken", b"\xff", b"{}"]))
    return lines


def first(source, seed):
    """Three files that share events."""
    rng = random.Random(f"first {seed}")
    for slot in (10, 11, 12):
        put(source, slot, _lines(rng, rng.randrange(10, 40)))


def later(source, seed):
    """A replaced file, new ones, one in an earlier slot than all, of events of other hours among them."""
    rng = random.Random(f"later {seed}")
    put(source, rng.choice((10, 11, 12)), _lines(rng, rng.randrange(1, 40)))
    put(source, rng.randrange(10), _lines(rng, rng.randrange(1, 20)))
    for slot in range(13, 13 + rng.randrange(1, 3)):
        put(source, slot, _lines(rng, rng.randrange(5, 40)))


def states(source, lake):
    """Takes in what is new; the tables before it, after each batch, and so in the end."""
    found = [dump(lake)]
    watchers = pipeline.Watchers(committed=lambda *_: found.append(dump(lake)))
    pipeline.ingest(replace(prepare(source, lake), watchers=watchers))
    return found
