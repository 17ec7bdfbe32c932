"""The compiled part of the engine: found, loaded, and compared with the contract before anything trusts it.

``plain.c`` is compiled when the package is built (``hatch_build.py``); the library lies beside this module. Without it
every line goes through SQL and the exact reader: the same rows, more slowly.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import sys
from functools import cache
from pathlib import Path
from typing import NamedTuple

from shoplake.contract import EVENT_TYPES, FIELD_NAMES, RULES, Rule

NAME = {"win32": "plain.dll", "darwin": "plain.dylib"}.get(sys.platform, "plain.so")
SWITCH = "SHOPLAKE_NATIVE"

# What plain.c was written for: the fingerprint of every rule of the contract. A rule that is changed, added or removed
# switches the library off, until somebody has looked at the code and at tests/native/test_rules.py.
_RULES = "0b40d2109f5c78fc"
_FOLDER = Path(__file__).parent
_POINTER, _LONG = ctypes.c_void_p, ctypes.c_int64


class Availability(NamedTuple):
    """Whether plain lines are read natively.

    Attributes:
        works: Whether they are.
        reason: The library, or why not.
    """

    works: bool
    reason: str


def available() -> Availability:
    """Whether plain lines are read natively, and if not, why."""
    if os.environ.get(SWITCH) == "0":
        return Availability(works=False, reason=f"{SWITCH} is 0")
    library, reason = _loaded()
    return Availability(library is not None, reason)


def load() -> ctypes.CDLL | None:
    """The library with its functions declared, None where :func:`available` says no."""
    return None if os.environ.get(SWITCH) == "0" else _loaded()[0]


def fingerprint(rules: tuple[Rule, ...]) -> str:
    """A short text that changes with any rule."""
    return hashlib.sha256("\n".join(f"{rule.code}: {rule.broken_when}" for rule in rules).encode()).hexdigest()[:16]


@cache
def _loaded() -> tuple[ctypes.CDLL | None, str]:
    path = _FOLDER / NAME
    if not path.is_file():
        return None, "it was not compiled when the package was built"
    try:
        library = ctypes.CDLL(str(path))
        _declare(library)
    except (OSError, AttributeError) as error:
        return None, f"{path} cannot be loaded: {error}"
    reason = _difference(library)
    return (None, reason) if reason else (library, str(path))


def _declare(library: ctypes.CDLL) -> None:
    """Say what the functions take and give. All run without the GIL."""
    for name, result, arguments in (
        ("source", ctypes.c_char_p, ()),
        ("fields", ctypes.c_char_p, ()),
        ("event_types", ctypes.c_char_p, ()),
        ("open", _POINTER, (_LONG, _LONG, ctypes.c_uint64, _POINTER)),
        ("feed", ctypes.c_int, (_POINTER, _POINTER, _LONG)),
        ("finish", ctypes.c_int, (_POINTER,)),
        ("intern", ctypes.c_int, (_POINTER, ctypes.c_int, _POINTER, _POINTER, _LONG, _POINTER)),
        ("rows", _LONG, (_POINTER,)),
        ("view", _LONG, (_POINTER, ctypes.c_int, _POINTER)),
        ("trim", None, (_POINTER,)),
        ("free", None, (_POINTER,)),
        ("hashes", None, (_POINTER, _POINTER, _LONG, _LONG, ctypes.c_uint64, _POINTER)),
        ("add_up", None, (_LONG, *(_POINTER,) * 8)),
        ("find", None, (_POINTER, _LONG, _POINTER, _LONG, _POINTER)),
        ("rank", _LONG, (_POINTER, _POINTER, _LONG, _LONG, _POINTER, _POINTER)),
    ):
        function = getattr(library, f"shoplake_{name}")
        function.restype, function.argtypes = result, arguments


def _difference(library: ctypes.CDLL) -> str:
    """What the library and the contract do not agree on; empty where they do."""
    sources = sorted([*_FOLDER.glob("*.c"), *_FOLDER.glob("*.h")])
    compiled_from = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:16]
    if sources and compiled_from != library.shoplake_source().decode():
        return "it was compiled from other sources; install the package again"
    if fingerprint(RULES) != _RULES:
        return "the contract has rules that it does not know"
    names = (library.shoplake_fields().decode().split(), library.shoplake_event_types().decode().split())
    if names != (list(FIELD_NAMES), list(EVENT_TYPES)):
        return "the contract has fields or event types that it does not know"
    return ""
