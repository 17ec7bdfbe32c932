"""Lines that break the contract, each with the reasons that it must be quarantined for."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class BrokenLine:
    """A way to break a line, and the reason codes that the contract gives for it.

    Attributes:
        name: What was done, for people.
        reasons: Reason codes.
        event_type: The valid event that it starts from; time, user and session stay those of the line replaced.
        changes: Values to set; ``ABSENT`` takes the key away.
        mangle: What happens to the finished line's bytes.
    """

    name: str
    reasons: tuple[str, ...]
    event_type: str = "purchase"
    changes: dict[str, Any] = field(default_factory=dict)
    mangle: Callable[[bytes], bytes] = bytes

    def apply(self, line: bytes) -> bytes:
        """Return the broken line that takes a valid line's place."""
        event = json.loads(line)
        event.update(event_type=self.event_type, **_VALID[self.event_type])
        event.update(self.changes)
        return self.mangle(json.dumps({key: value for key, value in event.items() if value is not ABSENT}).encode())


ABSENT: Any = object()
_PRODUCT = {"product_id": "p_1001", "category": "electronics", "search_query": None}
_VALID: dict[str, dict[str, Any]] = {
    "purchase": {**_PRODUCT, "quantity": 2, "price": 19.99},
    "page_view": {**_PRODUCT, "quantity": None, "price": None},
    "search": {"product_id": None, "category": None, "quantity": None, "price": None, "search_query": "yoga mat"},
}


def _broken_lines() -> tuple[BrokenLine, ...]:
    mangled: tuple[tuple[str, Callable[[bytes], bytes]], ...] = (
        ("cut line", lambda line: line[: len(line) * 6 // 10]),
        ("not JSON", lambda _: b"upstream connect error, reset before headers"),
        ("array", lambda line: json.dumps(list(json.loads(line).values())).encode()),
        ("bare string", lambda _: b'"page_view"'),
        ("bare number", lambda _: b"42"),
        ("two objects", lambda line: line + line),
    )
    kinds = [BrokenLine(name, ("malformed_json",), mangle=mangle) for name, mangle in mangled]
    kinds.append(BrokenLine("invalid UTF-8", ("invalid_utf8",), mangle=lambda line: line.replace(b"u_", b"u_\xff", 1)))
    starts = {"event_type": "page_view", "search_query": "search"}
    for name in ("timestamp", "user_id", "session_id", "event_type", *_VALID["purchase"]):
        for how, value in (("absent", ABSENT), ("null", None), ("empty", "")):
            if (name, how) != ("search_query", "empty"):
                start = starts.get(name, "purchase")
                kinds.append(BrokenLine(f"{name} {how}", (f"missing_{name}",), start, {name: value}))
    wrong: tuple[tuple[str, str, str, tuple[Any, ...]], ...] = (
        (
            "bad_timestamp",
            "purchase",
            "timestamp",
            ("yesterday", "2025-13-45T25:61:61Z", "18/11/2025 14:23", 1763475825),
        ),
        ("unknown_event_type", "page_view", "event_type", ("teleport", "PAGE_VIEW")),
        ("bad_quantity", "purchase", "quantity", (0, -1, 2.5, "many")),
        ("bad_price", "purchase", "price", (-1.0, "free", 1e10)),
        ("unexpected_product_id", "search", "product_id", ("p_1001",)),
        ("unexpected_category", "search", "category", ("electronics",)),
        ("unexpected_quantity", "search", "quantity", (1,)),
        ("unexpected_quantity", "page_view", "quantity", (1,)),
        ("unexpected_price", "search", "price", (19.99,)),
        ("unexpected_price", "page_view", "price", (19.99,)),
        ("unexpected_search_query", "page_view", "search_query", ("yoga mat",)),
        ("unexpected_search_query", "purchase", "search_query", ("yoga mat",)),
    )
    for reason, start, name, values in wrong:
        kinds += [BrokenLine(f"{start} with {name} {value}", (reason,), start, {name: value}) for value in values]
    several = ("missing_user_id", "bad_quantity", "bad_price")
    kinds.append(BrokenLine("several", several, changes={"user_id": None, "quantity": 0, "price": -1.0}))
    random.Random("kinds").shuffle(kinds)
    return tuple(kinds)


BROKEN_LINES = _broken_lines()
"""Every kind of broken line, in the order in which files cycle through them."""
