"""Experiments, option by option, against plain Python over the raw lines: exposures, metrics, breakdowns, plans, reports."""

# ruff: noqa: DTZ001 - times of the lake are UTC without a zone

import datetime as dt
import json
import math
import random
import statistics
import xml.etree.ElementTree as ET
from collections import defaultdict
from datetime import timedelta
from html.parser import HTMLParser

import pyarrow as pa
import pytest

import shoplake
from shoplake.errors import UsageError
from shoplake.experiments import Metric, assign, plan
from shoplake.experiments.metrics import parse
from tests.support import accepted, as_line, command, event, ingest, judge_files, put

VARIANTS = {"control": 1, "treatment": 1}
START, END = dt.datetime(2025, 11, 18), dt.datetime(2025, 11, 21)
CATEGORIES = ("books", "it's", "toys")


def some_events(rng, user):
    """Three days of a user, with one session a day that lasts over an hour and over midnight."""
    for day in range(3):
        for step in range(rng.randint(1, 6)):
            at = START + timedelta(days=day, hours=21 + rng.randrange(3), microseconds=rng.randrange(3_600_000_000))
            kind = rng.choice(["page_view", "page_view", "add_to_cart", "purchase", "search"])
            who = {"timestamp": at.isoformat() + "Z", "user_id": user, "session_id": f"{user}/{(day + step // 4) % 3}"}
            amount = {"quantity": rng.randint(1, 3), "price": round(rng.lognormvariate(3, 1), 2)}
            where = {"category": None if kind == "search" else rng.choice(CATEGORIES)}
            yield event(0, kind, **who, **where, **(amount if kind in {"purchase", "add_to_cart"} else {}))


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shop")
    rng = random.Random(5)
    put(folder / "raw", 0, [as_line(line) for number in range(90) for line in some_events(rng, f"u{number}")])
    ingest(folder / "raw", folder / "lake")
    return folder


@pytest.fixture(scope="module")
def lines(shop):
    return accepted(judge_files(shop / "raw"))


def revenue(lines):
    return float(sum(one.quantity * one.price for one in lines if one.type == "purchase"))


def by_variant(value, units=None):
    """The mean of a value over the units of each variant; for units of the hash, all users."""
    units = units or {f"u{number}": assign("x", f"u{number}", VARIANTS) for number in range(90)}
    groups = defaultdict(list)
    for unit, variant in units.items():
        groups[variant].append(value(unit))
    return [statistics.mean(groups[variant]) for variant in VARIANTS]


def only(result):
    (one,) = result.comparisons if hasattr(result, "comparisons") else result
    return one


def values(result):
    return [only(result).control_value, only(result).value]


# -------------------------------------------------------------------------------------------------------------- exposures


def exposures(*, in_hours=False):
    """When each user was first exposed; every fifth was exposed again later, and some too late to count."""
    rng = random.Random(7)
    first = {f"u{number}": START + timedelta(seconds=rng.uniform(0, 3.2 * 86400)) for number in range(90)}
    if in_hours:
        first = {user: at.replace(minute=0, second=0, microsecond=0) for user, at in first.items()}
    variants = {user: "treatment" if int(user[1:]) % 2 else "control" for user in first}
    rows = list(first.items())
    rows += [(user, at + timedelta(hours=1)) for user, at in rows[::5]]
    rng.shuffle(rows)
    table = {"unit": [row[0] for row in rows], "variant": [variants[row[0]] for row in rows]}
    return first, variants, pa.table(table | {"exposed_at": [row[1] for row in rows]})


@pytest.mark.parametrize("in_hours", [False, True])
@pytest.mark.parametrize("within", [None, timedelta(hours=25)])
def test_only_what_follows_the_exposure_counts(shop, lines, in_hours, within):
    """To the microsecond, though the tables are by the hour, and for a time; who was exposed too late is left out."""
    first, variants, rows = exposures(in_hours=in_hours)
    until = {user: min(END, at + within) if within else END for user, at in first.items()}
    counted = {user for user, at in first.items() if at < END and (within is None or at + within <= END)}
    result = shoplake.experiment(
        shop / "lake",
        "x",
        end=END,
        assignments=rows,
        within=within,
        metrics=["m=revenue", "n=sessions", "v=page_views"],
    )
    own = {
        user: [one for one in lines if one.user == user and first[user] <= one.time < until[user]] for user in counted
    }
    expected = (
        lambda user: revenue(own[user]),
        lambda user: len({one.session for one in own[user]}),
        lambda user: sum(one.type == "page_view" for one in own[user]),
    )
    units = {user: variants[user] for user in counted}
    for one, value in zip(result.comparisons, expected, strict=True):
        assert [one.control_value, one.value] == pytest.approx(by_variant(value, units))
    assert (sum(result.units.values()), result.left_out) == (len(counted), 90 - len(counted))


