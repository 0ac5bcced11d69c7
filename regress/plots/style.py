"""What the figures share: colours, margins in inches, the way to a PNG."""

import io
from collections.abc import Iterable
from textwrap import fill
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

# Okabe and Ito's palette, told apart by people who do not see all colours.
CURVES = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#F0E442")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DASHES = ("-", "--", ":", "-.")

_LEFT, _RIGHT, _TOP, _BOTTOM, _GAP = 0.85, 0.65, 0.75, 0.85, 0.12
_LETTER, _LINE = 0.073, 0.175  # of a title, inches


def panels(
    rows: int, columns: int, width: float, height: float, title: str, right: float = 0.0
) -> tuple[Figure, NDArray[Any]]:
    """A figure of panels of `width` x `height` inches, with room for labels, legend and title.

    The margins are fixed: matplotlib's own layout engines draw everything twice to find them.
    """
    across = _LEFT + columns * width + (columns - 1) * _GAP + _RIGHT + right
    title = fill(title, int((across - _LEFT) / _LETTER))
    more = _LINE * title.count("\n")
    down = _TOP + more + rows * height + (rows - 1) * _GAP + _BOTTOM
    figure = NotebookFigure(figsize=(across, down), dpi=110)
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    figure.subplots_adjust(
        left=_LEFT / across,
        right=1 - (_RIGHT + right) / across,
        top=1 - (_TOP + more) / down,
        bottom=_BOTTOM / down,
        wspace=_GAP / width,
        hspace=_GAP / height,
    )
    figure.text(_LEFT / across, 1 - (0.27 + more / 2) / down, title, fontsize=10.5, va="center")
    return figure, axes


def rule(axes: NDArray[Any], *, x: bool = True, y: bool = True) -> None:
    """Ticks at the outer panels alone, and thin lines at their places in all.

    Of panels whose limits are set. Ticks of its own would take a panel as long as its curves.
    """
    first: Axes = axes[0, 0]
    across = [[(0, tick), (1, tick)] for tick in first.yaxis.get_majorticklocs()] if y else []
    upright = [[(tick, 0), (tick, 1)] for tick in first.xaxis.get_majorticklocs()] if x else []
    for axis in axes.flat:
        place = axis.get_subplotspec()
        axis.xaxis.set_visible(place.is_last_row())
        axis.yaxis.set_visible(place.is_first_col())
        sides = ((across, axis.get_yaxis_transform()), (upright, axis.get_xaxis_transform()))
        for lines, transform in sides:
            drawn = LineCollection(
                lines, transform=transform, colors="#b0b0b0", linewidths=0.8, alpha=0.25, zorder=1
            )
            axis.add_collection(drawn, autolim=False)


def label_axes(figure: Figure, x: str, y: str) -> None:
    """One label for all panels' x axes, one for their y axes."""
    across, down = figure.get_size_inches()
    box = figure.subplotpars
    figure.text((box.left + box.right) / 2, 0.42 / down, x, ha="center", va="center", fontsize=9.5)
    middle = (box.bottom + box.top) / 2
    figure.text(0.2 / across, middle, y, ha="center", va="center", rotation=90, fontsize=9.5)


def curve(i: int, label: str) -> dict[str, Any]:
    """The i-th of several curves: a colour and a marker, and other dashes from the eighth on."""
    return {
        "color": CURVES[i % len(CURVES)],
        "ls": DASHES[i // len(CURVES) % len(DASHES)],
        "marker": MARKERS[i % len(MARKERS)],
        "ms": 3.5,
        "lw": 1.2,
        "label": label,
    }


def legend(figure: Figure, handles: list[Any]) -> None:
    """One row under everything."""
    figure.legend(
        handles=handles,
        loc="lower center",
        bbox_to_anchor=(0.5, 0.0),
        ncols=len(handles),
        fontsize=8,
        frameon=False,
        borderaxespad=0.15,
        columnspacing=1.4,
        handletextpad=0.5,
    )


def side_margin(labels: Iterable[str]) -> float:
    """Inches to the right of the panels that `side_legend` needs for its longest label."""
    return 0.6 + 0.06 * max(map(len, labels))


def side_legend(figure: Figure, handles: list[Any], margin: float) -> None:
    """One column to the right of the panels, in a margin of `margin` inches: room for any number."""
    across, _ = figure.get_size_inches()
    figure.legend(
        handles=handles,
        loc="center left",
        bbox_to_anchor=(1 - margin / across, 0.5),
        fontsize=8,
        frameon=False,
        borderaxespad=0,
        labelspacing=0.6,
    )


def to_png(figure: Figure) -> bytes:
    canvas = figure.canvas
    assert isinstance(canvas, FigureCanvasAgg)
    canvas.draw()
    buffer = io.BytesIO()
    pixels = np.asarray(canvas.buffer_rgba())[..., :3].copy()
    Image.fromarray(pixels).save(buffer, "png", compress_level=6)
    return buffer.getvalue()


class NotebookFigure(Figure):
    """A figure that a notebook shows as a picture; matplotlib's own needs pyplot for that."""

    def _repr_png_(self) -> bytes:
        return to_png(self)


def short(value: float) -> str:
    """Two significant digits, without an exponent where a person would write none."""
    if not 1e-4 <= abs(value) < 1e5:
        return f"{value:.1e}".replace("e-0", "e-").replace("e+0", "e")
    return f"{float(f'{value:.2g}'):,.5f}".rstrip("0").rstrip(".")


def plain(
    width: float, height: float, rows: int = 1, columns: int = 1, left: float = 0.8
) -> tuple[Figure, list[Axes]]:
    """A figure of `width` x `height` inches and its axes, row by row, with `left` inches for labels."""
    figure = Figure(figsize=(width, height), dpi=110)
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False)
    figure.subplots_adjust(
        left=left / width, right=1 - 0.2 / width, top=1 - 0.38 / height, bottom=0.55 / height
    )
    figure.subplots_adjust(wspace=0.12, hspace=0.75)
    return figure, list(axes.flat)
