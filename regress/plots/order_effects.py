"""What each order changed against shuffling, by learning rate."""

from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from regress.comparison import OrderEffect
from regress.plots.grid import cells, every_few, grid, plain_log_axis, say
from regress.plots.style import CURVES, MARKERS, label_axes, rule, side_legend, side_margin
from regress.study import Study

Floats = NDArray[np.float64]

_NAMED = 7  # learning rates under a panel at most


def order_effects(study: Study, effects: Sequence[OrderEffect]) -> Figure:
    """The effects at one batch size: colours for orders, markers for sigmas, filled where it is sure."""
    orders = list(dict.fromkeys(effect.order for effect in effects))
    colors = _colors(orders)
    named = [Line2D([], [], color=colors[order], marker="o", ls="", label=order) for order in orders]
    if len(study.sigmas) > 1:
        named += [
            Line2D([], [], color="#444444", marker=_marker(i), ls="", label=f"sigma {sigma:g}")
            for i, sigma in enumerate(study.sigmas)
        ]
    margin = side_margin(str(line.get_label()) for line in named)
    title = "what the order changed, median of pairs and 95 % interval; filled: Holm p < .05"
    figure, axes = grid(study, 2.4, 1.8, title, right=margin)
    for contamination, loss, axis in cells(study, axes):
        axis.axhline(1, color="#444444", lw=0.8)
        own = [e for e in effects if (e.contamination, e.loss) == (contamination, loss)]
        _draw(axis, study, colors, own)
        if not own:
            say(axis, "no pair is left: diverged")
        for i in range(len(study.lrs) - 1) if len(study.lrs) <= _NAMED else ():
            axis.axvline(i + 0.5, color="#dddddd", lw=0.8)
    lrs = every_few(study.lrs, _NAMED)
    axes[0, 0].set_xticks(lrs, [f"{study.lrs[i]:g}" for i in lrs])
    axes[0, 0].set_xlim(-0.5, len(study.lrs) - 0.5)
    _ratio_axis(axes[0, 0], effects)
    rule(axes, x=False)
    label_axes(figure, "learning rate", "parameter error / shuffled's")
    side_legend(figure, named, margin)
    return figure


def _colors(orders: Sequence[str]) -> dict[str, str]:
    """A colour for each; from the eighth on the palette that tells many apart takes over."""
    many = [to_hex(color) for color in colormaps["tab20"].colors]  # type: ignore[attr-defined]
    palette = CURVES if len(orders) <= len(CURVES) else many
    return {order: palette[i % len(palette)] for i, order in enumerate(orders)}


def _marker(sigma: int) -> str:
    return MARKERS[sigma % len(MARKERS)]


def _draw(axis: Axes, study: Study, colors: dict[str, str], effects: Sequence[OrderEffect]) -> None:
    """A bar and a marker for each effect: the order's colour, sigma's shape, filled where sure."""
    orders = list(colors)
    slots = len(orders) * len(study.sigmas)
    groups: dict[tuple[int, int, bool], list[tuple[float, Floats]]] = {}
    for effect in effects:
        order, sigma = orders.index(effect.order), study.sigmas.index(effect.sigma)
        slot = order * len(study.sigmas) + sigma
        x = study.lrs.index(effect.lr) + (slot + 0.5) / slots * 0.8 - 0.4
        sure = effect.p_holm is not None and effect.p_holm < 0.05
        ratios = np.exp([v for v in (effect.log_ratio, effect.lo, effect.hi) if v is not None])
        groups.setdefault((order, sigma, sure), []).append((x, ratios))
    for (order, sigma, sure), points in groups.items():
        color = colors[orders[order]]
        places = [x for x, _ in points]
        ratio, low, high = np.transpose([ratios for _, ratios in points])
        axis.vlines(places, low, high, color=color, lw=1)
        axis.plot(
            places,
            ratio,
            ls="",
            color=color,
            marker=_marker(sigma),
            markersize=3.8,
            markerfacecolor=color if sure else "white",
            markeredgewidth=0.8,
        )


def _ratio_axis(axis: Axes, effects: Sequence[OrderEffect]) -> None:
    """A log axis with plain numbers, also where it spans less than a decade."""
    axis.set_yscale("log")
    logs = [v for e in effects for v in (e.lo, e.hi) if v is not None]
    low, high = np.exp(min(0.0, *logs)) * 0.9, np.exp(max(0.0, *logs)) * 1.1
    axis.set_ylim(low, high)
    plain_log_axis(axis.yaxis)
