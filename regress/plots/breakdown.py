"""Figure of the error by the fraction of outliers, for the best trial of each loss."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from regress.comparison import RelativeEfficiency
from regress.contaminations import Contamination
from regress.metrics.summary import TrialSummary
from regress.metrics.table import METRICS
from regress.plots.grid import SummariesBySetting, format_log_axis
from regress.plots.overlay import Style, legend_handles, median_of_ranking, reference_styles
from regress.plots.style import (
    add_side_legend,
    create_panels,
    curve_style,
    draw_grid_lines,
    label_axes,
    side_legend_width,
)
from regress.study import Study

ByFraction = Mapping[float, Contamination]  # contaminations that differ only in their fraction
_BIAS: Style = {"color": "#444444", "ls": "--", "lw": 1.1, "label": "theory: bias of the intercept"}


def group_by_fraction(contaminations: Sequence[Contamination]) -> dict[str, ByFraction]:
    """Return the kinds of contamination with three fractions or more; clean rows are a fraction of 0."""
    clean = [(0.0, c) for c in contaminations if c.is_clean]
    kinds: dict[str, dict[float, Contamination]] = {}
    for contamination in contaminations:
        if contamination.outlier_fraction is not None and not contamination.is_clean:
            kind = contamination.text_without("fraction")
            kinds.setdefault(kind, dict(clean))[contamination.outlier_fraction] = contamination
    return {
        kind: dict(sorted(by_fraction.items()))
        for kind, by_fraction in kinds.items()
        if len(by_fraction) >= 3
    }


def draw_breakdown(
    study: Study,
    kinds: Mapping[str, ByFraction],
    summaries: SummariesBySetting,
    references: Sequence[RelativeEfficiency],
) -> Figure:
    """Draw the best trial of each loss and contamination, of one order and batch size."""
    label = METRICS[study.problem.ranking].label
    lines = {str(loss): curve_style(i, str(loss)) for i, loss in enumerate(study.losses)}
    reference_lines = reference_styles(references)
    best = _find_best(summaries)
    has_bias = study.problem.ranking == "param_error" and any(s.theory.get("bias") for s in best.values())
    named = [*lines.values(), *reference_lines.values(), *([_BIAS] if has_bias else [])]
    legend_width = side_legend_width(style["label"] for style in named)
    order = next(iter(summaries.values())).trial.order
    title = f"{study.name}: {label} of each loss's best trial after {study.epochs} epochs, order {order}"
    figure, axes = create_panels(1, len(kinds), max(4.2, 5.2 / len(kinds)), 3.4, title, legend_width)
    axes[0, 0].set_yscale("log")
    for (kind, by_fraction), axis in zip(kinds.items(), axes[0], strict=True):
        axis.set_title(kind, fontsize=9.5, y=1.0, pad=6)
        for name, style in reference_lines.items():
            medians = {row.contamination: row.median for row in references if row.estimator == name}
            axis.plot(list(by_fraction), [medians[str(c)] for c in by_fraction.values()], **style)
        for loss, style in lines.items():
            by_loss = {fraction: best.get((str(c), loss)) for fraction, c in by_fraction.items()}
            _draw_loss(axis, by_loss, style, has_bias)
        axis.tick_params(labelsize=8)
    format_log_axis(axes[0, 0].yaxis)
    draw_grid_lines(axes)
    label_axes(
        figure, "fraction of outliers", f"{label}, median and 5–95 % of {study.replicates} replicates"
    )
    add_side_legend(figure, legend_handles(named), legend_width)
    return figure


def _find_best(summaries: SummariesBySetting) -> dict[tuple[str, str], TrialSummary]:
    """Return the best trial by contamination and loss, where any has a finite median."""
    best: dict[tuple[str, str], TrialSummary] = {}
    for (contamination, loss, _, _), summary in summaries.items():
        key = contamination, loss
        if median_of_ranking(summary) < (median_of_ranking(best[key]) if key in best else np.inf):
            best[key] = summary
    return best


def _draw_loss(axis: Axes, best: Mapping[float, TrialSummary | None], style: Style, has_bias: bool) -> None:
    """Draw median, 5-95 % band and bias of one loss's best trials by fraction of outliers."""
    finite = {fraction: summary for fraction, summary in best.items() if summary is not None}
    if not finite:
        return
    fractions = np.array(list(finite))
    median, low, high = np.array([s.ranked_by for s in finite.values()]).T
    axis.plot(fractions, median, **style)
    axis.fill_between(fractions, low, np.minimum(high, 1e30), color=style["color"], alpha=0.15, lw=0)
    bias = np.array([s.theory.get("bias", np.nan) for s in finite.values()])
    if has_bias and (bias > 0).any():
        axis.plot(fractions, np.where(bias > 0, bias, np.nan), **_BIAS | {"color": style["color"]})
