"""One PNG a trial: loss and parameter error by epoch, the median over replicates and its 5-95 % band.

Laying out axes and text takes a figure twenty times longer than two curves do. So the axes are drawn
once, their pixels kept, and for each trial restored under new curves (matplotlib calls this blitting).
"""

import io
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import get_data_path
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from regress.metrics.summary import Quantiles, TrialSummary
from regress.plots.style import CURVES

Floats = NDArray[np.float64]
Limits = tuple[float, float]

_PANELS = (
    ("loss", {"train_loss": "training", "val_loss": "validation"}),
    ("parameter error", {"param_error": "‖w − w*‖"}),
)


@dataclass(frozen=True)
class Scales:
    """The axes that all trials of a study share, so that they compare by eye."""

    epochs: int
    loss: Limits
    error: Limits


def scales(summaries: Iterable[TrialSummary]) -> Scales:
    """Axes that hold the medians of all trials of which most replicates did not diverge."""
    every = tuple(summaries)
    tame = [s for s in every if s.diverged_fraction < 0.5] or every
    loss = [s.histories[name].median for s in tame for name in ("train_loss", "val_loss")]
    return Scales(
        epochs=len(every[0].histories["param_error"].median),
        loss=_limits(loss),
        error=_limits([s.histories["param_error"].median for s in tame]),
    )


def trial_png(summary: TrialSummary, shared: Scales) -> bytes:
    """The trial's figure on the study's scales; a curve that leaves them has left for good."""
    return _canvas(shared, threading.get_ident()).draw(summary)


def trial_pngs(summaries: Sequence[TrialSummary], shared: Scales) -> tuple[bytes, ...]:
    """The figures of several trials."""
    return tuple(trial_png(summary, shared) for summary in summaries)


def _limits(curves: list[Floats]) -> Limits:
    values = np.concatenate(curves)
    values = values[np.isfinite(values) & (values > 0)]
    if not len(values):
        return 1e-3, 1e3
    # Half a decade of air; the ends are those of all but the strangest one in two hundred.
    low, high = np.quantile(np.log10(values), (0.005, 0.995))
    return float(10 ** (low - 0.5)), float(10 ** (high + 0.5))


@lru_cache(maxsize=4)
def _canvas(shared: Scales, _thread: int) -> "_Canvas":
    return _Canvas(shared)


class _Canvas:
    """A drawn background and the artists that change; belongs to one thread."""

    def __init__(self, shared: Scales) -> None:
        figure = Figure(figsize=(8.4, 3.4), dpi=100)
        self.canvas = FigureCanvasAgg(figure)
        axes = figure.subplots(1, 2)
        figure.subplots_adjust(left=0.08, right=0.985, bottom=0.15, top=0.8, wspace=0.2)
        self.epochs = np.arange(1, shared.epochs + 1)
        self.outline = np.concatenate([self.epochs, self.epochs[::-1]])  # there and back
        self.curves: dict[str, tuple[Axes, Any, Any]] = {}
        for panel, limits, (ylabel, names) in zip(axes, (shared.loss, shared.error), _PANELS, strict=True):
            panel.set(xlabel="epoch", ylabel=ylabel, yscale="log", ylim=limits)
            panel.set_xlim(1 - 0.02 * shared.epochs, shared.epochs + 0.02 * shared.epochs)
            panel.xaxis.set_major_locator(MaxNLocator(8, integer=True, min_n_ticks=1))
            panel.grid(alpha=0.25)
            handles = []
            for name, label in names.items():
                color = CURVES[len(self.curves)]
                (line,) = panel.plot([], [], color=color, animated=True)
                band = panel.fill_between([], [], [], color=color, alpha=0.2, lw=0, animated=True)
                handles.append(Line2D([], [], color=color, label=label))
                self.curves[name] = panel, line, band
            panel.legend(handles=handles, loc="upper right", frameon=False, fontsize=8)
        self.canvas.draw()
        self.background = self.canvas.copy_from_bbox(figure.bbox)
        self.middles = [_middle(panel, self.canvas) for panel in axes]
        samples = {name: _sample(panel, shared.epochs) for name, (panel, _, _) in self.curves.items()}
        self.palette = _palette(self._paint(samples, "l2", "shuffled"))

    def draw(self, summary: TrialSummary) -> bytes:
        trial = summary.trial
        image = self._paint(
            summary.histories,
            f"{trial.loss}   lr {trial.lr:g}   sigma {trial.sigma:g}   batch {trial.batch_size}",
            f"{trial.contamination} · {trial.order} · {_fate(summary)}",
        )
        # One byte a pixel from a fixed palette: a fifth of the time, half the file.
        png = io.BytesIO()
        flat = image.quantize(palette=self.palette, dither=Image.Dither.NONE)
        flat.save(png, "png", compress_level=1)
        return png.getvalue()

    def _paint(self, histories: dict[str, Quantiles], title: str, note: str) -> Image.Image:
        self.canvas.restore_region(self.background)
        is_empty = dict.fromkeys((panel for panel, _, _ in self.curves.values()), True)
        for name, (panel, line, band) in self.curves.items():
            low_end, top = panel.get_ylim()
            median, low, high = _drawable(histories[name], top)
            line.set_data(self.epochs, median)
            # A band's own set_data finds its outline anew, thirty times more slowly.
            band.set_verts([np.column_stack([self.outline, np.concatenate([low, high[::-1]])])])
            panel.draw_artist(band)
            panel.draw_artist(line)
            is_empty[panel] &= not ((median >= low_end) & (median <= top)).any()
        size = self.canvas.get_width_height()
        image = Image.frombytes("RGB", size, self.canvas.buffer_rgba(), "raw", "RGBX")
        image.paste("#000000", (67, 12), _line(title, "DejaVuSans-Bold.ttf", 13))
        image.paste("#555555", (67, 38), _line(note, "DejaVuSans.ttf", 12))
        for (x, y), empty in zip(self.middles, is_empty.values(), strict=True):
            if empty:
                line = _line("beyond the study's scale", "DejaVuSans-Oblique.ttf", 13)
                image.paste("#777777", (int(x - line.width / 2), int(y - line.height / 2)), line)
        return image


