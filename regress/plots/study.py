"""The figures of a whole study: a row of panels for each contamination, a column for each loss."""

from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from regress.compare import OrderEffect
from regress.orders import Shuffled
from regress.plots.breakdown import breakdown, shares
from regress.plots.epochs import epochs_by_sigma
from regress.plots.grid import Own, cells, every_few, grid, keyed, plain_log_axis
from regress.plots.heat import error_by_lr_and_sigma
from regress.plots.style import CURVES, DASHES, MARKERS, label_axes, legend, to_png
from regress.plots.sweep import error_by_lr
from regress.plots.trial import scales
from regress.references import Beside
from regress.study import Study
from regress.summary import TrialSummary

Floats = NDArray[np.float64]

_NAMED = 7  # learning rates under a panel, or in a legend, at most


def study_plots(
    study: Study,
    summaries: Sequence[TrialSummary],
    effects: Sequence[OrderEffect],
    references: Sequence[Beside] = (),
) -> dict[str, bytes]:
    """PNG files by name: the error by lr and sigma, the curves by epoch, what the orders changed, and more.

    What shows one order shows the shuffled trials, or those of the first order in a study that never
    shuffles. The orders are drawn by lr where there are two, or three learning rates; the epochs to
    tolerance by sigma where there are three; the error by share of outliers where one kind has three.
    """
    shuffled = [order for order in study.orders if isinstance(order, Shuffled)]
    order = (shuffled or study.orders)[0]
    figures = {}
    for size in study.batch_sizes:
        suffix = f"-batch-{size}" if len(study.batch_sizes) > 1 else ""
        sized = [summary for summary in summaries if summary.trial.batch_size == size]
        own = keyed(summary for summary in sized if summary.trial.order == order)
        changed = [effect for effect in effects if effect.batch_size == size and effect.n]
        figures[f"error-by-lr-and-sigma{suffix}"] = error_by_lr_and_sigma(study, own)
        figures[f"error-by-epoch{suffix}"] = _curves(study, own, "param_error")
        figures[f"loss-by-epoch{suffix}"] = _curves(study, own, "train_loss")
        if changed:
            figures[f"order-effect{suffix}"] = _order_effects(study, changed)
        if len(study.lrs) >= 3 or len(study.orders) > 1:
            figures[f"error-by-lr{suffix}"] = error_by_lr(study, sized, references)
        if len(study.sigmas) >= 3:
            figures[f"epochs-by-sigma{suffix}"] = epochs_by_sigma(study, own)
        if kinds := shares(study.contaminations):
            figures[f"breakdown{suffix}"] = breakdown(study, kinds, own, references)
    return {f"{name}.png": to_png(figure) for name, figure in figures.items()}


def _curves(study: Study, summaries: Own, history: str) -> Figure:
    name = {"param_error": "parameter error", "train_loss": "training loss"}[history]
    order = next(iter(summaries.values())).trial.order
    figure, axes = grid(
        study, 2.4, 1.8, f"{name} by epoch, {order}; a curve that ends or leaves has diverged"
    )
    shared = scales(summaries.values())
    shades = colormaps["plasma"](np.linspace(0.05, 0.85, len(study.lrs)))
    epochs = np.arange(1, study.epochs + 1)
    for contamination, loss, axis in cells(study, axes):
        for shade, lr in zip(shades, study.lrs, strict=True):
            for i, sigma in enumerate(study.sigmas):
                median = summaries[contamination, loss, lr, sigma].histories[history].median
                shown = np.where(np.isfinite(median), median, np.nan)
                axis.plot(epochs, shown, color=shade, ls=DASHES[i % len(DASHES)], lw=1.4)
        axis.grid(alpha=0.25)
    axes[0, 0].set(yscale="log", ylim=shared.error if history == "param_error" else shared.loss)
    plain_log_axis(axes[0, 0].yaxis)
    axes[0, 0].xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
    label_axes(figure, "epoch", f"{name}, median of {study.replicates} replicates")
    legend(
        figure,
        [
            Line2D([], [], color=shades[i], label=f"lr {study.lrs[i]:g}")
            for i in every_few(study.lrs, _NAMED)
        ]
        + [
            Line2D([], [], color="#444444", ls=DASHES[i % len(DASHES)], label=f"sigma {sigma:g}")
            for i, sigma in enumerate(study.sigmas)
        ],
    )
    return figure


def _order_effects(study: Study, effects: Sequence[OrderEffect]) -> Figure:
    figure, axes = grid(
        study,
        2.4,
        1.8,
        "what the order changed, median of pairs and 95 % interval; filled: Holm p < .05",
    )
    orders = list(dict.fromkeys(effect.order for effect in effects))
    for contamination, loss, axis in cells(study, axes):
        axis.axhline(1, color="#444444", lw=0.8)
        own = [e for e in effects if (e.contamination, e.loss) == (contamination, loss)]
        _draw_effects(axis, study, orders, own)
        if not own:
            axis.text(
                0.5,
                0.25,
                "no pair is left: diverged",
                transform=axis.transAxes,
                ha="center",
                fontsize=8,
                style="italic",
                color="#777777",
            )
        axis.grid(alpha=0.25, axis="y")
        for i in range(len(study.lrs) - 1) if len(study.lrs) <= _NAMED else ():
            axis.axvline(i + 0.5, color="#dddddd", lw=0.8)
    lrs = every_few(study.lrs, _NAMED)
    axes[0, 0].set_xticks(lrs, [f"{study.lrs[i]:g}" for i in lrs])
    axes[0, 0].set_xlim(-0.5, len(study.lrs) - 0.5)
    _ratio_axis(axes[0, 0], effects)
    label_axes(figure, "learning rate", "parameter error / shuffled's")
    legend(
        figure,
        [
            Line2D([], [], color=CURVES[i % len(CURVES)], marker="o", ls="", label=order)
            for i, order in enumerate(orders)
        ]
        + [
            Line2D(
                [],
                [],
                color="#444444",
                marker=MARKERS[i % len(MARKERS)],
                ls="",
                label=f"sigma {s:g}",
            )
            for i, s in enumerate(study.sigmas)
        ],
    )
    return figure


def _draw_effects(axis: Axes, study: Study, orders: list[str], effects: Sequence[OrderEffect]) -> None:
    """A bar and a marker for each effect: the order's colour, sigma's shape, filled where sure."""
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
        color = CURVES[order % len(CURVES)]
        places = [x for x, _ in points]
        ratio, low, high = np.transpose([ratios for _, ratios in points])
        axis.vlines(places, low, high, color=color, lw=1)
        axis.plot(
            places,
            ratio,
            ls="",
            color=color,
            marker=MARKERS[sigma % len(MARKERS)],
            markersize=3.8,
            markerfacecolor=color if sure else "white",
            markeredgewidth=0.8,
        )


def _ratio_axis(axis: Axes, effects: Sequence[OrderEffect]) -> None:
    """A log axis with plain numbers, also where it spans less than a decade."""
    axis.set_yscale("log")
    logs = [v for e in effects for v in (e.lo, e.hi) if v is not None]
    span = (max(logs) - min(logs)) / np.log(10)
    low, high = np.exp(min(0.0, *logs)) * 0.9, np.exp(max(0.0, *logs)) * 1.1
    axis.set_ylim(low, high)
    steps = (1, 1.5, 2, 3, 5, 7) if span < 1.2 else (1, 3) if span < 4 else (1,)
    axis.set_yticks([s * 10.0**d for d in range(-12, 13) for s in steps if low <= s * 10.0**d <= high])
    plain_log_axis(axis.yaxis)
