"""Experiments: assignment, estimates against plain Python, error rates of the tests, and what is refused."""

# ruff: noqa: DTZ001 - times of the lake are UTC without a zone

import datetime as dt
import json
import random
import statistics
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pytest

import shoplake
from shoplake.errors import UsageError
from shoplake.experiments import METRICS, Metric, assign, compare, sample_ratio
from tests.support import accepted, as_line, command, event, ingest, judge_files, put

VARIANTS = {"control": 1, "treatment": 1}
NAMES = tuple(metric.name for metric in METRICS["user"])


@dataclass
class Unit:
    views: int = 0
    purchases: int = 0
    revenue: float = 0.0
    sessions: set[str] = field(default_factory=set)


def visits(rng, user, hour, purchase_rate):
    """The events of one user in one hour of the day: some views, some of which end in a purchase."""
    for view in range(rng.randint(1, 6)):
        at = dt.datetime(2025, 11, 18, hour, rng.randrange(60), rng.randrange(60), rng.randrange(10**6))
        who = {"timestamp": at.isoformat() + "Z", "user_id": user, "session_id": f"{user}/{hour}/{view % 2}"}
        yield event(0, "page_view", **who)
        if rng.random() < purchase_rate:
            yield event(0, "purchase", **who, quantity=rng.randint(1, 4), price=round(rng.lognormvariate(3, 1), 2))


def shop(folder, users, effect=1.0, experiment="button", seed=1):
    """A lake of four hours, in which users in treatment buy more often in the last two; users differ in how much they buy."""
    rng = random.Random(seed)
    for hour in range(10, 14):
        lines = []
        for number in range(users):
            user = f"u{number}"
            habit = 0.05 + 0.5 * random.Random(number).random() ** 2
            treated = hour >= 12 and assign(experiment, user, VARIANTS) == "treatment"
            lines += visits(rng, user, hour, habit * (effect if treated else 1))
        put(folder / "raw", f"part-{hour}.jsonl.gz", map(as_line, lines))
    ingest(folder / "raw", folder / "lake")
    return folder


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    return shop(tmp_path_factory.mktemp("planted"), 900, effect=1.6)


def per_user(raw, first_hour=0):
    """Each user's views, purchases, revenue and sessions, from the raw lines."""
    users: dict[str, Unit] = defaultdict(Unit)
    for one in accepted(judge_files(raw)):
        if one.time.hour >= first_hour:
            unit = users[one.user]
            unit.sessions.add(one.session)
            unit.views += one.type == "page_view"
            if one.quantity and one.price and one.type == "purchase":
                unit.purchases += 1
                unit.revenue += float(one.quantity * one.price)
    return dict(users)


@pytest.fixture(scope="module")
def units(planted):
    return per_user(planted / "raw", 12)


def look(planted, **more):
    return shoplake.experiment(planted / "lake", "button", start=dt.datetime(2025, 11, 18, 12), **more)


# ------------------------------------------------------------------------------------------------------------ assignment


def test_assignment_is_pinned():
    """The same unit is in the same variant for ever: these are written down, since shops store nothing of it."""
    three = {"a": 1, "b": 1, "c": 2}
    assert [assign("button", f"user-{n}", three) for n in range(12)] == PINNED
    assert assign("größe'\"", "ユーザー", VARIANTS) in VARIANTS


PINNED = list("acabccacccca")


def test_assignment_follows_the_shares_and_is_independent_between_experiments():
    shares = {"a": 0.2, "b": 0.3, "c": 0.5}
    pairs = Counter(assign("one", f"u{n}", shares) + assign("two", f"u{n}", shares) for n in range(20_000))
    expected = {first + second: shares[first] * shares[second] for first in shares for second in shares}
    assert sample_ratio({pair: pairs[pair] for pair in expected}, expected) > 0.001


