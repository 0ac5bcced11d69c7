"""The final error by learning rate, a line for each order, beside what theory and references say."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from regress.comparison import RelativeEfficiency
from regress.metrics.summary import TrialSummary
from regress.metrics.table import METRICS
from regress.plots.grid import cells, grid, plain_log_axis
from regress.plots.overlay import EDGES, Style, edges, in_legend, median, reference_styles
from regress.plots.style import curve, label_axes, rule, side_legend, side_margin
from regress.study import Study

_THEORY: dict[str, Style] = {
    "frozen_error": {
        "ls": "",
        "marker": "x",
        "ms": 6.5,
        "mew": 1.2,
        "label": "theory: limit of the order, repeated",
    },
    "stationary_error": {"ls": ":", "lw": 1.6, "label": "theory: stationary root mean square"},
}
_BEYOND = 1e30  # past every frame
_TICKS = 5  # learning rates up to which each has room for its number
_BANDS = 3  # orders up to which their bands can be told apart


def error_by_lr(
    study: Study, summaries: Sequence[TrialSummary], references: Sequence[RelativeEfficiency]
) -> Figure:
    """Trials of one batch size and of that sigma with which the error is least."""
    label = METRICS[study.problem.ranking].label
    sigma = min(summaries, key=median).trial.sigma
    shown = [s for s in summaries if s.trial.sigma == sigma]
    lines = {str(order): curve(i, str(order)) for i, order in enumerate(study.orders)}
    thin = reference_styles(references)
    theory = {} if study.problem.ranking != "param_error" else _THEORY
    predicted = [
        style | {"color": "#444444"} for n, style in theory.items() if any(n in s.theory for s in shown)
    ]
    low, high = min(study.lrs) / 1.5, max(study.lrs) * 1.5
    drawn = dict.fromkeys(name for s in shown for name, lr in edges([s]).items() if low <= lr <= high)
    named = [*lines.values(), *thin.values(), *predicted, *(EDGES[name] for name in drawn)]
    margin = side_margin(style["label"] for style in named)
    title = f"{label} after {study.epochs} epochs, sigma {sigma:g}, median of {study.replicates} replicates"
    figure, axes = grid(study, 2.5, 1.9, title, right=margin)
    axes[0, 0].set(xscale="log", yscale="log", xlim=(low, high))
    _limits(axes[0, 0], study, [median(s) for s in shown], [row.median for row in references])
    for contamination, loss, axis in cells(study, axes):
        own = [s for s in shown if (str(s.trial.contamination), str(s.trial.loss)) == (contamination, loss)]
        for row in references:
            if row.contamination == contamination and 0 < row.median < np.inf:
                axis.axhline(row.median, **thin[row.estimator])
        for name, lr in edges(own).items():
            axis.axvline(lr, **EDGES[name])
        for order, style in lines.items():
            lane = sorted((s for s in own if str(s.trial.order) == order), key=lambda s: s.trial.lr)
            _draw(axis, lane, style, theory, has_band=len(lines) <= _BANDS)
    rule(axes)
    label_axes(figure, "learning rate", label)
    side_legend(figure, in_legend(named), margin)
    return figure


def _draw(
    axis: Axes, lane: Sequence[TrialSummary], style: Style, theory: Mapping[str, Style], *, has_band: bool
) -> None:
    """One order's trials, by lr; where most replicates diverged there is none."""
    lrs = [s.trial.lr for s in lane]
    middle, low, high = np.array([s.ranked_by for s in lane]).T
    axis.plot(lrs, np.where(np.isfinite(middle), middle, np.nan), **style)
    if has_band:
        top = np.where(np.isfinite(high), high, _BEYOND)
        axis.fill_between(lrs, low, top, where=np.isfinite(middle), color=style["color"], alpha=0.15, lw=0)
    for name, look in theory.items():
        said = [s.theory.get(name, np.nan) for s in lane]
        if np.isfinite(said).any():
            axis.plot(lrs, said, color=style["color"], **look)


def _limits(axis: Axes, study: Study, errors: Sequence[float], references: Sequence[float]) -> None:
    """Errors that are finite, with half a decade of air, and plain numbers."""
    finite = [value for value in (*errors, *references) if 0 < value < np.inf]
    if finite:
        axis.set_ylim(min(finite) / 3, max(finite) * 3)
    plain_log_axis(axis.xaxis)
    plain_log_axis(axis.yaxis)
    if len(study.lrs) <= _TICKS:
        axis.set_xticks(study.lrs)
