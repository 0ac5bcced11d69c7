"""How far a rerun has drifted from what was recorded, trial by trial."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from regress.plots.style import CURVES, plain, to_png
from regress.rerun.bits import Differences
from regress.rerun.statistics import ALPHA, Shift
from regress.study import Study

Floats = NDArray[np.float64]


def drift_plot(study: Study, differences: Differences, shifts: Sequence[Shift]) -> bytes:
    """PNG: by trial the largest distance in ULPs and relative difference, and the p of another seed."""
    trials = [trial.digest for trial in study.trials]
    places = {digest: i for i, digest in enumerate(trials)}
    figure, axes = plain(9.0, 6.2, rows=3, left=1.05)
    own = differences.table[differences.table.trial.isin(places)]
    worst = own.groupby("trial")[["ulps", "relative"]].max()
    x = np.array([places[str(trial)] for trial in worst.index], float)
    missing = differences.trials - len(worst)
    title = (
        f"{study.name}: {differences.count:,} of {differences.compared:,} rows differ from the record,"
        f" in {differences.trials:,} trials"
    )
    axes[0].set_title(title + (f", {missing:,} of them not the study's" if missing else ""), fontsize=10)
    for axis, name, label in (
        (axes[0], "ulps", "most ULPs apart"),
        (axes[1], "relative", "relative difference"),
    ):
        _draw(axis, x, worst[name].to_numpy(np.float64))
        axis.set_ylabel(label, fontsize=9)
    axes[1].set_title(
        "the same, relative to the numbers' size; a cross at the top: a number or a row is missing",
        fontsize=9,
    )
    found = [(places[shift.trial], shift.p_holm) for shift in shifts if shift.trial in places]
    axes[2].set_title(
        f"recorded errors against those of another seed; drifted below p = {ALPHA:g}", fontsize=9
    )
    if found:
        at, p = np.transpose(found)
        axes[2].scatter(at, p, s=9, color=CURVES[0], zorder=3)
    axes[2].axhline(ALPHA, color=CURVES[3], lw=1)
    axes[2].set(yscale="log", ylim=(min([ALPHA / 30, *(p / 3 for _, p in found if p > 0)]), 3))
    axes[2].set_ylabel("Holm p", fontsize=9)
    axes[2].set_xlabel("trial, in the order of the grid", fontsize=9)
    for axis in axes:
        axis.set_xlim(-0.5 - len(trials) / 60, len(trials) - 0.5 + len(trials) / 60)
        axis.grid(alpha=0.25)
        axis.tick_params(labelsize=8)
    return to_png(figure)


def _draw(axis: Axes, x: Floats, values: Floats) -> None:
    finite = np.isfinite(values)
    if (shown := finite & (values > 0)).any():
        axis.set_yscale("log")
        axis.scatter(x[shown], values[shown], s=9, color=CURVES[0], zorder=3)
        low, high = values[shown].min(), values[shown].max()
        axis.set_ylim(low / 3, high * 10)
    axis.plot(
        x[~finite],
        np.full((~finite).sum(), 0.95),
        "x",
        color=CURVES[3],
        markersize=4,
        transform=axis.get_xaxis_transform(),
        clip_on=False,
    )
