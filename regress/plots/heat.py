"""Heat map of the final error by learning rate and initial weight scale."""

from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from regress.metrics.table import METRICS
from regress.plots.grid import (
    SummariesBySetting,
    create_grid,
    format_log_axis,
    iterate_panels,
    spaced_indices,
)
from regress.plots.overlay import EDGES, Style, stability_edges
from regress.plots.style import add_legend_below, draw_grid_lines, format_short, label_axes
from regress.study import Study

_MAX_SIDE = 8.0  # of a panel, inches
_MAX_NAMED = 12  # rows or columns with a tick label


def draw_heat_map(study: Study, summaries: SummariesBySetting) -> Figure:
    """Draw the median final error of trials of one order and batch size."""
    label = METRICS[study.problem.ranking].label
    order = next(iter(summaries.values())).trial.order
    width, height = (
        min(0.68 * len(study.lrs), _MAX_SIDE),
        min(max(0.52 * len(study.sigmas), 1.0), _MAX_SIDE),
    )
    # Many rows or columns leave no room for numbers.
    has_room = width / len(study.lrs) > 0.5 and height / len(study.sigmas) > 0.25
    figure, axes = create_grid(
        study,
        width,
        height,
        f"median {label} after {study.epochs} epochs, order {order}",
        right=1.15,
    )
    medians = {key: float(s.ranked_by.median) for key, s in summaries.items()}
    norm = LogNorm(*_limits([value for value in medians.values() if 0 < value < np.inf]))
    colormap = colormaps["viridis_r"].with_extremes(bad="#e4e4e4")
    for contamination, loss, axis in iterate_panels(study, axes):
        settings = [[(contamination, loss, lr, sigma) for lr in study.lrs] for sigma in study.sigmas]
        values = np.array([[medians[key] for key in row] for row in settings])
        image = axis.pcolormesh(
            np.ma.masked_invalid(values), norm=norm, cmap=colormap, edgecolors="white", linewidth=has_room
        )
        axis.set_facecolor("#e4e4e4")
        for (row, column), value in np.ndenumerate(values) if has_room else ():
            diverged = summaries[settings[row][column]].diverged_fraction
            _write_number(axis, column, row, value, diverged, norm)
        lrs, sigmas = spaced_indices(study.lrs, _MAX_NAMED), spaced_indices(study.sigmas, _MAX_NAMED)
        axis.set_xticks([i + 0.5 for i in lrs], [f"{study.lrs[i]:g}" for i in lrs])
        axis.set_yticks([i + 0.5 for i in sigmas], [f"{study.sigmas[i]:g}" for i in sigmas])
    _mark_edges(study, axes, summaries, figure)
    draw_grid_lines(axes, x=False, y=False)
    label_axes(figure, "learning rate", "initial weight scale (sigma)")
    across = figure.get_size_inches()[0]
    box = figure.subplotpars
    bar = figure.add_axes((1 - 1.0 / across, box.bottom, 0.15 / across, box.top - box.bottom))
    figure.colorbar(image, cax=bar).set_label(f"median {label}", fontsize=8)
    format_log_axis(bar.yaxis)
    bar.tick_params(labelsize=8)
    return figure


def _mark_edges(study: Study, axes: NDArray[Any], summaries: SummariesBySetting, figure: Figure) -> None:
    """Mark theory's edges of stability, interpolated between the evenly spaced learning rates."""
    handles = {}
    if list(study.lrs) != sorted(study.lrs):
        return
    for contamination, loss, axis in iterate_panels(study, axes):
        of_panel = [s for key, s in summaries.items() if key[:2] == (contamination, loss)]
        for name, lr in stability_edges(of_panel).items():
            if study.lrs[0] <= lr <= study.lrs[-1]:
                x = np.interp(np.log(lr), np.log(study.lrs), np.arange(len(study.lrs)) + 0.5)
                _draw_interrupted_line(axis, x, len(study.sigmas), EDGES[name])
                handles[name] = Line2D([], [], **EDGES[name])
    if handles:
        add_legend_below(figure, list(handles.values()))


def _draw_interrupted_line(axis: Axes, x: float, rows: int, style: Style) -> None:
    """Draw a vertical line with gaps in the middle of each row, where the numbers are."""
    borders = range(rows + 1)
    low, high = [max(k - 0.25, 0) for k in borders], [min(k + 0.25, rows) for k in borders]
    axis.vlines([x] * (rows + 1), low, high, color="white", lw=3.2)
    axis.vlines([x] * (rows + 1), low, high, color=style["color"], ls=style["ls"], lw=style["lw"])


def _write_number(axis: Axes, column: int, row: int, value: float, diverged: float, norm: LogNorm) -> None:
    """Write the median into its rectangle, or that the median diverged, with the diverged fraction."""
    is_finite = np.isfinite(value)
    text = format_short(value) if is_finite else "diverged"
    if is_finite and diverged:
        text += f"\n{diverged:.0%} div."
    is_dark = is_finite and norm(value) > 0.55
    axis.text(
        column + 0.5,
        row + 0.5,
        text,
        ha="center",
        va="center",
        fontsize=6.5,
        color="white" if is_dark else "#222222",
        style="normal" if is_finite else "italic",
    )


def _limits(values: list[float]) -> tuple[float, float]:
    """Return the limits of the colour scale."""
    if not values:
        return 1e-3, 1e3
    low, high = min(values), max(values)
    return (low, high) if high > 1.01 * low else (low / 1.5, high * 1.5)
