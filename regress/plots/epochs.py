"""Epochs to tolerance by initial scale, beside the law that they should follow."""

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator

from regress.plots.grid import Own, cells, grid, plain_log_axis
from regress.plots.overlay import Style, in_legend
from regress.plots.style import label_axes, rule, side_legend, side_margin
from regress.study import Study

_LAW: Style = {"color": "#444444", "ls": "--", "lw": 1, "label": "theory: initial-scale law"}
_NEVER: Style = {
    "color": "#444444",
    "ls": "",
    "marker": "^",
    "mfc": "white",
    "ms": 5,
    "label": "not within the run",
}


def epochs_by_sigma(study: Study, own: Own) -> Figure:
    """Trials of one order and batch size; scales stand evenly, for 0 may be one of them."""
    sigmas = sorted(study.sigmas)
    shades = colormaps["plasma"](np.linspace(0.05, 0.85, len(study.lrs)))
    lines = [
        {"color": shade, "marker": "o", "ms": 3.5, "lw": 1.3, "label": f"lr {lr:g}"}
        for shade, lr in zip(shades, study.lrs, strict=True)
    ]
    has_law = any("epochs_to_tolerance" in s.theory for s in own.values())
    named = [*lines, _NEVER, *([_LAW] if has_law else [])]
    margin = side_margin(style["label"] for style in named)
    order = next(iter(own.values())).trial.order
    title = f"epochs to an error of {study.tolerance:g}, {order}, median of {study.replicates} replicates"
    figure, axes = grid(study, max(2.4, 0.42 * len(sigmas)), 1.9, title, right=margin)
    places = np.arange(len(sigmas))
    axes[0, 0].set(yscale="log", ylim=(0.8, 1.5 * study.epochs))
    for contamination, loss, axis in cells(study, axes):
        for lr, style in zip(study.lrs, lines, strict=True):
            lane = [own[contamination, loss, lr, sigma] for sigma in sigmas]
            measured = np.array([float(s.finals["epochs_to_tolerance"].median) for s in lane])
            said = np.array([s.theory.get("epochs_to_tolerance", np.nan) for s in lane])
            axis.plot(places, np.where(np.isfinite(measured), measured, np.nan), **style)
            never = places[~np.isfinite(measured)]
            axis.plot(never, np.full(len(never), 1.2 * study.epochs), **_NEVER | {"color": style["color"]})
            # A run counts whole epochs, and one at least.
            axis.plot(places, np.maximum(said, 1), **_LAW | {"color": style["color"]})
        axis.axhline(study.epochs, color="#bbbbbb", lw=0.8)
    plain_log_axis(axes[0, 0].yaxis)
    axes[0, 0].yaxis.set_major_locator(FixedLocator([1, 2, 5, 10, 20, 50, 100, 200, 500, 1000]))
    axes[0, 0].set_xticks(places, [f"{sigma:g}" for sigma in sigmas])
    rule(axes)
    label_axes(figure, "initial scale sigma", "epochs")
    side_legend(figure, in_legend(named), margin)
    return figure