@pytest.mark.parametrize("name", ["button", "o'neil \\ größe"])
def test_sql_assigns_as_python_does(planted, units, name):
    shares = {"a": 1, "it's b": 1.5, "c": 0.7}
    expected = {variant: sum(assign(name, user, shares) == variant for user in units) for variant in shares}
    start = dt.datetime(2025, 11, 18, 12)
    assert shoplake.experiment(planted / "lake", name, variants=shares, start=start).units == expected


# ------------------------------------------------------------------------------------------------------------- estimates


def test_values_are_those_of_the_raw_lines(planted, units):
    """Every metric of both variants, from the lake and from the raw lines."""
    result = look(planted)
    for position, variant in enumerate(VARIANTS):
        those = [unit for user, unit in units.items() if assign("button", user, VARIANTS) == variant]
        expected = {
            "conversion": sum(unit.purchases > 0 for unit in those) / len(those),
            "revenue_per_user": sum(unit.revenue for unit in those) / len(those),
            "sessions_per_user": sum(len(unit.sessions) for unit in those) / len(those),
            "purchases_per_view": sum(unit.purchases for unit in those) / sum(unit.views for unit in those),
        }
        found = {one.metric: (one.control_value, one.value)[position] for one in result.comparisons}
        assert found == pytest.approx(expected, rel=1e-9)
        assert result.units[variant] == len(those)


def test_intervals_agree_with_the_bootstrap(planted, units):
    """The delta method's intervals are as wide as those of drawing the users again and again."""
    rng = np.random.default_rng(3)
    views = Metric("view_share", "page_views", "events")
    result = {one.metric: one for one in look(planted, metrics=[*METRICS["user"], views]).comparisons}
    ratios = {}
    for variant in VARIANTS:
        those = [unit for user, unit in units.items() if assign("button", user, VARIANTS) == variant]
        drawn = rng.integers(0, len(those), (3000, len(those)))
        sides = {
            "conversion": ([unit.purchases > 0 for unit in those], [1] * len(those)),
            "revenue_per_user": ([unit.revenue for unit in those], [1] * len(those)),
            "purchases_per_view": ([unit.purchases for unit in those], [unit.views for unit in those]),
        }
        sides["view_share"] = ([unit.views for unit in those], [unit.views + unit.purchases for unit in those])
        for name, (above, below) in sides.items():
            again = np.array(above, float)[drawn].sum(axis=1) / np.array(below, float)[drawn].sum(axis=1)
            ratios[name, variant] = again
    for name in ("conversion", "revenue_per_user", "purchases_per_view", "view_share"):
        control, treatment = ratios[name, "control"], ratios[name, "treatment"]
        for spread, low, high in (
            (treatment - control, result[name].low, result[name].high),
            (treatment / control - 1, result[name].lift_low, result[name].lift_high),
        ):
            assert high - low == pytest.approx(2 * 1.96 * spread.std(), rel=0.1)


def test_a_planted_effect_is_found(planted):
    """Treatment buys 1.6 times as often after the start: conversion and purchases per view show it, sessions do not."""
    result = {one.metric: one for one in look(planted).comparisons}
    assert result["purchases_per_view"].significant
    assert result["purchases_per_view"].lift_low < 0.6 < result["purchases_per_view"].lift_high
    assert result["conversion"].significant
    assert result["conversion"].difference > 0
    assert not result["sessions_per_user"].significant


def test_before_the_start_there_is_no_effect(planted):
    result = shoplake.experiment(planted / "lake", "button", end=dt.datetime(2025, 11, 18, 12))
    assert not any(one.significant for one in result.comparisons)


def test_cuped_narrows_what_habit_explains(planted):
    """Users buy as they used to: with the two hours before, less is left to chance, and the effect is still found."""
    plain = {one.metric: one for one in look(planted).comparisons}
    cuped = {one.metric: one for one in look(planted, cuped=timedelta(hours=2)).comparisons}
    for name in ("conversion", "purchases_per_view"):
        assert cuped[name].variance_left < 0.95
        assert cuped[name].high - cuped[name].low < plain[name].high - plain[name].low
        assert cuped[name].significant
    assert all(one.variance_left == 1 for one in plain.values())


