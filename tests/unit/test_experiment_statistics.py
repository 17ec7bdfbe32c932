"""The statistics of experiments, held to public implementations and to simulations with the stated error rates."""

import math

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats
from scipy.stats import mstats

from shoplake.experiments import Method, compare, corrected, sequential
from shoplake.experiments.corrections import benjamini_hochberg, holm
from shoplake.experiments.estimates import outer_interval, winsorized
from shoplake.experiments.power import Design
from shoplake.experiments.statistics import sample_ratio
from tests.support import proofs

SOME, MANY = 1000, 20_000


def within(share, simulations):
    """The number of simulations that a share of them stands for, give or take four standard deviations."""
    spread = 4 * math.sqrt(share * (1 - share) * simulations)
    return pytest.approx(share * simulations, abs=spread)


@pytest.fixture(scope="module")
def world():
    """4,000 users: views, purchases that treatment makes more likely, and both before the experiment."""
    rng = np.random.default_rng(1)
    habit, treated = rng.gamma(2, 1, 4000), rng.integers(0, 2, 4000)
    views = rng.poisson(3 * habit) + 1.0
    return {
        "variant": treated,
        "views": views,
        "purchases": rng.poisson(views * 0.2 * (1 + 0.1 * treated)).astype(float),
        "purchases_before": rng.poisson(habit).astype(float),
        "views_before": rng.poisson(3 * habit) + 1.0,
    }


# ------------------------------------------------------------------------------------------------------ public references


def one(world, now, before=None, **more):
    """The comparison of a ratio of two columns; a column of None is 1."""
    variant = world["variant"]
    members = {"control": variant == 0, "treatment": variant == 1}

    def pair(names):
        return tuple(np.ones(len(variant)) if name is None else world[name] for name in names)

    return compare("m", members, pair(now), before and pair(before), **more)[0]


def test_means_and_ratios_are_those_of_tea_tasting(world):
    import tea_tasting as tea  # late, as what is imported here: each worker that collects the tests would pay for it

    reference = tea.Experiment(
        mean=tea.Mean("purchases"),
        ratio=tea.RatioOfMeans("purchases", "views"),
        cuped=tea.Mean("purchases", "purchases_before"),
    ).analyze(pa.table(world))
    for name, now, before, rel in (
        ("mean", ("purchases", None), None, 1e-9),
        ("ratio", ("purchases", "views"), None, 1e-9),
        ("cuped", ("purchases", None), ("purchases_before", None), 1e-3),  # its slope is not from within the variants
    ):
        ours, theirs = one(world, now, before), reference[name]
        assert (ours.control_value, ours.value) == pytest.approx((theirs.control, theirs.treatment), rel=rel)
        assert (ours.low, ours.high) == pytest.approx(
            (theirs.effect_size_ci_lower, theirs.effect_size_ci_upper), rel=rel
        )
        assert ours.p_value == pytest.approx(theirs.pvalue, rel=10 * rel)


def test_a_mean_is_tested_as_scipy_does(world):
    treated = world["variant"] == 1
    test = stats.ttest_ind(world["views"][treated], world["views"][~treated], equal_var=False)
    interval = test.confidence_interval(0.9)
    ours = one(world, ("views", None), method=0.9)
    assert (ours.p_value, ours.low, ours.high) == pytest.approx((test.pvalue, interval.low, interval.high), rel=1e-9)


def test_the_sample_ratio_is_tested_as_scipy_does():
    units, shares = {"a": 520, "b": 460, "c": 1003}, {"a": 1, "b": 1, "c": 2}
    expected = [1983 / 4, 1983 / 4, 1983 / 2]
    assert sample_ratio(units, shares) == pytest.approx(stats.chisquare(list(units.values()), expected).pvalue)


