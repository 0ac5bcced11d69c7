"""Panels of a study: one row for each contamination, one column for each loss."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from textwrap import wrap
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator
from numpy.typing import NDArray

from regress.metrics.summary import TrialSummary
from regress.plots.style import create_panels
from regress.study import Study

# The trials of one order and batch size, by contamination, loss, lr and sigma.
SummariesBySetting = Mapping[tuple[str, str, float, float], TrialSummary]

_LETTER = 0.08  # width of a letter at 9.5 points, inches
_SMALL_LETTER = 0.063  # width of a letter at 8 points, inches


def create_grid(
    study: Study, width: float, height: float, title: str, right: float = 0.0
) -> tuple[Figure, NDArray[Any]]:
    """Return a figure and its axes (contaminations, losses), each panel of `width` x `height` inches."""
    rows, columns = len(study.contaminations), len(study.losses)
    # The title needs some five inches.
    width = max(width, 5.2 / columns)
    figure, axes = create_panels(rows, columns, width, height, f"{study.name}: {title}", right)
    names = [str(loss) for loss in study.losses]
    if max(map(len, names)) * _LETTER > width:
        names = [name.replace("(", "\n(", 1) for name in names]
    longest = max(len(line) for name in names for line in name.split("\n"))
    for name, axis in zip(names, axes[0], strict=True):
        size = 9.5 * min(1, width / (longest * _LETTER))
        axis.set_title(
            name, fontsize=size, y=1.0, pad=6, linespacing=1.0
        )  # without y matplotlib searches for it
    for contamination, axis in zip(study.contaminations, axes[:, -1], strict=True):
        kind, bracket, arguments = str(contamination).partition("(")
        lines = wrap(bracket + arguments, int(height / _SMALL_LETTER), break_long_words=False)
        name = "\n".join([kind, *lines])
        axis.text(
            1.03,
            0.5,
            name,
            transform=axis.transAxes,
            rotation=270,
            va="center",
            ha="left",
            multialignment="center",
            fontsize=8,
        )
    for axis in axes.flat:
        axis.tick_params(labelsize=8)
    return figure, axes


def iterate_panels(study: Study, axes: NDArray[Any]) -> Iterator[tuple[str, str, Axes]]:
    """Yield the contamination and the loss of each panel, and its axes."""
    for contamination, row in zip(study.contaminations, axes, strict=True):
        for loss, axis in zip(study.losses, row, strict=True):
            yield str(contamination), str(loss), axis


def index_by_setting(summaries: Iterable[TrialSummary]) -> SummariesBySetting:
    """Return summaries of one order and batch size by contamination, loss, lr and sigma."""
    return {
        (str(s.trial.contamination), str(s.trial.loss), s.trial.lr, s.trial.sigma): s for s in summaries
    }


def write_note(axis: Axes, text: str) -> None:
    """Write into an empty panel why it is empty."""
    axis.text(
        0.5, 0.25, text, transform=axis.transAxes, ha="center", fontsize=8, style="italic", color="#777777"
    )


def spaced_indices(values: Sequence[float], max_count: int) -> range:
    """Return at most `max_count` evenly spaced indices of `values`."""
    return range(0, len(values), -(-len(values) // max_count))


def format_log_axis(axis: Axis) -> None:
    """Label a log axis with plain numbers, without minor ticks; the limits must be set before.

    Short axes get several ticks per decade. Plain numbers are drawn faster than powers of ten.
    """
    low, high = axis.get_view_interval()
    decades = np.log10(high / low)
    steps = (1.0, 1.5, 2.0, 3.0, 5.0, 7.0) if decades < 1.5 else (1.0, 3.0) if decades < 4 else (1.0,)
    axis.set_major_locator(LogLocator(subs=steps))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
