"""Figure of the epochs to tolerance by initial weight scale, with the law that theory predicts."""

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator

from regress.plots.grid import SummariesBySetting, create_grid, format_log_axis, iterate_panels
from regress.plots.overlay import Style, legend_handles
from regress.plots.style import add_side_legend, draw_grid_lines, label_axes, side_legend_width
from regress.study import Study

_LAW: Style = {"color": "#444444", "ls": "--", "lw": 1, "label": "theory: law of the initial scale"}
_NOT_REACHED: Style = {
    "color": "#444444",
    "ls": "",
    "marker": "^",
    "mfc": "none",
    "ms": 5,
    "label": "tolerance not reached",
}
_END: Style = {"color": "#bbbbbb", "lw": 0.8, "label": "end of training"}


def draw_epochs_by_sigma(study: Study, summaries: SummariesBySetting) -> Figure:
    """Draw the epochs to tolerance of trials of one order and batch size.

    The scales are evenly spaced, because 0 may be one of them.
    """
    sigmas = sorted(study.sigmas)
    shades = colormaps["plasma"](np.linspace(0.05, 0.85, len(study.lrs)))
    lines = [
        {"color": shade, "marker": "o", "ms": 3.5, "lw": 1.3, "label": f"lr {lr:g}"}
        for shade, lr in zip(shades, study.lrs, strict=True)
    ]
    has_law = any("epochs_to_tolerance" in s.theory for s in summaries.values())
    named = [*lines, _NOT_REACHED, _END, *([_LAW] if has_law else [])]
    legend_width = side_legend_width(style["label"] for style in named)
    order = next(iter(summaries.values())).trial.order
    title = (
        f"epochs to a parameter error of {study.tolerance:g}, order {order},"
        f" median of {study.replicates} replicates"
    )
    figure, axes = create_grid(study, max(2.4, 0.42 * len(sigmas)), 1.9, title, right=legend_width)
    x = np.arange(len(sigmas))
    axes[0, 0].set(yscale="log", ylim=(0.8, 1.5 * study.epochs))
    for contamination, loss, axis in iterate_panels(study, axes):
        for i, (lr, style) in enumerate(zip(study.lrs, lines, strict=True)):
            by_sigma = [summaries[contamination, loss, lr, sigma] for sigma in sigmas]
            measured = np.array([float(s.finals["epochs_to_tolerance"].median) for s in by_sigma])
            predicted = np.array([s.theory.get("epochs_to_tolerance", np.nan) for s in by_sigma])
            axis.plot(x, np.where(np.isfinite(measured), measured, np.nan), **style)
            not_reached = x[~np.isfinite(measured)]
            # Markers of several learning rates at one point are nested.
            marker = _NOT_REACHED | {"color": style["color"], "ms": _marker_size(i, len(lines))}
            axis.plot(not_reached, np.full(len(not_reached), 1.2 * study.epochs), **marker)
            # Measured epochs are whole numbers from 1.
            axis.plot(x, np.maximum(predicted, 1), **_LAW | {"color": style["color"]})
        axis.axhline(study.epochs, **_END)
    format_log_axis(axes[0, 0].yaxis)
    axes[0, 0].yaxis.set_major_locator(FixedLocator([1, 2, 5, 10, 20, 50, 100, 200, 500, 1000]))
    axes[0, 0].set_xticks(x, [f"{sigma:g}" for sigma in sigmas])
    draw_grid_lines(axes)
    label_axes(figure, "initial weight scale (sigma)", "epochs to tolerance")
    add_side_legend(figure, legend_handles(named), legend_width)
    return figure


def _marker_size(i: int, count: int) -> float:
    """Return the size in points of the i-th of `count` nested markers."""
    return 8.0 - 5.5 * i / max(count - 1, 1)