# gbstats 0.8.0, GrowthBook's engine, which wants a numpy of before 2: what its tests return for the numbers below. Of
# quantiles its variance is that of n - 1 instead of n, and its test is Student's.
GROWTHBOOK = {
    ("mean", "at the end"): (0.43232499999999874, -2.1688006688363046, 3.033450668836302, 0.7440381689068629),
    ("mean", "always"): (0.43232499999999874, -3.595689359109725, 4.460339359109723, 1.0),
    ("ratio", "at the end"): (0.04838738638515183, -0.22633276751409848, 0.32310754028440214, 0.729356996809613),
    ("ratio", "always"): (0.04838738638515183, -0.3770781444300908, 0.47385291720039446, 1.0),
    ("shifted", "always"): (4.432324999999999, 0.4043106408902748, 8.460339359109723, 0.02030468982896572),
    ("median", "at the end"): (-1.5899999999999963, -6.185002397683542, 3.0050023976835494, 0.49673159534431544),
    ("p90", "at the end"): (1.1999999999999957, 0.2678966169612388, 2.1321033830387526, 0.011840202704764824),
}


@pytest.mark.parametrize(("metric", "looks"), GROWTHBOOK)
def test_the_same_as_growthbook(metric, looks):
    n = np.arange(1, 601.0)
    treated = np.arange(600) % 3 == 1
    shift = 6 if metric == "shifted" else 2
    values = np.round(50 * np.abs(np.sin(n * n)), 2) + np.where(treated, shift, 0)
    counts = 5 + np.floor(10 * np.abs(np.cos(3 * n)))
    quantile = {"median": 0.5, "p90": 0.9}.get(metric)
    members = {"control": ~treated, "treatment": treated}
    pair = (values, counts if metric == "ratio" else np.ones(600))
    ours = compare("m", members, pair, None, Method(tuned_to=400 if looks == "always" else None), quantile)[0]
    rel = 1e-9 if quantile is None else 0.04
    assert (ours.difference, ours.low, ours.high, ours.p_value) == pytest.approx(GROWTHBOOK[metric, looks], rel=rel)


def test_corrections_are_those_of_statsmodels():
    from statsmodels.stats.multitest import multipletests

    rng = np.random.default_rng(2)
    for count in (1, 2, 7, 40):
        p_values = list(rng.beta(0.5, 2, count).round(3))  # rounded, so that some are equal
        for ours, name in ((holm, "holm"), (benjamini_hochberg, "fdr_bh")):
            assert ours(p_values) == pytest.approx(multipletests(p_values, method=name)[1])
    assert (holm([]), benjamini_hochberg([])) == ([], [])


@pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
def test_intervals_of_quantiles_are_those_of_scipy(share):
    """SciPy's exact interval ends at order statistics too, at most two ranks from ours."""
    ordered = np.arange(1, 3001.0)
    value, low, high = outer_interval(ordered, share, 0.95)
    exact = stats.quantile_test(ordered, p=share).confidence_interval(0.95)
    assert value == np.quantile(ordered, share, method="inverted_cdf")
    assert (low, high) == pytest.approx((exact.low, exact.high), abs=2)


def test_winsorizing_is_that_of_scipy():
    values = np.random.default_rng(3).pareto(1.5, 997) + 0.01
    for share in (0.9, 0.95, 0.999):
        assert winsorized(values, share) == pytest.approx(np.asarray(mstats.winsorize(values, (None, 1 - share))))
    zeros = np.concatenate([np.zeros(9000), values])
    assert winsorized(zeros, 0.95).sum() == pytest.approx(winsorized(values, 0.95).sum())
    assert not winsorized(np.zeros(5), 0.95).any()


@pytest.mark.parametrize(("control", "treated"), [(0.5, 0.5), (0.9, 0.1), (0.1, 0.05)])
def test_power_is_that_of_statsmodels(control, treated):
    from statsmodels.stats.power import NormalIndPower

    for power in (0.8, 0.95):
        effect = Design((control, treated), 0.95, power).smallest_effect(3.0, 20_000)
        reference = NormalIndPower().solve_power(
            nobs1=20_000 * control, ratio=treated / control, alpha=0.05, power=power, effect_size=None
        )
        assert effect == pytest.approx(3 * reference, rel=1e-4)


