"""Figure of each order's error relative to shuffled order, by learning rate."""

from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from regress.comparison import OrderEffect
from regress.comparison.order_effects import SIGNIFICANT
from regress.plots.grid import create_grid, format_log_axis, iterate_panels, spaced_indices, write_note
from regress.plots.style import (
    CURVES,
    MARKERS,
    add_side_legend,
    draw_grid_lines,
    label_axes,
    side_legend_width,
)
from regress.study import Study

Floats = NDArray[np.float64]

_MAX_NAMED = 7  # learning rates with a tick label


def draw_order_effects(study: Study, effects: Sequence[OrderEffect]) -> Figure:
    """Draw the effects at one batch size: one colour for each order, one marker for each sigma.

    Significant effects have filled markers.
    """
    orders = list(dict.fromkeys(effect.order for effect in effects))
    colors = _colors(orders)
    handles = [Line2D([], [], color=colors[order], marker="o", ls="", label=order) for order in orders]
    if len(study.sigmas) > 1:
        handles += [
            Line2D([], [], color="#444444", marker=_marker(i), ls="", label=f"sigma {sigma:g}")
            for i, sigma in enumerate(study.sigmas)
        ]
    legend_width = side_legend_width(str(line.get_label()) for line in handles)
    title = (
        "error relative to shuffled order, median and 95 % interval;"
        f" filled: adjusted p < {SIGNIFICANT:g} (Holm)"
    )
    figure, axes = create_grid(study, 2.4, 1.8, title, right=legend_width)
    for contamination, loss, axis in iterate_panels(study, axes):
        axis.axhline(1, color="#444444", lw=0.8)
        of_panel = [e for e in effects if (e.contamination, e.loss) == (contamination, loss)]
        _draw_effects(axis, study, colors, of_panel)
        if not of_panel:
            write_note(axis, "no pair of finite errors")
        for i in range(len(study.lrs) - 1) if len(study.lrs) <= _MAX_NAMED else ():
            axis.axvline(i + 0.5, color="#dddddd", lw=0.8)
    lrs = spaced_indices(study.lrs, _MAX_NAMED)
    axes[0, 0].set_xticks(lrs, [f"{study.lrs[i]:g}" for i in lrs])
    axes[0, 0].set_xlim(-0.5, len(study.lrs) - 0.5)
    _scale_ratio_axis(axes[0, 0], effects)
    draw_grid_lines(axes, x=False)
    label_axes(figure, "learning rate", "error / error with shuffled order")
    add_side_legend(figure, handles, legend_width)
    return figure


def _colors(orders: Sequence[str]) -> dict[str, str]:
    """Return a colour for each order; more than seven orders use a palette of twenty colours."""
    many = [to_hex(color) for color in colormaps["tab20"].colors]  # type: ignore[attr-defined]
    palette = CURVES if len(orders) <= len(CURVES) else many
    return {order: palette[i % len(palette)] for i, order in enumerate(orders)}


def _marker(sigma: int) -> str:
    return MARKERS[sigma % len(MARKERS)]


def _draw_effects(axis: Axes, study: Study, colors: dict[str, str], effects: Sequence[OrderEffect]) -> None:
    """Draw an interval and a marker for each effect, in one call for each order, sigma and fill."""
    orders = list(colors)
    slots = len(orders) * len(study.sigmas)
    groups: dict[tuple[int, int, bool], list[tuple[float, Floats]]] = {}
    for effect in effects:
        order, sigma = orders.index(effect.order), study.sigmas.index(effect.sigma)
        slot = order * len(study.sigmas) + sigma
        x = study.lrs.index(effect.lr) + (slot + 0.5) / slots * 0.8 - 0.4
        is_significant = effect.p_holm is not None and effect.p_holm < SIGNIFICANT
        ratios = np.exp([v for v in (effect.log_ratio, effect.lo, effect.hi) if v is not None])
        groups.setdefault((order, sigma, is_significant), []).append((x, ratios))
    for (order, sigma, is_significant), points in groups.items():
        color = colors[orders[order]]
        xs = [x for x, _ in points]
        ratio, low, high = np.transpose([ratios for _, ratios in points])
        axis.vlines(xs, low, high, color=color, lw=1)
        axis.plot(
            xs,
            ratio,
            ls="",
            color=color,
            marker=_marker(sigma),
            markersize=3.8,
            markerfacecolor=color if is_significant else "white",
            markeredgewidth=0.8,
        )


def _scale_ratio_axis(axis: Axes, effects: Sequence[OrderEffect]) -> None:
    """Set a log scale with limits around all intervals and 1."""
    axis.set_yscale("log")
    logs = [v for e in effects for v in (e.lo, e.hi) if v is not None]
    low, high = np.exp(min(0.0, *logs)) * 0.9, np.exp(max(0.0, *logs)) * 1.1
    axis.set_ylim(low, high)
    format_log_axis(axis.yaxis)
