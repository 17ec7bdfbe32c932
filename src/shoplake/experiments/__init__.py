"""Experiments: which unit is in which variant, whether the variants differ, and how long it takes to know."""

from shoplake.experiments.assignment import assign, shares_of
from shoplake.experiments.corrections import CORRECTIONS
from shoplake.experiments.metrics import METRICS, Metric
from shoplake.experiments.plan import Plan, Step, plan
from shoplake.experiments.run import BREAKDOWNS, SAMPLE_RATIO_ALPHA, Experiment, Part, experiment
from shoplake.experiments.statistics import Comparison, Method, compare, corrected, sample_ratio

__all__ = [
    "BREAKDOWNS",
    "CORRECTIONS",
    "METRICS",
    "SAMPLE_RATIO_ALPHA",
    "Comparison",
    "Experiment",
    "Method",
    "Metric",
    "Part",
    "Plan",
    "Step",
    "assign",
    "compare",
    "corrected",
    "experiment",
    "plan",
    "sample_ratio",
    "shares_of",
]
