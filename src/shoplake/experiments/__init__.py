"""Experiments: which unit is in which variant, and whether the variants differ."""

from shoplake.experiments.run import METRICS, SAMPLE_RATIO_ALPHA, Experiment, Metric, assign, experiment
from shoplake.experiments.statistics import Comparison, compare, sample_ratio

__all__ = [
    "METRICS",
    "SAMPLE_RATIO_ALPHA",
    "Comparison",
    "Experiment",
    "Metric",
    "assign",
    "compare",
    "experiment",
    "sample_ratio",
]
