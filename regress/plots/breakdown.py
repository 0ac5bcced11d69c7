"""The error by the share of outliers: where does each loss, tuned as well as the study can, break down?"""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from regress.comparison import RelativeEfficiency
from regress.contaminations import Contamination
from regress.metrics.summary import TrialSummary
from regress.metrics.table import METRICS
from regress.plots.grid import Own, plain_log_axis
from regress.plots.overlay import Style, in_legend, median, reference_styles
from regress.plots.style import curve, label_axes, panels, rule, side_legend, side_margin
from regress.study import Study

Shares = Mapping[float, Contamination]  # contaminations that differ in nothing but their share
_BIAS: Style = {"color": "#444444", "ls": "--", "lw": 1.1, "label": "theory: bias of the intercept"}


def shares(contaminations: Sequence[Contamination]) -> dict[str, Shares]:
    """Kinds of which there are three shares or more, clean rows being a share of 0 of each."""
    clean = [(0.0, c) for c in contaminations if c.is_clean]
    kinds: dict[str, dict[float, Contamination]] = {}
    for contamination in contaminations:
        if contamination.outlier_fraction is not None and not contamination.is_clean:
            kind = contamination.text_without("fraction")
            kinds.setdefault(kind, dict(clean))[contamination.outlier_fraction] = contamination
    return {kind: dict(sorted(of_it.items())) for kind, of_it in kinds.items() if len(of_it) >= 3}


def breakdown(
    study: Study, kinds: Mapping[str, Shares], own: Own, references: Sequence[RelativeEfficiency]
) -> Figure:
    """Trials of one order and batch size: the best of each loss and contamination."""
    label = METRICS[study.problem.ranking].label
    lines = {str(loss): curve(i, str(loss)) for i, loss in enumerate(study.losses)}
    thin = reference_styles(references)
    best = _best(own)
    has_bias = study.problem.ranking == "param_error" and any(s.theory.get("bias") for s in best.values())
    named = [*lines.values(), *thin.values(), *([_BIAS] if has_bias else [])]
    margin = side_margin(style["label"] for style in named)
    order = next(iter(own.values())).trial.order
    title = f"{study.name}: least {label} of a loss after {study.epochs} epochs, {order}"
    figure, axes = panels(1, len(kinds), max(4.2, 5.2 / len(kinds)), 3.4, title, margin)
    axes[0, 0].set_yscale("log")
    for (kind, of_it), axis in zip(kinds.items(), axes[0], strict=True):
        axis.set_title(kind, fontsize=9.5, y=1.0, pad=6)
        for name, style in thin.items():
            fitted = {row.contamination: row.median for row in references if row.estimator == name}
            axis.plot(list(of_it), [fitted[str(c)] for c in of_it.values()], **style)
        for loss, style in lines.items():
            _draw(axis, {share: best.get((str(c), loss)) for share, c in of_it.items()}, style, has_bias)
        axis.tick_params(labelsize=8)
    plain_log_axis(axes[0, 0].yaxis)
    rule(axes)
    label_axes(figure, "share of outliers", f"{label}, median and 5–95 % of {study.replicates} replicates")
    side_legend(figure, in_legend(named), margin)
    return figure


def _best(own: Own) -> dict[tuple[str, str], TrialSummary]:
    """By contamination and loss, where any has a finite median."""
    found: dict[tuple[str, str], TrialSummary] = {}
    for (contamination, loss, _, _), summary in own.items():
        key = contamination, loss
        if median(summary) < min(np.inf, median(found[key]) if key in found else np.inf):
            found[key] = summary
    return found


def _draw(axis: Axes, best: Mapping[float, TrialSummary | None], style: Style, has_bias: bool) -> None:
    found = {share: summary for share, summary in best.items() if summary is not None}
    if not found:
        return
    at = np.array(list(found))
    middle, low, high = np.array([s.ranked_by for s in found.values()]).T
    axis.plot(at, middle, **style)
    axis.fill_between(at, low, np.minimum(high, 1e30), color=style["color"], alpha=0.15, lw=0)
    bias = np.array([s.theory.get("bias", np.nan) for s in found.values()])
    if has_bias and (bias > 0).any():
        axis.plot(at, np.where(bias > 0, bias, np.nan), **_BIAS | {"color": style["color"]})