def test_sessions_are_units_too(planted):
    result = look(planted, unit="session")
    found = {(one.user, one.session) for one in accepted(judge_files(planted / "raw")) if one.time.hour >= 12}
    assert sum(result.units.values()) == len(found)
    assert {one.metric for one in result.comparisons} == {metric.name for metric in METRICS["session"]}


def test_own_metrics(planted, units):
    """Any SQL over a unit's totals can be compared."""
    (one,) = look(planted, metrics=[Metric("per_session", "revenue", "sessions")]).comparisons
    those = [unit for user, unit in units.items() if assign("button", user, VARIANTS) == "control"]
    expected = sum(unit.revenue for unit in those) / sum(len(unit.sessions) for unit in those)
    assert one.control_value == pytest.approx(expected)


# ----------------------------------------------------------------------------------------------------------- error rates


def columns(units):
    rows = list(units.values())
    one = np.ones(len(rows))
    return {
        "conversion": (np.array([row.purchases > 0 for row in rows], float), one),
        "revenue_per_user": (np.array([row.revenue for row in rows]), one),
        "sessions_per_user": (np.array([len(row.sessions) for row in rows], float), one),
        "purchases_per_view": (
            np.array([row.purchases for row in rows], float),
            np.array([row.views for row in rows], float),
        ),
    }


def test_an_experiment_without_effect_is_significant_as_often_as_stated(tmp_path):
    """A/A: 1,000 splits of the same users by :func:`assign`; 5 % of them show a difference, by chance (3.2 to 7.0 %)."""
    shop(tmp_path, 600)
    found = per_user(tmp_path / "raw")
    values, users = columns(found), list(found)
    wrong, mismatches = dict.fromkeys(values, 0), 0
    for split in range(1000):
        drawn = np.array([assign(f"aa-{split}", user, VARIANTS) for user in users])
        members = {variant: drawn == variant for variant in VARIANTS}
        mismatches += sample_ratio({variant: int(those.sum()) for variant, those in members.items()}, VARIANTS) < 0.05
        for name, now in values.items():
            wrong[name] += compare(name, members, now, None, 0.95)[0].significant
    assert all(32 <= number <= 70 for number in wrong.values()), wrong
    assert 32 <= mismatches <= 70


@pytest.mark.parametrize("with_cuped", [False, True])
def test_intervals_cover_a_known_effect_as_often_as_stated(with_cuped):
    """Users drawn from a known world, 1,000 times: 95 % of the intervals hold the true difference (93.0 to 96.8 %)."""
    rng = np.random.default_rng(11)
    covered, narrower = 0, []
    for _ in range(1000):
        habit = rng.gamma(2, 1, 600)
        treated = rng.random(600) < 0.5
        views = rng.poisson(3 * habit) + 1.0
        above = rng.poisson(views * 0.2 * (1 + 0.3 * treated)).astype(float)
        earlier = (rng.poisson(3 * habit).astype(float), np.ones(600))
        members = {"control": ~treated, "treatment": treated}
        before = earlier if with_cuped else None
        one = compare("purchases", members, (above, np.ones(600)), before, 0.95)[0]
        covered += one.low < 0.2 * 0.3 * (3 * 2 + 1) < one.high
        narrower.append(one.variance_left)
    assert 930 <= covered <= 968
    assert (np.mean(narrower) < 0.8) == with_cuped


# -------------------------------------------------------------------------------------------------------- what is refused


def test_a_sample_ratio_mismatch_is_seen(planted):
    """Units that went missing in one variant make the comparison worthless."""
    with shoplake.open(planted / "lake") as lake:
        users = [row[0] for row in lake.sql("SELECT DISTINCT user_id FROM user_hourly ORDER BY 1").fetchall()]
        drawn = [assign("button", user, VARIANTS) for user in users]
        kept = [n for n, variant in enumerate(drawn) if variant == "control" or n % 3]
        rows = pa.table({"unit": [users[n] for n in kept], "variant": [drawn[n] for n in kept]})
        result = shoplake.experiment(lake, "button", assignments=rows)
    assert result.sample_ratio_mismatch
    assert not look(planted).sample_ratio_mismatch
    assert result.as_json()["sample_ratio_mismatch"] is True


