"""How theory and references are drawn over measurements: each line's label says what it is."""

from collections.abc import Iterable
from typing import Any

from matplotlib.lines import Line2D

from regress.comparison import RelativeEfficiency
from regress.metrics.summary import TrialSummary
from regress.theory.predictions import draws_equal_batches

Style = dict[str, Any]  # of a matplotlib line

EDGES: dict[str, Style] = {
    "mean_edge": {"color": "#C8102E", "ls": (0, (4, 2)), "lw": 1.2, "label": "theory: edge of the mean"},
    "mean_square_edge": {
        "color": "#7B2D8B",
        "ls": (0, (1, 1)),
        "lw": 1.5,
        "label": "theory: edge of the mean square",
    },
}
_GREYS = ("#444444", "#888888", "#B08D57")
_DASHES = ((0, (9, 2)), (0, (9, 2, 1, 2)), (0, (9, 2, 1, 2, 1, 2)))


def edges(summaries: Iterable[TrialSummary]) -> dict[str, float]:
    """The edges of trials that share contamination and batch size; the mean square's where one meets it."""
    found: dict[str, float] = {}
    for summary in summaries:
        holds = {"mean_edge": True, "mean_square_edge": draws_equal_batches(summary.trial)}
        found |= {name: summary.theory[name] for name in holds if holds[name] and name in summary.theory}
    return found


def reference_styles(references: Iterable[RelativeEfficiency]) -> dict[str, Style]:
    """A thin line for each estimator."""
    names = list(dict.fromkeys(row.estimator for row in references))
    return {
        name: {"color": _GREYS[i % 3], "ls": _DASHES[i % 3], "lw": 0.8, "label": f"{name} of the same rows"}
        for i, name in enumerate(names)
    }


def in_legend(styles: Iterable[Style]) -> list[Line2D]:
    return [Line2D([], [], **style) for style in styles]


def median(summary: TrialSummary) -> float:
    """What the trial ranks by."""
    return float(summary.ranked_by.median)
