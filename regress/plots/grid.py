"""Panels of a study: a row for each contamination, a column for each loss."""

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
from regress.plots.style import panels
from regress.study import Study

Own = Mapping[
    tuple[str, str, float, float], TrialSummary
]  # one order's, by contamination, loss, lr and sigma

_LETTER = 0.08  # inches, of 9.5 points


def grid(
    study: Study, width: float, height: float, title: str, right: float = 0.0
) -> tuple[Figure, NDArray[Any]]:
    """Named panels of `width` x `height` inches."""
    rows, columns = len(study.contaminations), len(study.losses)
    # A title needs some five inches.
    width = max(width, 5.2 / columns)
    figure, axes = panels(rows, columns, width, height, f"{study.name}: {title}", right)
    names = [str(loss) for loss in study.losses]
    if max(map(len, names)) * _LETTER > width:
        names = [name.replace("(", "\n(", 1) for name in names]
    longest = max(len(line) for name in names for line in name.split("\n"))
    for name, axis in zip(names, axes[0], strict=True):
        size = 9.5 * min(1, width / (longest * _LETTER))
        axis.set_title(name, fontsize=size, y=1.0, pad=6, linespacing=1.0)  # a given y spares a search
    for contamination, axis in zip(study.contaminations, axes[:, -1], strict=True):
        kind, bracket, arguments = str(contamination).partition("(")
        lines = wrap(bracket + arguments, int(height / 0.063), break_long_words=False)
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


def cells(study: Study, axes: NDArray[Any]) -> Iterator[tuple[str, str, Axes]]:
    """The contamination and the loss of each panel."""
    for contamination, row in zip(study.contaminations, axes, strict=True):
        for loss, axis in zip(study.losses, row, strict=True):
            yield str(contamination), str(loss), axis


def keyed(summaries: Iterable[TrialSummary]) -> Own:
    """Summaries of one order and batch size by the rest of their place in the grid."""
    return {
        (str(s.trial.contamination), str(s.trial.loss), s.trial.lr, s.trial.sigma): s for s in summaries
    }


def say(axis: Axes, text: str) -> None:
    """In an empty panel, why it is empty."""
    axis.text(
        0.5, 0.25, text, transform=axis.transAxes, ha="center", fontsize=8, style="italic", color="#777777"
    )


def every_few(values: Sequence[float], most: int) -> range:
    """The places of every value, or of every second one, or third, that there be `most` at most."""
    return range(0, len(values), -(-len(values) // most))


def plain_log_axis(axis: Axis) -> None:
    """Plain numbers, which are easier to read than powers and quicker to set, and no minor ticks.

    Of an axis whose limits are set: the shorter it is, the more of a decade's numbers it names.
    """
    low, high = axis.get_view_interval()
    span = np.log10(high / low)
    steps = (1.0, 1.5, 2.0, 3.0, 5.0, 7.0) if span < 1.2 else (1.0, 3.0) if span < 4 else (1.0,)
    axis.set_major_locator(LogLocator(subs=steps))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
