"""Style shared by all figures: colours, margins in inches, legends, conversion to PNG."""

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

# The palette of Okabe and Ito, which remains distinguishable with colour vision deficiencies.
CURVES = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#F0E442")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DASHES = ("-", "--", ":", "-.")

_LEFT, _RIGHT, _TOP, _BOTTOM, _GAP = 0.85, 0.65, 0.75, 0.85, 0.12
_LETTER, _LINE = 0.073, 0.175  # width of a title's letter and height of its line, inches


def create_panels(
    rows: int, columns: int, width: float, height: float, title: str, right: float = 0.0
) -> tuple[Figure, NDArray[Any]]:
    """Return a figure and its axes (rows, columns), each panel of `width` x `height` inches.

    `right` is the width of a legend at the right, in inches. The margins are fixed, because matplotlib's
    layout engines draw everything twice to compute them.
    """
    across = _LEFT + columns * width + (columns - 1) * _GAP + _RIGHT + right
    title = fill(title, int((across - _LEFT) / _LETTER))
    extra_lines = _LINE * title.count("\n")
    down = _TOP + extra_lines + rows * height + (rows - 1) * _GAP + _BOTTOM
    figure = NotebookFigure(figsize=(across, down), dpi=110)
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    figure.subplots_adjust(
        left=_LEFT / across,
        right=1 - (_RIGHT + right) / across,
        top=1 - (_TOP + extra_lines) / down,
        bottom=_BOTTOM / down,
        wspace=_GAP / width,
        hspace=_GAP / height,
    )
    figure.text(_LEFT / across, 1 - (0.27 + extra_lines / 2) / down, title, fontsize=10.5, va="center")
    return figure, axes


def draw_grid_lines(axes: NDArray[Any], *, x: bool = True, y: bool = True) -> None:
    """Draw grid lines in all panels, and ticks and their labels at the outer panels only.

    The limits must be set before. Ticks of every panel would take as long to draw as its curves.
    """
    first: Axes = axes[0, 0]
    horizontal = [[(0, tick), (1, tick)] for tick in first.yaxis.get_majorticklocs()] if y else []
    vertical = [[(tick, 0), (tick, 1)] for tick in first.xaxis.get_majorticklocs()] if x else []
    for axis in axes.flat:
        position = axis.get_subplotspec()
        axis.xaxis.set_visible(position.is_last_row())
        axis.yaxis.set_visible(position.is_first_col())
        directions = (
            (horizontal, axis.get_yaxis_transform()),
            (vertical, axis.get_xaxis_transform()),
        )
        for segments, transform in directions:
            lines = LineCollection(
                segments, transform=transform, colors="#b0b0b0", linewidths=0.8, alpha=0.25, zorder=1
            )
            axis.add_collection(lines, autolim=False)


def label_axes(figure: Figure, x: str, y: str) -> None:
    """Add one x label and one y label for all panels."""
    across, down = figure.get_size_inches()
    box = figure.subplotpars
    figure.text((box.left + box.right) / 2, 0.42 / down, x, ha="center", va="center", fontsize=9.5)
    middle = (box.bottom + box.top) / 2
    figure.text(0.2 / across, middle, y, ha="center", va="center", rotation=90, fontsize=9.5)


def curve_style(i: int, label: str) -> dict[str, Any]:
    """Return colour, marker and dashes of the i-th curve; the dashes change after every seven colours."""
    return {
        "color": CURVES[i % len(CURVES)],
        "ls": DASHES[i // len(CURVES) % len(DASHES)],
        "marker": MARKERS[i % len(MARKERS)],
        "ms": 3.5,
        "lw": 1.2,
        "label": label,
    }


def add_legend_below(figure: Figure, handles: list[Any]) -> None:
    """Add a legend in one row below the panels."""
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


def side_legend_width(labels: Iterable[str]) -> float:
    """Return the width in inches that a side legend needs for its longest label."""
    return 0.6 + 0.06 * max(map(len, labels))


def add_side_legend(figure: Figure, handles: list[Any], width: float) -> None:
    """Add a legend in one column at the right, `width` inches wide."""
    across, _ = figure.get_size_inches()
    figure.legend(
        handles=handles,
        loc="center left",
        bbox_to_anchor=(1 - width / across, 0.5),
        fontsize=8,
        frameon=False,
        borderaxespad=0,
        labelspacing=0.6,
    )


def to_png(figure: Figure) -> bytes:
    """Draw the figure and return it as a PNG file."""
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


def format_short(value: float) -> str:
    """Return two significant digits, with an exponent only for very small and large numbers."""
    if not 1e-4 <= abs(value) < 1e5:
        return f"{value:.1e}".replace("e-0", "e-").replace("e+0", "e")
    return f"{float(f'{value:.2g}'):,.5f}".rstrip("0").rstrip(".")


def create_axes(
    width: float,
    height: float,
    rows: int = 1,
    columns: int = 1,
    left: float = 0.8,
    top: float = 0.38,
    bottom: float = 0.55,
    hspace: float = 0.75,
) -> tuple[Figure, list[Axes]]:
    """Return a figure of `width` x `height` inches and its axes, row by row.

    `left`, `top` and `bottom` are margins in inches. `hspace` is the gap between rows as a fraction of
    their height.
    """
    figure = Figure(figsize=(width, height), dpi=110)
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False)
    figure.subplots_adjust(
        left=left / width, right=1 - 0.2 / width, top=1 - top / height, bottom=bottom / height
    )
    figure.subplots_adjust(wspace=0.12, hspace=hspace)
    return figure, list(axes.flat)