def test_assignments_of_ones_own(planted, units):
    """Given assignments replace the hash; users without one are left out, and one that did nothing is not."""
    users = sorted(units)[:300]
    rows = pa.table(
        {"unit": [*users, "nobody"], "variant": ["b" if int(user[1:]) % 2 else "a" for user in users] + ["a"]}
    )
    result = look(planted, variants={"a": 1, "b": 1}, assignments=rows)
    assert result.units == {variant: rows.column("variant").to_pylist().count(variant) for variant in "ab"}


def test_every_listed_unit_counts(tmp_path):
    """8,000 units, split evenly, 12.0 against 13.6 % of them buy: as in plain Python, and without an alarm."""
    active = {"control": (1611, 480), "treatment": (1863, 544)}
    lines = []
    for variant, (visitors, buyers) in active.items():
        for number in range(visitors):
            who = {"user_id": f"{variant}-{number}", "session_id": f"s-{variant}-{number}"}
            lines += [event(0, "page_view", **who), *([event(1, "purchase", **who)] if number < buyers else [])]
    put(tmp_path / "raw", 0, lines)
    ingest(tmp_path / "raw", tmp_path / "lake")
    listed = [(f"{variant}-{number}", variant) for variant in active for number in range(4000)]
    (tmp_path / "units.csv").write_text("unit,variant\n" + "".join(f"{unit},{variant}\n" for unit, variant in listed))
    told = command(
        "experiment", "x", "--lake", tmp_path / "lake", "--assignments", tmp_path / "units.csv", "--format", "json"
    )
    assert (told.json["units"], told.json["sample_ratio_mismatch"]) == ({"control": 4000, "treatment": 4000}, False)
    found = next(one for one in told.json["comparisons"] if one["metric"] == "conversion")
    rates = [buyers / 4000 for _, buyers in active.values()]
    error = sum(rate * (1 - rate) / 3999 for rate in rates) ** 0.5
    normal = statistics.NormalDist()
    assert (found["control_value"], found["value"]) == pytest.approx(rates)
    assert rates == [0.12, 0.136]
    assert found["p_value"] == pytest.approx(2 * (1 - normal.cdf((rates[1] - rates[0]) / error)), abs=1e-3)
    assert found["p_value"] == pytest.approx(0.032, abs=1e-3)
    half = normal.inv_cdf(0.975) * error
    assert (found["low"], found["high"]) == pytest.approx((0.016 - half, 0.016 + half), abs=1e-5)


def test_units_that_are_numbers(tmp_path):
    """A list of numbers means the ids that are written like them."""
    put(tmp_path / "raw", 0, [event(n, "purchase" if n % 2 else "page_view", user_id=str(n)) for n in range(8)])
    ingest(tmp_path / "raw", tmp_path / "lake")
    rows = pa.table({"unit": list(range(8)), "variant": ["control", "treatment"] * 4})
    result = shoplake.experiment(tmp_path / "lake", "x", assignments=rows)
    conversion = next(one for one in result.comparisons if one.metric == "conversion")
    assert (result.units, conversion.control_value, conversion.value) == ({"control": 4, "treatment": 4}, 0, 1)


def test_cuped_begins_after_a_time_of_its_own(planted):
    """Without a start, the window begins that much after the lake's first hour, so there is something before it."""
    result = shoplake.experiment(planted / "lake", "button", cuped=timedelta(hours=2))
    assert result.start == dt.datetime(2025, 11, 18, 12)
    assert result == look(planted, cuped=timedelta(hours=2))
    assert any(one.variance_left < 0.99 for one in result.comparisons)


