"""Figure of the final error by learning rate, with the values of theory and reference estimators."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from regress.comparison import RelativeEfficiency
from regress.metrics.summary import TrialSummary
from regress.metrics.table import METRICS
from regress.plots.grid import create_grid, format_log_axis, iterate_panels
from regress.plots.overlay import (
    EDGES,
    Style,
    legend_handles,
    median_of_ranking,
    reference_styles,
    stability_edges,
)
from regress.plots.style import add_side_legend, curve_style, draw_grid_lines, label_axes, side_legend_width
from regress.study import Study

_THEORY: dict[str, Style] = {
    "frozen_error": {
        "ls": "",
        "marker": "x",
        "ms": 6.5,
        "mew": 1.2,
        "label": "theory: limit of the repeated order",
    },
    "stationary_error": {"ls": ":", "lw": 1.6, "label": "theory: stationary root mean square error"},
}
_OFF_AXIS = 1e30  # beyond the limits of any axis
_MAX_TICKS = 5  # learning rates up to which each gets a tick label
_MAX_BANDS = 3  # orders up to which bands are drawn


def draw_error_by_lr(
    study: Study, summaries: Sequence[TrialSummary], references: Sequence[RelativeEfficiency]
) -> Figure:
    """Draw the trials of one batch size with the sigma of the best trial."""
    label = METRICS[study.problem.ranking].label
    sigma = min(summaries, key=median_of_ranking).trial.sigma
    shown = [s for s in summaries if s.trial.sigma == sigma]
    lines = {str(order): curve_style(i, str(order)) for i, order in enumerate(study.orders)}
    reference_lines = reference_styles(references)
    theory = {} if study.problem.ranking != "param_error" else _THEORY
    theory_lines = [
        style | {"color": "#444444"} for n, style in theory.items() if any(n in s.theory for s in shown)
    ]
    low, high = min(study.lrs) / 1.5, max(study.lrs) * 1.5
    shown_edges = dict.fromkeys(
        name for s in shown for name, lr in stability_edges([s]).items() if low <= lr <= high
    )
    named = [
        *lines.values(),
        *reference_lines.values(),
        *theory_lines,
        *(EDGES[name] for name in shown_edges),
    ]
    legend_width = side_legend_width(style["label"] for style in named)
    has_bands = len(lines) <= _MAX_BANDS
    title = (
        f"{label} after {study.epochs} epochs, sigma {sigma:g}, median of {study.replicates} replicates"
        + (", bands: 5–95 %" if has_bands else "")
    )
    figure, axes = create_grid(study, 2.5, 1.9, title, right=legend_width)
    axes[0, 0].set(xscale="log", yscale="log", xlim=(low, high))
    _scale_axes(
        axes[0, 0], study, [median_of_ranking(s) for s in shown], [row.median for row in references]
    )
    for contamination, loss, axis in iterate_panels(study, axes):
        of_panel = [
            s for s in shown if (str(s.trial.contamination), str(s.trial.loss)) == (contamination, loss)
        ]
        for row in references:
            if row.contamination == contamination and 0 < row.median < np.inf:
                axis.axhline(row.median, **reference_lines[row.estimator])
        for name, lr in stability_edges(of_panel).items():
            axis.axvline(lr, **EDGES[name])
        for order, style in lines.items():
            by_lr = sorted((s for s in of_panel if str(s.trial.order) == order), key=lambda s: s.trial.lr)
            _draw_order(axis, by_lr, style, theory, has_band=has_bands)
    draw_grid_lines(axes)
    label_axes(figure, "learning rate", label)
    add_side_legend(figure, legend_handles(named), legend_width)
    return figure


def _draw_order(
    axis: Axes, by_lr: Sequence[TrialSummary], style: Style, theory: Mapping[str, Style], *, has_band: bool
) -> None:
    """Draw one order's medians, band and theory by lr; diverged medians leave a gap."""
    lrs = [s.trial.lr for s in by_lr]
    median, low, high = np.array([s.ranked_by for s in by_lr]).T
    axis.plot(lrs, np.where(np.isfinite(median), median, np.nan), **style)
    if has_band:
        top = np.where(np.isfinite(high), high, _OFF_AXIS)
        axis.fill_between(lrs, low, top, where=np.isfinite(median), color=style["color"], alpha=0.15, lw=0)
    for name, theory_style in theory.items():
        predicted = [s.theory.get(name, np.nan) for s in by_lr]
        if np.isfinite(predicted).any():
            axis.plot(lrs, predicted, color=style["color"], **theory_style)


def _scale_axes(axis: Axes, study: Study, errors: Sequence[float], references: Sequence[float]) -> None:
    """Set limits half a decade beyond the finite errors, and plain tick labels."""
    finite = [value for value in (*errors, *references) if 0 < value < np.inf]
    if finite:
        axis.set_ylim(min(finite) / 3, max(finite) * 3)
    format_log_axis(axis.xaxis)
    format_log_axis(axis.yaxis)
    if len(study.lrs) <= _MAX_TICKS:
        axis.set_xticks(study.lrs)