def test_files_that_cannot_be_read(shop, tmp_path):
    """A folder is not read through, and of DuckDB's error only what is wrong is shown."""
    (tmp_path / "units.csv").write_bytes(b"unit,variant\n\xff,control\n")
    for name, words in (("", "is a folder"), ("units.csv", "not utf-8"), ("none.csv", "No files found")):
        told = command("experiment", "x", "--lake", shop / "lake", "--assignments", tmp_path / name)
        assert (told.code, words in told.err, "strict_mode" in told.err) == (2, True, False)


def test_times_of_a_file(shop, tmp_path):
    """CSV has times as texts; with an offset they mean that moment."""
    first, variants, rows = exposures()
    east = dt.timezone(timedelta(hours=9))
    texts = [at.replace(tzinfo=dt.UTC).astimezone(east).isoformat() for at in first.values()]
    listed = [f"{unit},{variants[unit]},{text}" for unit, text in zip(first, texts, strict=True)]
    (tmp_path / "units.csv").write_text("\n".join(["unit,variant,exposed_at", *listed]))
    told = command(
        *("experiment", "x", "--lake", shop / "lake", "--assignments", tmp_path / "units.csv"),
        *("--within-hours", "25", "--to", END.isoformat(), "--format", "json"),
    )
    result = shoplake.experiment(shop / "lake", "x", assignments=rows, end=END, within=timedelta(hours=25))
    assert told.json == json.loads(json.dumps(result.as_json()))


def test_before_the_exposure_is_a_time_for_cuped(shop, lines):
    """What everybody did before the start explains, whenever each was exposed."""
    first, variants, rows = exposures()
    later = {user: max(at, START + timedelta(days=1)) for user, at in first.items()}
    rows = pa.table({"unit": list(later), "variant": [variants[u] for u in later], "exposed_at": list(later.values())})
    result = shoplake.experiment(
        *(shop / "lake", "x"),
        assignments=rows,
        start=dt.date(2025, 11, 19),
        cuped=timedelta(hours=3),
        metrics=["conversion"],
    )
    assert only(result).variance_left < 1


# --------------------------------------------------------------------------------------------------------------- metrics


@pytest.mark.parametrize(
    ("text", "metric"),
    [
        ("basket=revenue / purchases", Metric("basket", "revenue", "purchases")),
        ("buyers = purchases > 0", Metric("buyers", "purchases > 0")),
        ("m=(revenue / 2) / (1 + page_views / 2)", Metric("m", "(revenue / 2)", "(1 + page_views / 2)")),
        ("m=CAST('1/2' = 'x' AS INTEGER)", Metric("m", "CAST('1/2' = 'x' AS INTEGER)")),
        ("m=median(revenue)", Metric("m", "revenue", quantile=0.5)),
        ("m=P99.9(nullif(revenue, 0))", Metric("m", "nullif(revenue, 0)", quantile=0.999)),
        ("m=median(a) - (b)", Metric("m", "median(a) - (b)")),
    ],
)
def test_a_metric_as_text(text, metric):
    assert parse(text) == metric
    assert parse(str(metric)) == metric


@pytest.mark.parametrize("text", ["x", "=revenue", "a b=revenue", "m=", "m=a / b / c", "m=revenue /", "m=p0(revenue)"])
def test_what_is_no_metric(text):
    with pytest.raises(UsageError) as raised:
        parse(text)
    assert raised.value.remedy