def test_days_are_times(planted):
    """A day stands for its first moment."""
    by_day = shoplake.experiment(planted / "lake", "button", start=dt.date(2025, 11, 18), end=dt.date(2025, 11, 19))
    whole = shoplake.experiment(
        planted / "lake", "button", start=dt.datetime(2025, 11, 18), end=dt.datetime(2025, 11, 19)
    )
    assert by_day == whole


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"unit": "shop"}, "no unit 'shop'"),
        ({"variants": {"only": 1}}, "at least two variants"),
        ({"variants": {"a": 1, "b": 0}}, "above 0"),
        ({"confidence": 95}, "confidence must be a number from 0.01 to 0.9999, not 95"),
        ({"cuped": timedelta(minutes=5)}, "whole number of hours"),
        ({"start": dt.datetime(2025, 11, 18, 12, 30)}, "not a whole hour"),
        ({"start": dt.datetime(2025, 11, 19)}, "not before the end"),
        ({"variants": {"a": 1, "b": 1e-9}}, "variant 'b' has 0 active units"),
        ({"variants": {"a": 1, "b": 1e-20}}, "variant 'b' has 0 active units"),
        ({"metrics": [Metric("x", "clicks")]}, "not valid SQL over the totals of a unit"),
        ({"assignments": pa.table({"unit": ["u1", "u1"], "variant": ["control", "treatment"]})}, "several variants"),
        ({"assignments": pa.table({"unit": ["u1"], "variant": ["x"]})}, "a variant 'x'"),
        ({"assignments": pa.table({"user": ["u1"]})}, "cannot be read"),
        ({"assignments": pa.table({"unit": ["u1", None], "variant": ["control", "control"]})}, "1 of 2 assignments"),
        ({"assignments": pa.table({"unit": [7, 8], "variant": ["control", "treatment"]})}, "none of the 2 assigned"),
        ({"metrics": [Metric("b", "revenue / purchases")]}, r"metric b is not a finite number for \d+ of"),
        ({"metrics": [Metric("b", "1", "1.0 / 0")]}, "metric b is not a finite number"),
        ({"cuped": timedelta(days=7)}, "CUPED needs a time before the window"),
        ({"cuped": timedelta(hours=1), "start": dt.datetime(2025, 11, 18, 10)}, "CUPED needs a time before the window"),
    ],
)
def test_questions_that_cannot_be_answered(planted, wrong, said):
    with pytest.raises(UsageError, match=said):
        shoplake.experiment(planted / "lake", "button", **wrong)


def test_nothing_varies(planted):
    """A metric that is the same for every unit has no p-value and is no news."""
    (one,) = look(planted, metrics=[Metric("one", "1")]).comparisons
    assert (one.difference, one.p_value, one.significant) == (0, None, False)


# ----------------------------------------------------------------------------------------------------------- command line


def test_the_command_prints_what_python_gives(planted, tmp_path):
    told = command(
        "experiment", "button", "--lake", planted / "lake", "--from", "2025-11-18T12:00Z", "--format", "json"
    )
    assert json.loads(told.out) == json.loads(json.dumps(look(planted).as_json()))
    (tmp_path / "units.csv").write_text("unit,variant\n" + "".join(f"u{n},{'ab'[n % 2]}\n" for n in range(900)))
    told = command(
        *("experiment", "x", "--lake", planted / "lake", "--variants", "a=1,b=1", "--cuped-days", "0.125"),
        *("--from", "2025-11-18T13:00Z", "--assignments", tmp_path / "units.csv"),
    )
    assert "450 users in a, 450 users in b" in told.out
    assert "Variance remaining after CUPED" in told.out


@pytest.mark.parametrize("variants", ["a=x,b=1", "a=1,a=2"])
def test_the_command_refuses_strange_variants(planted, variants):
    told = command("experiment", "x", "--lake", planted / "lake", "--variants", variants)
    assert told.code == 2
    assert "--variants" in told.err