# ------------------------------------------------------------------------------------------------------------ error rates


@pytest.mark.parametrize("simulations", [SOME, *proofs(MANY)])
def test_peeking(simulations):
    """No effect, skewed spending, and a look after every 200 units up to 10,000: stopping at the first difference.

    Intervals for one look find one in more than a quarter of the experiments; those for many in at most 5 %.
    """
    rng = np.random.default_rng(4)
    looks, each = 50, 100
    once = always = 0
    for _ in range(simulations // 200):
        sums = [moments(rng, 200, looks, each) for _ in range(2)]
        units = each * np.arange(1, looks + 1)
        error = np.sqrt(sum(variance for _, variance in sums) / units)
        away = np.abs(sums[0][0] - sums[1][0]) / error
        bound = np.array([sequential.critical_value(int(2 * n), 0.05, 5000) for n in units])
        once += int((away > stats.norm.ppf(0.975)).any(axis=1).sum())
        always += int((away > bound).any(axis=1).sum())
    assert once > 0.25 * simulations
    assert always <= 0.05 * simulations


@pytest.mark.parametrize("simulations", [400, *proofs(10_000)])
def test_peeking_while_users_go_on(simulations):
    """No effect, and a look each day at all that the users seen so far have spent: what each spent grows from look to look."""
    rng = np.random.default_rng(10)
    once = always = 0
    for _ in range(simulations):
        habit = rng.gamma(1, 1, (2, 400, 1)).clip(max=6)
        there = rng.random((2, 400, 14)) < 0.15 * (1 + habit)
        spent = np.where(there & (rng.random(there.shape) < 0.3), rng.lognormal(3, 1, there.shape), 0).cumsum(axis=2)
        seen = there.cumsum(axis=2) > 0
        units = seen.sum(axis=1)
        mean = spent.sum(axis=1) / units  # who was not seen yet has spent nothing
        error = np.sqrt(((spent**2).sum(axis=1) / units - mean**2) / units)
        away = np.abs(mean[0] - mean[1]) / np.hypot(*error)
        bound = [sequential.critical_value(int(n), 0.05, 5000) for n in units.sum(axis=0)]
        once += bool((away > stats.norm.ppf(0.975)).any())
        always += bool((away > bound).any())
    assert once > 0.1 * simulations
    assert always <= 0.05 * simulations


def moments(rng, experiments, looks, each):
    """Mean and variance of some units' spending at each look: most spend nothing, the others a lognormal amount."""
    drawn = rng.lognormal(3, 1, (experiments, looks, each)) * (rng.random((experiments, looks, each)) < 0.2)
    count = each * np.arange(1, looks + 1)
    mean = drawn.sum(axis=2).cumsum(axis=1) / count
    return mean, (drawn**2).sum(axis=2).cumsum(axis=1) / count - mean**2


def test_the_p_value_for_many_looks_agrees_with_its_interval():
    """It is 5 % exactly where the interval touches 0, and never more than 1."""
    for units in (10, 500, 5000, 10**6):
        bound = sequential.critical_value(units, 0.05, 5000)
        assert sequential.p_value(bound, units, 0.05, 5000) == pytest.approx(0.05)
        assert sequential.p_value(0.1, units, 0.05, 5000) == 1
    widths = [sequential.critical_value(units, 0.05, 5000) / math.sqrt(units) for units in (1000, 5000, 25_000)]
    assert widths == sorted(widths, reverse=True)
    best = [sequential.critical_value(5000, 0.05, tuned) for tuned in (500, 5000, 50_000)]
    assert min(best) == best[1]


@pytest.mark.parametrize("simulations", [SOME, *proofs(MANY)])
def test_several_metrics(simulations):
    """Of ten metrics without an effect and three with one: Holm keeps any mistake rare, Benjamini-Hochberg their share."""
    rng = np.random.default_rng(5)
    shared = rng.normal(size=(simulations, 1))  # metrics of the same users depend on each other
    scores = 0.6 * shared + 0.8 * rng.normal(size=(simulations, 13)) + np.array([0.0] * 10 + [3.5] * 3)
    p_values = stats.norm.sf(scores)
    mistakes, shares, found, naive = 0, 0.0, 0, 0
    for row in p_values:
        by_holm = np.array(holm(list(row))) < 0.05
        by_bh = np.array(benjamini_hochberg(list(row))) < 0.05
        mistakes += bool(by_holm[:10].any())
        naive += bool((row[:10] < 0.05).any())
        shares += by_bh[:10].sum() / max(1, by_bh.sum())
        found += int(by_bh[10:].sum() > by_holm[10:].sum())
    assert naive > 0.2 * simulations
    assert mistakes <= 0.05 * simulations + 4 * math.sqrt(0.05 * 0.95 * simulations)
    assert shares <= 0.05 * simulations
    assert found > 0


@pytest.mark.parametrize("simulations", [SOME, *proofs(MANY)])
@pytest.mark.parametrize(("share", "effect"), [(0.5, 1.2), (0.9, 1.0)])
def test_intervals_of_quantiles_cover(simulations, share, effect):
    """Lognormal spending, 400 units a variant: 95 % of the intervals contain the true difference of the quantiles."""
    rng = np.random.default_rng(6)
    treated = np.repeat([False, True], 400)
    members = {"control": ~treated, "treatment": treated}
    true = math.exp(3 + stats.norm.ppf(share)) * (effect - 1)
    covered = 0
    for _ in range(simulations):
        spent = rng.lognormal(3, 1, 800) * np.where(treated, effect, 1)
        ours = compare("m", members, (spent, spent), None, 0.95, share)[0]
        covered += ours.low < true < ours.high
    assert 0.93 * simulations <= covered <= 0.975 * simulations


@pytest.mark.parametrize("simulations", [SOME, *proofs(MANY)])
def test_winsorized_metrics_without_an_effect(simulations):
    """A percentile of all variants together moves none of them: 5 % show a difference, by chance."""
    rng = np.random.default_rng(8)
    treated = np.repeat([False, True], 300)
    members, ones = {"control": ~treated, "treatment": treated}, np.ones(600)
    wrong = sum(
        compare("m", members, (rng.pareto(1.2, 600), ones), None, Method(winsorize=0.95))[0].significant
        for _ in range(simulations)
    )
    assert wrong == within(0.05, simulations)


@pytest.mark.parametrize("simulations", [SOME, *proofs(MANY)])
def test_a_planned_effect_is_found_as_often_as_planned(simulations):
    """Buyers in two groups of 60,000 and 20,000, with the smallest effect that 80 % power finds."""
    rng = np.random.default_rng(9)
    rate, sizes = 0.3, np.array([60_000, 20_000])
    effect = Design((0.75, 0.25)).smallest_effect(math.sqrt(rate * (1 - rate)), 80_000)
    buyers = rng.binomial(sizes, [rate, rate + effect], (simulations, 2))
    rates = buyers / sizes
    away = (rates[:, 1] - rates[:, 0]) / np.sqrt((rates * (1 - rates) / sizes).sum(axis=1))
    assert 0.76 * simulations <= (away > stats.norm.ppf(0.975)).sum() <= 0.84 * simulations


def test_comparisons_without_a_p_value_do_not_count():
    members = {"control": np.array([True, True, False, False]), "treatment": np.array([False, False, True, True])}
    flat, varied = (np.ones(4), np.ones(4)), (np.array([1.0, 2, 8, 9]), np.ones(4))
    both = [*compare("flat", members, flat, None), *compare("varied", members, varied, None)]
    first, second = corrected(both, "holm", 0.95)
    assert (first.p_adjusted, second.p_adjusted) == (None, second.p_value)