@lru_cache(maxsize=1024)  # the trials of a study share most of their lines
def _line(text: str, name: str, pixels: int) -> Image.Image:
    """A line of text as a mask; Pillow sets one five times faster than matplotlib."""
    font = _font(name, pixels)
    line = Image.new("L", (int(font.getlength(text)) + 2, 2 * pixels))
    ImageDraw.Draw(line).text((0, 0), text, 255, font)
    return line


@lru_cache
def _font(name: str, pixels: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(Path(get_data_path(), "fonts", "ttf", name)), pixels)


def _middle(panel: Axes, canvas: FigureCanvasAgg) -> tuple[float, float]:
    """The panel's middle in pixels from the image's upper left corner."""
    box = panel.get_window_extent()
    return (box.x0 + box.x1) / 2, canvas.get_width_height()[1] - (box.y0 + box.y1) / 2


def _palette(image: Image.Image) -> Image.Image:
    """The commonest colours of an image, 256 at most, white among them as white.

    Pillow looks a colour up by its upper six bits: of colours that share them only the commonest is kept,
    else white would come out as the grey of some letter's edge.
    """
    red, green, blue = np.moveaxis(np.asarray(image, np.int64), -1, 0)
    packed, counts = np.unique(red << 16 | green << 8 | blue, return_counts=True)
    common = packed[np.argsort(-counts, kind="stable")]
    chosen: dict[tuple[int, ...], list[int]] = {}
    for color in np.stack([common >> 16, common >> 8 & 255, common & 255], axis=1).tolist():
        chosen.setdefault(tuple(value >> 2 for value in color), color)
    kept = [c for c in chosen.values() if c == [255, 255, 255] or min(c) < 248][:256]
    palette = Image.new("P", (1, 1))
    palette.putpalette(bytes(value for color in kept for value in color))
    return palette


def _sample(panel: Axes, epochs: int) -> Quantiles:
    """A curve with a band through the panel's middle: all colours and their blends for the palette."""
    low, high = np.log10(panel.get_ylim())
    middle = np.full(epochs, 10 ** ((low + high) / 2))
    return Quantiles(middle, middle / 2, middle * 2)


def _drawable(quantiles: Quantiles, top: float) -> tuple[Floats, Floats, Floats]:
    """Curves without infinities: a band reaches past the frame where its upper edge is infinite."""
    median, low, high = quantiles
    gone = ~np.isfinite(median)
    above = 10 * top
    return (
        np.where(gone, np.nan, median),
        np.where(np.isfinite(low), low, above),
        np.where(np.isfinite(high), np.minimum(high, 1e300), above),
    )


def _fate(summary: TrialSummary) -> str:
    replicates = len(summary.diverged)
    gone = int(summary.diverged.sum())
    if not gone:
        return f"{replicates} replicates, none diverged"
    step = summary.of_trial["first_nonfinite_step"]
    where = f", not finite from step {step:g}" if np.isfinite(step) else ""
    return f"{gone} of {replicates} replicates diverged{where}"
