"""Figure of a rerun's differences from its record, trial by trial."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from regress.plots.style import CURVES, create_axes, to_png
from regress.rerun.bits import Differences
from regress.rerun.statistics import ALPHA, Shift
from regress.study import Study

Floats = NDArray[np.float64]


def render_drift(study: Study, differences: Differences, shifts: Sequence[Shift]) -> bytes:
    """Return a PNG: each trial's largest distance in ULPs, relative difference, and adjusted p."""
    trials = [trial.digest for trial in study.trials]
    positions = {digest: i for i, digest in enumerate(trials)}
    figure, axes = create_axes(9.0, 6.2, rows=3, left=1.05, hspace=0.5)
    known = differences.table[differences.table.trial.isin(positions)]
    largest = known.groupby("trial")[["ulps", "relative"]].max()
    x = np.array([positions[str(trial)] for trial in largest.index], float)
    unknown = differences.trial_count - len(largest)
    axes[0].set_title(
        f"{study.name}: {differences.count:,} of {differences.compared:,} rows differ from the record,"
        f" in {differences.trial_count:,} trials"
        + (f", {unknown:,} of which the study does not have" if unknown else ""),
        fontsize=10,
    )
    _draw_differences(axes[0], x, largest["ulps"].to_numpy(np.float64))
    axes[0].set_ylabel("largest\ndifference (ULPs)", fontsize=9)
    _draw_differences(axes[1], x, largest["relative"].to_numpy(np.float64))
    axes[1].set_ylabel("largest relative\ndifference", fontsize=9)
    axes[1].set_title("Relative to the numbers' size; a cross marks a missing row or number", fontsize=9)
    _draw_p_values(axes[2], [(positions[s.trial], s.p_holm) for s in shifts if s.trial in positions])
    axes[2].set_title(
        f"Recorded errors compared with errors of a fresh seed; below p = {ALPHA:g} they drifted",
        fontsize=9,
    )
    axes[2].set_ylabel("adjusted p (Holm)", fontsize=9)
    axes[2].set_xlabel("index of the trial in the study's grid", fontsize=9)
    for axis in axes:
        axis.set_xlim(-0.5 - len(trials) / 60, len(trials) - 0.5 + len(trials) / 60)
        axis.grid(alpha=0.25)
        axis.tick_params(labelsize=8)
    return to_png(figure)


def _draw_differences(axis: Axes, x: Floats, values: Floats) -> None:
    """Draw positive finite values as dots, infinite ones as crosses at the top."""
    is_finite = np.isfinite(values)
    if (is_shown := is_finite & (values > 0)).any():
        axis.set_yscale("log")
        axis.scatter(x[is_shown], values[is_shown], s=9, color=CURVES[0], zorder=3)
        low, high = values[is_shown].min(), values[is_shown].max()
        axis.set_ylim(low / 3, high * 10)
    axis.plot(
        x[~is_finite],
        np.full((~is_finite).sum(), 0.95),
        "x",
        color=CURVES[3],
        markersize=4,
        transform=axis.get_xaxis_transform(),
        clip_on=False,
    )


def _draw_p_values(axis: Axes, points: Sequence[tuple[int, float]]) -> None:
    """Draw (position, p) as dots, with a line at the level."""
    if points:
        x, p = np.transpose(points)
        axis.scatter(x, p, s=9, color=CURVES[0], zorder=3)
    axis.axhline(ALPHA, color=CURVES[3], lw=1)
    axis.set(yscale="log", ylim=(min([ALPHA / 30, *(p / 3 for _, p in points if p > 0)]), 3))
