"""The curves of a study's trials by epoch: a colour for each learning rate, dashes for each sigma."""

from typing import Literal

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from regress.plots.grid import Own, cells, every_few, grid, plain_log_axis, say
from regress.plots.style import DASHES, label_axes, rule, side_legend, side_margin
from regress.plots.trial_figures import scales
from regress.study import Study

_NAMED = 9  # learning rates, and sigmas, in the legend at most
_NAMES = {"param_error": "parameter error", "train_loss": "training loss"}


def by_epoch(study: Study, summaries: Own, history: Literal["param_error", "train_loss"]) -> Figure:
    """Medians of one order's trials; the scale is that of the trials' own figures."""
    name = _NAMES[history]
    order = next(iter(summaries.values())).trial.order
    shades = colormaps["plasma"](np.linspace(0.05, 0.85, len(study.lrs)))
    lrs, sigmas = every_few(study.lrs, _NAMED), every_few(study.sigmas, _NAMED)
    named = [Line2D([], [], color=shades[i], label=f"lr {study.lrs[i]:g}") for i in lrs]
    named += [
        Line2D([], [], color="#444444", ls=DASHES[i % len(DASHES)], label=f"sigma {study.sigmas[i]:g}")
        for i in sigmas
    ]
    margin = side_margin(str(line.get_label()) for line in named)
    title = f"{name} by epoch, {order}; a curve that ends or leaves has diverged"
    figure, axes = grid(study, 2.4, 1.8, title, right=margin)
    shared = scales(summaries.values())
    low, high = shared.error if history == "param_error" else shared.loss
    epochs = np.arange(1, study.epochs + 1)
    for contamination, loss, axis in cells(study, axes):
        is_empty = True
        for shade, lr in zip(shades, study.lrs, strict=True):
            for i, sigma in enumerate(study.sigmas):
                median = summaries[contamination, loss, lr, sigma].histories[history].median
                shown = np.where(np.isfinite(median), median, np.nan)
                axis.plot(epochs, shown, color=shade, ls=DASHES[i % len(DASHES)], lw=1.4)
                is_empty &= not shown[-1] <= high
        if is_empty:
            say(axis, "all diverged")
    axes[0, 0].set(yscale="log", ylim=(low, high))
    plain_log_axis(axes[0, 0].yaxis)
    axes[0, 0].xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
    rule(axes)
    label_axes(figure, "epoch", f"{name}, median of {study.replicates} replicates")
    side_legend(figure, named, margin)
    return figure
