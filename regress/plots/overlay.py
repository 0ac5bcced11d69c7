"""Line styles and labels of theory and reference estimators, drawn over measurements."""

from collections.abc import Iterable
from typing import Any

from matplotlib.lines import Line2D

from regress.comparison import RelativeEfficiency
from regress.metrics.summary import TrialSummary
from regress.theory.predictions import draws_equal_batches

Style = dict[str, Any]  # of a matplotlib line

EDGES: dict[str, Style] = {
    "mean_edge": {
        "color": "#C8102E",
        "ls": (0, (4, 2)),
        "lw": 1.2,
        "label": "theory: stability edge of the mean",
    },
    "mean_square_edge": {
        "color": "#7B2D8B",
        "ls": (0, (1, 1)),
        "lw": 1.5,
        "label": "theory: stability edge of the mean square",
    },
}
_GREYS = ("#444444", "#888888", "#B08D57")
_DASHES = ((0, (9, 2)), (0, (9, 2, 1, 2)), (0, (9, 2, 1, 2, 1, 2)))


def stability_edges(summaries: Iterable[TrialSummary]) -> dict[str, float]:
    """Return the edges of stability of trials with one contamination and batch size, by name.

    The edge of the mean square is included where a trial meets its assumption of equal batches.
    """
    edges: dict[str, float] = {}
    for summary in summaries:
        applies = {"mean_edge": True, "mean_square_edge": draws_equal_batches(summary.trial)}
        edges |= {
            name: summary.theory[name] for name in applies if applies[name] and name in summary.theory
        }
    return edges


def reference_styles(references: Iterable[RelativeEfficiency]) -> dict[str, Style]:
    """Return the style of a thin line for each estimator."""
    names = list(dict.fromkeys(row.estimator for row in references))
    return {
        name: {"color": _GREYS[i % 3], "ls": _DASHES[i % 3], "lw": 0.8, "label": f"{name} on the same rows"}
        for i, name in enumerate(names)
    }


def legend_handles(styles: Iterable[Style]) -> list[Line2D]:
    """Return the handles of a legend that shows the styles."""
    return [Line2D([], [], **style) for style in styles]


def median_of_ranking(summary: TrialSummary) -> float:
    """Return the median of the metric that ranks the trial."""
    return float(summary.ranked_by.median)
