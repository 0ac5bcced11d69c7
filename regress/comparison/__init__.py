"""Trials compared: winners, divergence, order effects, efficiency relative to reference estimators."""

from regress.comparison.best import Best, BestRow, ranked_order
from regress.comparison.comparison import Comparison, compare
from regress.comparison.divergence import Diverged
from regress.comparison.efficiency import RelativeEfficiency, compare_with_references, relative_efficiency
from regress.comparison.order_effects import (
    OrderEffect,
    log_ratios,
    median_interval,
    significant_effects,
    strongest_by_group,
)

__all__ = [
    "Best",
    "BestRow",
    "Comparison",
    "Diverged",
    "OrderEffect",
    "RelativeEfficiency",
    "compare",
    "compare_with_references",
    "log_ratios",
    "median_interval",
    "ranked_order",
    "relative_efficiency",
    "significant_effects",
    "strongest_by_group",
]
