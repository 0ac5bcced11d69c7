"""The figures of a whole study: a row of panels for each contamination, a column for each loss."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from regress.compare import OrderEffect
from regress.metrics import nearest_rank
from regress.orders import Shuffled
from regress.plots.breakdown import breakdown, shares
from regress.plots.epochs import epochs_by_sigma
from regress.plots.grid import RANKING, Own, cells, grid, keyed, plain_log_axis
from regress.plots.overlay import EDGES, edges
from regress.plots.style import CURVES, DASHES, MARKERS, label_axes, legend, short, to_png
from regress.plots.sweep import error_by_lr
from regress.plots.trial import scales
from regress.references import Beside
from regress.study import Study
from regress.summary import TrialSummary

Floats = NDArray[np.float64]


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


def error_by_lr_and_sigma(study: Study, summaries: Own) -> Figure:
    label = RANKING[study.problem.ranking]
    order = next(iter(summaries.values())).trial.order
    figure, axes = grid(
        study,
        0.68 * len(study.lrs),
        max(0.52 * len(study.sigmas), 1.0),
        f"median {label} after {study.epochs} epochs, {order}",
        right=0.9,
    )
    medians = {key: float(nearest_rank(s.ranking, 0.5)) for key, s in summaries.items()}
    norm = LogNorm(*_ends([value for value in medians.values() if 0 < value < np.inf]))
    colors = colormaps["viridis_r"].with_extremes(bad="#e4e4e4")
    for contamination, loss, axis in cells(study, axes):
        places = [[(contamination, loss, lr, sigma) for lr in study.lrs] for sigma in study.sigmas]
        values = np.array([[medians[key] for key in row] for row in places])
        shown = np.ma.masked_invalid(values)
        image = axis.pcolormesh(shown, norm=norm, cmap=colors, edgecolors="white", linewidth=1)
        axis.set_facecolor("#e4e4e4")
        for (row, column), value in np.ndenumerate(values):
            gone = summaries[places[row][column]].diverged_fraction
            _write_cell(axis, column, row, value, gone, norm)
        axis.set_xticks(np.arange(len(study.lrs)) + 0.5, [f"{lr:g}" for lr in study.lrs])
        axis.set_yticks(np.arange(len(study.sigmas)) + 0.5, [f"{sigma:g}" for sigma in study.sigmas])
    _mark_edges(study, axes, summaries, figure)
    label_axes(figure, "learning rate", "initial scale sigma")
    across = figure.get_size_inches()[0]
    box = figure.subplotpars
    bar = figure.add_axes((1 - 0.8 / across, box.bottom, 0.15 / across, box.top - box.bottom))
    figure.colorbar(image, cax=bar).ax.tick_params(labelsize=8)
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
                axis.axvline(place, color="white", lw=3.2)
                axis.axvline(place, **EDGES[name])
                drawn[name] = Line2D([], [], **EDGES[name])
    if drawn:
        legend(figure, list(drawn.values()))


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
            Line2D([], [], color=shade, label=f"lr {lr:g}")
            for shade, lr in zip(shades, study.lrs, strict=True)
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
        for i in range(len(study.lrs) - 1):
            axis.axvline(i + 0.5, color="#dddddd", lw=0.8)
    axes[0, 0].set_xticks(range(len(study.lrs)), [f"{lr:g}" for lr in study.lrs])
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


def _ends(values: list[float]) -> tuple[float, float]:
    if not values:
        return 1e-3, 1e3
    low, high = min(values), max(values)
    return (low, high) if high > 1.01 * low else (low / 1.5, high * 1.5)
