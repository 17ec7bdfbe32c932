"""Each rule of the contract is known to the native code: a line that breaks it is left. A new rule switches it off."""

import json

import pytest

from shoplake.contract import FIELD_NAMES, RULES, TOO_LONG, Rule
from shoplake.engines.native import library
from tests.behaviour.test_contract import BROKEN
from tests.native.support import needed, read, taken
from tests.support import event

TYPES = ("page_view", "add_to_cart", "remove_from_cart", "purchase", "search")


@needed
@pytest.mark.parametrize("rule", [rule.code for rule in RULES if rule.code != TOO_LONG])
def test_a_line_that_breaks_a_rule_is_left(rule):
    """Beside lines that are taken, in either spacing."""
    plain = [json.dumps(event(number, name)).encode() for number, name in enumerate(TYPES)]
    lines = [*plain, *BROKEN[rule], *(raw.replace(b": ", b":").replace(b", ", b",") for raw in BROKEN[rule]), *plain]
    numbers = taken(read(b"\n".join(lines)), lines)
    assert numbers == [*range(1, 6), *range(len(lines) - 4, len(lines) + 1)]


@needed
@pytest.mark.parametrize("size", [1 << 10, 1 << 18])
def test_a_line_that_is_too_long_is_left_with_its_first_bytes(size):
    """Wherever blocks end, and its length is known."""
    lines = [json.dumps(event(1)).encode(), b"x" * 9000, json.dumps(event(2, user_id="y" * 9000)).encode()]
    found = read(b"\n".join([*lines, lines[0]]), (size,), longest=8999)
    assert found.left == {2: b"x" * 4096, 3: lines[2][:4096]}
    assert found.sizes == {2: 9000, 3: len(lines[2])}
    assert found.rows.num_rows == 2
    assert read(b"\n".join(lines), (size,), longest=len(lines[2])).rows.num_rows == 2


@needed
def test_a_rule_that_the_code_does_not_know_switches_it_off(monkeypatch):
    """So does one that is gone, or says something else."""
    first, *others = RULES
    for rules in (
        (*RULES, Rule("new_rule", "says something", "quantity = '13'")),
        tuple(others),
        (Rule(first.code, first.meaning, first.broken_when + " OR FALSE"), *others),
    ):
        with monkeypatch.context() as changed:
            changed.setattr(library, "RULES", rules)
            library._loaded.cache_clear()
            assert library.available() == (False, "the contract has rules that it does not know")
            assert library.load() is None
    library._loaded.cache_clear()
    assert library.available().works


@needed
def test_other_fields_or_types_switch_it_off(monkeypatch):
    """The names are compared too."""
    monkeypatch.setattr(library, "FIELD_NAMES", (*FIELD_NAMES, "currency"))
    library._loaded.cache_clear()
    assert not library.available().works
    monkeypatch.undo()
    library._loaded.cache_clear()


def test_it_can_be_switched_off(monkeypatch):
    """By the environment, and the reason says so."""
    monkeypatch.setenv("SHOPLAKE_NATIVE", "0")
    assert library.available() == (False, "SHOPLAKE_NATIVE is 0")
    assert library.load() is None
