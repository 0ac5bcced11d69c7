"""The figures of a whole study."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullLocator
from numpy.typing import NDArray

from regress.compare import OrderEffect
from regress.metrics import nearest_rank
from regress.orders import Shuffled
from regress.plots.style import CURVES, MARKERS, cycle, new_figure, to_png
from regress.plots.trial import Scales, scales
from regress.study import Study
from regress.summary import TrialSummary

Floats = NDArray[np.float64]

_METRIC_NAMES = {
    "param_error": "parameter error ‖w − w*‖",
    "val_median_abs_residual": "median |residual| on held-out rows",
}


def study_plots(
    study: Study, summaries: Sequence[TrialSummary], effects: Sequence[OrderEffect]
) -> dict[str, bytes]:
    """PNG files by name: heat maps by learning rate and initial scale, loss curves, order effects."""
    files = {}
    for batch_size in study.batch_sizes:
        suffix = f"-batch-{batch_size}" if len(study.batch_sizes) > 1 else ""
        own = [s for s in summaries if s.trial.batch_size == batch_size]
        for order in study.orders:
            shown = [s for s in own if s.trial.order == order]
            name = "" if isinstance(order, Shuffled) else f"-{order.name}"
            files[f"error-by-lr-and-sigma{name}{suffix}.png"] = to_png(_heat_maps(study, shown))
        curves = [s for s in own if s.trial.order == study.orders[0]]
        files[f"error-by-epoch{suffix}.png"] = to_png(
            _curves(study, curves, "param_error", "parameter error")
        )
        files[f"loss-by-epoch{suffix}.png"] = to_png(
            _curves(study, curves, "train_loss", "training loss")
        )
        shown_effects = [e for e in effects if e.batch_size == batch_size and e.n]
        if shown_effects:
            files[f"order-effect{suffix}.png"] = to_png(_order_effects(study, shown_effects))
    return files


def _grid(study: Study, width: float, height: float) -> tuple[Figure, NDArray[Any]]:
    """A figure with a row of axes for each contamination and a column for each loss."""
    rows, columns = len(study.contaminations), len(study.losses)
    figure = new_figure(1.6 + width * columns, 1.0 + height * rows)
    axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    for loss, axis in zip(study.losses, axes[0], strict=True):
        axis.set_title(str(loss), fontsize=10)
    for contamination, axis in zip(study.contaminations, axes[:, -1], strict=True):
        axis.annotate(
            str(contamination).replace("(", "\n(", 1),
            (1.04, 0.5),
            xycoords="axes fraction",
            rotation=270,
            va="center",
            ha="left",
            multialignment="center",
            fontsize=8.5,
        )
    return figure, axes


def _panels(study: Study, axes: NDArray[Any]) -> Iterator[tuple[str, str, Axes]]:
    for contamination, row in zip(study.contaminations, axes, strict=True):
        for loss, axis in zip(study.losses, row, strict=True):
            yield str(contamination), str(loss), axis


def _heat_maps(study: Study, summaries: Sequence[TrialSummary]) -> Figure:
    figure, axes = _grid(study, 0.5 + 0.62 * len(study.lrs), 0.5 + 0.42 * len(study.sigmas))
    medians = {_key(s): (float(nearest_rank(s.ranking, 0.5)), s.diverged_fraction) for s in summaries}
    finite = [value for value, _ in medians.values() if np.isfinite(value) and value > 0]
    norm = LogNorm(*_decades(finite))
    colors = colormaps["viridis_r"].with_extremes(bad="#e4e4e4")
    for contamination, loss, axis in _panels(study, axes):
        cells = np.array(
            [
                [medians[contamination, loss, lr, sigma] for lr in study.lrs]
                for sigma in study.sigmas
            ]
        )
        values = np.ma.masked_invalid(cells[..., 0])
        image = axis.imshow(values, norm=norm, cmap=colors, aspect="auto", origin="lower")
        for (row, column), value in np.ndenumerate(cells[..., 0]):
            gone = cells[row, column, 1]
            text = f"{value:.2g}" if np.isfinite(value) else "diverged"
            note = f"\n{gone:.0%} div." if 0 < gone and np.isfinite(value) else ""
            dark = np.isfinite(value) and norm(value) > 0.55
            axis.text(
                column,
                row,
                text + note,
                ha="center",
                va="center",
                fontsize=6.5,
                color="white" if dark else "#222222",
                style="normal" if np.isfinite(value) else "italic",
            )
        axis.set_xticks(range(len(study.lrs)), [f"{lr:g}" for lr in study.lrs], fontsize=8)
        axis.set_yticks(range(len(study.sigmas)), [f"{s:g}" for s in study.sigmas], fontsize=8)
    figure.supxlabel("learning rate", fontsize=10)
    figure.supylabel("initial scale sigma", fontsize=10)
    order = summaries[0].trial.order
    label = _METRIC_NAMES[study.problem.ranking]
    figure.suptitle(
        f"{study.name}: median of {label.split(' ‖')[0]}, order {order}, {study.epochs} epochs",
        fontsize=11,
    )
    figure.colorbar(image, ax=axes, label=label, shrink=0.8, pad=0.03)
    return figure


def _curves(
    study: Study, summaries: Sequence[TrialSummary], history: str, ylabel: str
) -> Figure:
    figure, axes = _grid(study, 2.4, 1.9)
    shared: Scales = scales(summaries)
    limits = shared.error if history == "param_error" else shared.loss
    shades = colormaps["plasma"](np.linspace(0.05, 0.85, len(study.lrs)))
    styles = ("-", "--", ":", "-.")
    by_key = {_key(s): s for s in summaries}
    epochs = np.arange(1, study.epochs + 1)
    for contamination, loss, axis in _panels(study, axes):
        for shade, lr in zip(shades, study.lrs, strict=True):
            for i, sigma in enumerate(study.sigmas):
                median = by_key[contamination, loss, lr, sigma].histories[history].median
                shown = np.where(np.isfinite(median), median, np.nan)
                axis.plot(epochs, shown, color=shade, ls=cycle(styles, i), lw=1.4)
        axis.set(yscale="log", ylim=limits)
        axis.xaxis.get_major_locator().set_params(integer=True, nbins=6)
        axis.tick_params(labelsize=8)
        axis.grid(alpha=0.25)
    handles = [
        Line2D([], [], color=shade, label=f"lr {lr:g}")
        for shade, lr in zip(shades, study.lrs, strict=True)
    ] + [
        Line2D([], [], color="#444444", ls=cycle(styles, i), label=f"sigma {sigma:g}")
        for i, sigma in enumerate(study.sigmas)
    ]
    figure.supxlabel("epoch", fontsize=10)
    figure.supylabel(f"{ylabel}, median over {study.replicates} replicates", fontsize=10)
    figure.legend(handles=handles, loc="outside lower center", ncols=8, fontsize=8, frameon=False)
    figure.suptitle(
        f"{study.name}: {ylabel} by epoch, order {summaries[0].trial.order}"
        " (a curve that ends has diverged)",
        fontsize=11,
    )
    return figure


def _order_effects(study: Study, effects: Sequence[OrderEffect]) -> Figure:
    figure, axes = _grid(study, 2.4, 1.9)
    orders = list(dict.fromkeys(effect.order for effect in effects))
    slots = len(orders) * len(study.sigmas)
    for contamination, loss, axis in _panels(study, axes):
        axis.axhline(1, color="#444444", lw=0.8)
        for effect in effects:
            if (effect.contamination, effect.loss) == (contamination, loss):
                _draw_effect(axis, study, orders, slots, effect)
        axis.set_xticks(range(len(study.lrs)), [f"{lr:g}" for lr in study.lrs])
        axis.set_xlim(-0.5, len(study.lrs) - 0.5)
        axis.set_yscale("log")
        axis.tick_params(labelsize=8)
        axis.grid(alpha=0.25, axis="y")
        for i in range(len(study.lrs) - 1):
            axis.axvline(i + 0.5, color="#dddddd", lw=0.8)
    _readable_ratios(axes[0, 0], effects)
    handles = [
        Line2D([], [], color=cycle(CURVES, i), marker="o", ls="", label=order)
        for i, order in enumerate(orders)
    ] + [
        Line2D([], [], color="#444444", marker=cycle(MARKERS, i), ls="", label=f"sigma {sigma:g}")
        for i, sigma in enumerate(study.sigmas)
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=8, fontsize=8, frameon=False)
    figure.supxlabel("learning rate", fontsize=10)
    figure.supylabel("parameter error / shuffled's", fontsize=10)
    figure.suptitle(
        f"{study.name}: what the order changed (median of pairs, 95 % interval;"
        " hollow: Holm p ≥ .05)",
        fontsize=11,
    )
    return figure


def _draw_effect(
    axis: Axes, study: Study, orders: list[str], slots: int, effect: OrderEffect
) -> None:
    if effect.log_ratio is None or effect.lo is None or effect.hi is None:
        return
    color = orders.index(effect.order)
    sigma = study.sigmas.index(effect.sigma)
    slot = color * len(study.sigmas) + sigma
    x = study.lrs.index(effect.lr) + (slot + 0.5) / slots * 0.8 - 0.4
    ratio, low, high = np.exp([effect.log_ratio, effect.lo, effect.hi])
    sure = effect.p_holm is not None and effect.p_holm < 0.05
    axis.errorbar(
        x,
        ratio,
        [[ratio - low], [high - ratio]],
        color=cycle(CURVES, color),
        marker=cycle(MARKERS, sigma),
        markersize=3.6,
        markerfacecolor=cycle(CURVES, color) if sure else "white",
        markeredgewidth=0.8,
        lw=1,
    )


def _readable_ratios(axis: Axes, effects: Sequence[OrderEffect]) -> None:
    """Plain numbers on the log axis, also where it spans less than a decade."""
    logs = [v for e in effects for v in (e.lo, e.hi) if v is not None]
    span = (max(logs) - min(logs)) / np.log(10)
    low, high = np.exp(min(0.0, *logs)) * 0.9, np.exp(max(0.0, *logs)) * 1.1
    axis.set_ylim(low, high)
    steps = (1, 1.5, 2, 3, 5, 7) if span < 1.2 else (1, 3) if span < 4 else (1,)
    ticks = [s * 10.0**d for d in range(-12, 13) for s in steps]
    axis.set_yticks([t for t in ticks if low <= t <= high])
    axis.yaxis.set_minor_locator(NullLocator())
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _key(summary: TrialSummary) -> tuple[str, str, float, float]:
    trial = summary.trial
    return str(trial.contamination), str(trial.loss), trial.lr, trial.sigma


def _decades(values: list[float]) -> tuple[float, float]:
    if not values:
        return 1e-3, 1e3
    low, high = min(values), max(values)
    return (low, high) if high > 1.01 * low else (low / 1.5, high * 1.5)
