"""The heat map of a study: what each learning rate and initial scale ended in."""

from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from regress.metrics.table import METRICS
from regress.plots.grid import Own, cells, every_few, grid, plain_log_axis
from regress.plots.overlay import EDGES, Style, edges
from regress.plots.style import label_axes, legend, rule, short
from regress.study import Study

_SIDE = 8.0  # inches of a heat map at most
_NAMED = 12  # of a heat map's rows or columns at most


def error_by_lr_and_sigma(study: Study, summaries: Own) -> Figure:
    label = METRICS[study.problem.ranking].label
    order = next(iter(summaries.values())).trial.order
    width, height = min(0.68 * len(study.lrs), _SIDE), min(max(0.52 * len(study.sigmas), 1.0), _SIDE)
    # Where cells are too many for numbers, the colours have to do.
    has_room = width / len(study.lrs) > 0.5 and height / len(study.sigmas) > 0.25
    figure, axes = grid(
        study,
        width,
        height,
        f"median {label} after {study.epochs} epochs, {order}",
        right=0.9,
    )
    medians = {key: float(s.ranked_by.median) for key, s in summaries.items()}
    norm = LogNorm(*_ends([value for value in medians.values() if 0 < value < np.inf]))
    colors = colormaps["viridis_r"].with_extremes(bad="#e4e4e4")
    for contamination, loss, axis in cells(study, axes):
        places = [[(contamination, loss, lr, sigma) for lr in study.lrs] for sigma in study.sigmas]
        values = np.array([[medians[key] for key in row] for row in places])
        shown = np.ma.masked_invalid(values)
        image = axis.pcolormesh(shown, norm=norm, cmap=colors, edgecolors="white", linewidth=has_room)
        axis.set_facecolor("#e4e4e4")
        for (row, column), value in np.ndenumerate(values) if has_room else ():
            gone = summaries[places[row][column]].diverged_fraction
            _write_cell(axis, column, row, value, gone, norm)
        lrs, sigmas = every_few(study.lrs, _NAMED), every_few(study.sigmas, _NAMED)
        axis.set_xticks([i + 0.5 for i in lrs], [f"{study.lrs[i]:g}" for i in lrs])
        axis.set_yticks([i + 0.5 for i in sigmas], [f"{study.sigmas[i]:g}" for i in sigmas])
    _mark_edges(study, axes, summaries, figure)
    rule(axes, x=False, y=False)
    label_axes(figure, "learning rate", "initial scale sigma")
    across = figure.get_size_inches()[0]
    box = figure.subplotpars
    bar = figure.add_axes((1 - 0.8 / across, box.bottom, 0.15 / across, box.top - box.bottom))
    figure.colorbar(image, cax=bar)
    plain_log_axis(bar.yaxis)
    bar.tick_params(labelsize=8)
    return figure


def _mark_edges(study: Study, axes: NDArray[Any], summaries: Own, figure: Figure) -> None:
    """The edges of theory at their places between the learning rates, which stand side by side."""
    drawn = {}
    if list(study.lrs) != sorted(study.lrs):
        return
    for contamination, loss, axis in cells(study, axes):
        own = [s for key, s in summaries.items() if key[:2] == (contamination, loss)]
        for name, lr in edges(own).items():
            if study.lrs[0] <= lr <= study.lrs[-1]:
                place = np.interp(np.log(lr), np.log(study.lrs), np.arange(len(study.lrs)) + 0.5)
                _mark(axis, place, len(study.sigmas), EDGES[name])
                drawn[name] = Line2D([], [], **EDGES[name])
    if drawn:
        legend(figure, list(drawn.values()))


def _mark(axis: Axes, place: float, rows: int, style: Style) -> None:
    """A line that leaves the middles of the cells to their numbers."""
    between = range(rows + 1)
    low, high = [max(k - 0.25, 0) for k in between], [min(k + 0.25, rows) for k in between]
    axis.vlines([place] * (rows + 1), low, high, color="white", lw=3.2)
    axis.vlines([place] * (rows + 1), low, high, color=style["color"], ls=style["ls"], lw=style["lw"])


def _write_cell(axis: Axes, column: int, row: int, value: float, gone: float, norm: LogNorm) -> None:
    finite = np.isfinite(value)
    text = short(value) if finite else "diverged"
    if finite and gone:
        text += f"\n{gone:.0%} div."
    dark = finite and norm(value) > 0.55
    axis.text(
        column + 0.5,
        row + 0.5,
        text,
        ha="center",
        va="center",
        fontsize=6.5,
        color="white" if dark else "#222222",
        style="normal" if finite else "italic",
    )


def _ends(values: list[float]) -> tuple[float, float]:
    if not values:
        return 1e-3, 1e3
    low, high = min(values), max(values)
    return (low, high) if high > 1.01 * low else (low / 1.5, high * 1.5)
