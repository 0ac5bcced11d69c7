"""Figure of error or loss by epoch: one colour for each learning rate, one dash pattern for each sigma."""

from typing import Literal

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from regress.metrics.table import METRICS
from regress.plots.grid import (
    SummariesBySetting,
    create_grid,
    format_log_axis,
    iterate_panels,
    spaced_indices,
    write_note,
)
from regress.plots.style import DASHES, add_side_legend, draw_grid_lines, label_axes, side_legend_width
from regress.plots.trial_figures import shared_scales
from regress.study import Study

_MAX_NAMED = 9  # learning rates in the legend, and sigmas


def draw_curves(
    study: Study, summaries: SummariesBySetting, history: Literal["param_error", "train_loss"]
) -> Figure:
    """Draw each trial's median by epoch, on the scales of the trials' own figures."""
    name = METRICS[history].label
    order = next(iter(summaries.values())).trial.order
    shades = colormaps["plasma"](np.linspace(0.05, 0.85, len(study.lrs)))
    handles = _legend_handles(study, shades)
    width = side_legend_width(str(line.get_label()) for line in handles)
    title = f"{name} by epoch, order {order}; diverged trials end or leave the panel"
    figure, axes = create_grid(study, 2.4, 1.8, title, right=width)
    scales = shared_scales(summaries.values())
    low, high = scales.error if history == "param_error" else scales.loss
    epochs = np.arange(1, study.epochs + 1)
    for contamination, loss, axis in iterate_panels(study, axes):
        is_empty = True
        for shade, lr in zip(shades, study.lrs, strict=True):
            for i, sigma in enumerate(study.sigmas):
                median = summaries[contamination, loss, lr, sigma].histories[history].median
                finite = np.where(np.isfinite(median), median, np.nan)
                axis.plot(epochs, finite, color=shade, ls=DASHES[i % len(DASHES)], lw=1.4)
                is_empty &= not finite[-1] <= high
        if is_empty:
            write_note(axis, "all diverged")
    axes[0, 0].set(yscale="log", ylim=(low, high))
    format_log_axis(axes[0, 0].yaxis)
    axes[0, 0].xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
    draw_grid_lines(axes)
    label_axes(figure, "epoch", f"{name}, median of {study.replicates} replicates")
    add_side_legend(figure, handles, width)
    return figure


def _legend_handles(study: Study, shades: NDArray[np.float64]) -> list[Line2D]:
    """Return a line for each learning rate, and for each sigma where there are several."""
    lrs, sigmas = spaced_indices(study.lrs, _MAX_NAMED), spaced_indices(study.sigmas, _MAX_NAMED)
    handles = [Line2D([], [], color=shades[i], label=f"lr {study.lrs[i]:g}") for i in lrs]
    if len(study.sigmas) > 1:
        handles += [
            Line2D([], [], color="#444444", ls=DASHES[i % len(DASHES)], label=f"sigma {study.sigmas[i]:g}")
            for i in sigmas
        ]
    return handles