def test_metrics_by_name_from_the_file_and_from_the_command_line(shop, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shoplake.toml").write_text('[metrics]\nbasket = "revenue / purchases"\n')
    run = ("experiment", "x", "--lake", shop / "lake", "--format", "json")
    assert [one["metric"] for one in command(*run).json["comparisons"]][-2:] == ["purchases_per_view", "basket"]
    told = command(*run, "--metric", "basket", "--metric", "v=page_views", "--metric", "conversion").json["comparisons"]
    assert [one["metric"] for one in told] == ["basket", "v", "conversion"]
    assert command("status", "--lake", shop / "lake").code != 2
    (tmp_path / "shoplake.toml").write_text("[metrics]\nbasket = 5\n")
    refused = command(*run)
    assert (refused.code, "[metrics] must give each name a text" in refused.err) == (2, True)


def test_sessions_of_several_hours_count_once(shop, lines):
    result = shoplake.experiment(shop / "lake", "x", metrics=["sessions_per_user"])
    sessions = {user: {one.session for one in lines if one.user == user} for user in {one.user for one in lines}}
    assert max(len({one.time.hour for one in lines if one.session == session}) for session in sessions["u1"]) > 1
    assert values(result) == pytest.approx(by_variant(lambda user: len(sessions[user])))


def test_a_quantile_of_the_buyers(shop, lines):
    """Units without a value are left out; the interval lies between two of the buyers' values."""
    result = shoplake.experiment(shop / "lake", "x", metrics=["typical=median(nullif(revenue, 0))"])
    spent = {f"u{number}": revenue([one for one in lines if one.user == f"u{number}"]) for number in range(90)}
    for value, variant in zip(values(result), VARIANTS, strict=True):
        those = sorted(v for u, v in spent.items() if v and assign("x", u, VARIANTS) == variant)
        assert value == pytest.approx(those[math.ceil(len(those) / 2) - 1])
    one = only(result)
    assert one.low < one.difference < one.high
    with pytest.raises(UsageError, match="no value for any unit of a variant"):
        shoplake.experiment(shop / "lake", "x", metrics=["none=median(nullif(revenue, revenue))"])


def test_a_quantile_of_equal_numbers_is_not_called_significant(shop):
    """All views of a variant's users may be the same number; how sure that is, nobody knows."""
    rows = pa.table({"unit": [f"u{n}" for n in range(90)], "variant": ["control", "treatment"] * 45})
    flat = "m=median(CASE WHEN unit_of_two THEN 1 ELSE 2 END)".replace("unit_of_two", "page_views >= 0")
    one = only(shoplake.experiment(shop / "lake", "x", assignments=rows, metrics=[flat]))
    assert (one.difference, one.p_value, one.significant) == (0, None, False)


def test_winsorized(shop, lines):
    """Values beyond the percentile of all buyers together are that percentile."""
    result = shoplake.experiment(shop / "lake", "x", metrics=["revenue_per_user"], winsorize=0.9)
    spent = {f"u{number}": revenue([one for one in lines if one.user == f"u{number}"]) for number in range(90)}
    some = sorted(value for value in spent.values() if value)
    most = some[math.ceil(0.9 * len(some)) - 1]
    assert values(result) == pytest.approx(by_variant(lambda user: min(spent[user], most)))
    plain = shoplake.experiment(shop / "lake", "x", metrics=["revenue_per_user"])
    assert only(result).high - only(result).low < only(plain).high - only(plain).low


# ------------------------------------------------------------------------------------------- several comparisons and looks


def test_p_values_are_corrected_for_all_comparisons(shop):
    """Holm by default: the smallest p-value times their number, and so on."""
    names = {"a": 1, "b": 1, "c": 1}
    result = shoplake.experiment(shop / "lake", "x", variants=names)
    ordered = sorted((one for one in result.comparisons if one.p_value is not None), key=lambda one: one.p_value or 0)
    assert len(ordered) > 4
    least = 0.0
    for rank, one in enumerate(ordered):
        least = max(least, min(1.0, (one.p_value or 0) * (len(ordered) - rank)))
        assert one.p_adjusted == pytest.approx(least)
        assert one.significant == (least < 0.05)
    plain = shoplake.experiment(shop / "lake", "x", variants=names, correction="none")
    assert all(one.p_adjusted == one.p_value for one in plain.comparisons)


def test_intervals_for_many_looks_are_wider(shop):
    one = only(shoplake.experiment(shop / "lake", "x", metrics=["conversion"]))
    always = shoplake.experiment(shop / "lake", "x", metrics=["conversion"], sequential=90)
    assert always.sequential
    assert 1.2 < (only(always).high - only(always).low) / (one.high - one.low) < 2
    told = command(
        *("experiment", "x", "--lake", shop / "lake", "--metric", "conversion"),
        *("--sequential-units", "90", "--format", "json"),
    )
    assert told.json == json.loads(json.dumps(always.as_json()))


# ------------------------------------------------------------------------------------------------------- by day and by category


def test_by_category(shop, lines):
    """Every user counts in every category, so that the categories add up to the whole."""
    result = shoplake.experiment(shop / "lake", "x", metrics=["revenue_per_user", "n=sessions"], by=["category"])
    parts = result.breakdowns["category"]
    assert [part.name for part in parts] == list(CATEGORIES)
    for part in parts:
        own = [one for one in lines if one.category == part.name]
        spent, sessions = part.comparisons
        assert [spent.control_value, spent.value] == pytest.approx(
            by_variant(lambda user, own=own: revenue([one for one in own if one.user == user]))
        )
        assert [sessions.control_value, sessions.value] == pytest.approx(
            by_variant(lambda user, own=own: len({one.session for one in own if one.user == user}))
        )
        assert part.units == result.units
    whole = sum(part.comparisons[0].difference for part in parts)
    assert whole == pytest.approx(result.comparisons[0].difference)


def test_by_day_and_cumulative(shop):
    """A day is an experiment over that day; the growing time ends with the whole, at every look."""
    by = ("day", "cumulative")
    result = shoplake.experiment(shop / "lake", "x", start=START, metrics=["conversion"], by=by)
    assert [part.name for part in result.breakdowns["day"]] == ["2025-11-18", "2025-11-19", "2025-11-20"]
    second = shoplake.experiment(
        shop / "lake", "x", start=dt.date(2025, 11, 19), end=dt.date(2025, 11, 20), metrics=["conversion"]
    )
    day, last = result.breakdowns["day"][1], result.breakdowns["cumulative"][-1]
    assert (day.units, only(day).difference, only(day).low) == (
        *(second.units, only(second).difference),
        only(second).low,
    )
    assert (only(day).p_adjusted or 0) > (only(day).p_value or 1)  # of three
    always = shoplake.experiment(shop / "lake", "x", start=START, metrics=["conversion"], sequential=True)
    assert last.comparisons == always.comparisons


def test_the_effect_by_day_of_exposures(shop, lines):
    """Until the end of a day, those count that were exposed by then."""
    first, variants, rows = exposures()
    result = shoplake.experiment(
        shop / "lake", "x", start=START, end=END, assignments=rows, metrics=["m=revenue"], by=["cumulative"]
    )
    end = dt.datetime(2025, 11, 20)
    units = {user: variants[user] for user, at in first.items() if at < end}
    part = result.breakdowns["cumulative"][1]
    own = [one for one in lines if one.time < end]
    expected = by_variant(
        lambda user: revenue([one for one in own if one.user == user and one.time >= first[user]]), units
    )
    assert [only(part).control_value, only(part).value] == pytest.approx(expected)


# ------------------------------------------------------------------------------------------------------------------ plans


def test_a_plan_follows_from_the_history(shop, lines):
    """Units, baseline and spread of one day and of two, and what is to be found with 80 % power, in plain Python."""
    found = plan(shop / "lake", "m=revenue", start=START, end=END, variants={"a": 3, "b": 1}, traffic=0.5, lift=0.9)
    normal = statistics.NormalDist()
    for days in (1, 2):
        own = [one for one in lines if one.time < START + timedelta(days=days)]
        spent = [revenue([one for one in own if one.user == user]) for user in {one.user for one in own}]
        units, mean, deviation = len(spent), statistics.mean(spent), statistics.stdev(spent)
        error = deviation * (1 / (units * 0.375) + 1 / (units * 0.125)) ** 0.5
        step = next(step for step in found.steps if step.days == days)
        assert [step.units, step.baseline, step.deviation] == pytest.approx([round(units / 2), mean, deviation])
        effect = (normal.inv_cdf(0.975) + normal.inv_cdf(0.8)) * error
        assert step.smallest_effect == pytest.approx(effect)
        assert not step.extrapolated
    assert found.days_needed is None  # the same 90 users every day: no length is enough
    steps = plan(shop / "lake", "m=page_views>0", start=START, end=END).steps
    one, two = (step.smallest_lift or 0 for step in steps[:2])
    assert one > two > 0
    for lift, days in ((one, 1), ((one + two) / 2, 2)):
        assert plan(shop / "lake", "m=page_views>0", start=START, end=END, lift=lift).days_needed == days


def test_a_plan_in_the_terminal(shop):
    told = command("experiment", "plan", "--lake", shop / "lake", "--lift", "0.5")
    assert "To find a lift of 50.00% takes" in told.out
    told = command("experiment", "plan", "--lake", shop / "lake", "--lift", "0.5", "--sequential", "--format", "json")
    assert told.json == json.loads(json.dumps(plan(shop / "lake", lift=0.5, sequential=True).as_json()))
    once = plan(shop / "lake", lift=0.5)
    assert all(
        always["smallest_effect"] > one.smallest_effect
        for always, one in zip(told.json["steps"], once.steps, strict=False)
    )
    csv = command("experiment", "plan", "--lake", shop / "lake", "--format", "csv").out
    assert csv.startswith("days,units,baseline,deviation,smallest_effect,smallest_lift,extrapolated\n")


# ---------------------------------------------------------------------------------------------------------------- reports


class Page(HTMLParser):
    """What a page loads, and its words."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.loads, self.words = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.loads += [value for name, value in attrs if name in {"src", "href"} or name.startswith("on")]

    def handle_data(self, data):
        self.words.append(data)


def test_the_report_is_one_page_with_the_sample_ratio_first(shop, tmp_path):
    hostile = "<script>alert(1)</script>"
    out = tmp_path / "report.html"
    told = command(
        *("experiment", "x", "--lake", shop / "lake", "--variants", f"control=1,{hostile}=1"),
        *("--by", "category", "--out", out, "--metric", "conversion", "--metric", "revenue_per_user"),
    )
    assert told.code == 0, told.err
    page = Page(out.read_text("utf-8"))
    assert (page.loads, "script" in page.tags) == ([], False)
    headings = ["Sample ratio", "Effects", "By category", "Effect until the end of each day"]
    assert [word for word in page.words if word in headings] == headings
    assert any(hostile in word for word in page.words)
    charts = [ET.fromstring(f"<svg{part.partition('</svg>')[0]}</svg>") for part in out.read_text().split("<svg")[1:]]  # noqa: S314
    assert len(charts) == 1 + 2 + 2  # all effects, two metrics by category, two by day
    points = {len(line.attrib["points"].split()) for chart in charts for line in chart.iter("polyline")}
    assert points == {3}


def test_a_mismatch_comes_before_everything_else(shop):
    rows = pa.table({"unit": [f"u{n}" for n in range(90)], "variant": ["control"] * 70 + ["treatment"] * 20})
    page = shoplake.experiment(shop / "lake", "x", assignments=rows).report()
    assert page.index("<strong>Mismatch</strong>") < page.index("Effects")


# --------------------------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"within": timedelta(hours=1)}, "needs the times of exposure"),
        ({"within": timedelta(minutes=1)}, "whole number of hours"),
        ({"winsorize": 99}, "winsorize must be a number from 0.01"),
        ({"correction": "bonferroni"}, "there is no correction 'bonferroni'"),
        ({"by": ["week"]}, "no breakdown by 'week'"),
        ({"sequential": 0}, "sequential must be a number from 1"),
        ({"metrics": ["basket"]}, "no metric 'basket'"),
        ({"metrics": ["conversion", "conversion"]}, "given twice"),
        ({"metrics": ["m=p50(clicks)"]}, "not valid SQL over the totals of a unit"),
        ({"metrics": ["m=p50(1.0 / 0)"]}, "not a finite number"),
        (
            {"assignments": pa.table({"unit": ["u1"], "variant": ["control"], "exposed_at": ["soon"]})},
            "assignments cannot be read",
        ),
        (
            {
                "assignments": pa.table(
                    {
                        "unit": ["u1", "u2"],
                        "variant": ["control"] * 2,
                        "exposed_at": pa.array([START, None], pa.timestamp("us")),
                    }
                )
            },
            "1 of 2 assignments have no exposed_at",
        ),
    ],
)
def test_questions_that_cannot_be_answered(shop, wrong, said):
    with pytest.raises(UsageError, match=said):
        shoplake.experiment(shop / "lake", "x", **wrong)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"metric": "m=1"}, "metric m is the same for every unit"),
        ({"traffic": 2}, "traffic must be"),
        ({"lift": 0}, "lift must be"),
        ({"unit": "shop"}, "no unit 'shop'"),
    ],
)
def test_plans_that_cannot_be_made(shop, wrong, said):
    with pytest.raises(UsageError, match=said):
        plan(shop / "lake", **wrong)
