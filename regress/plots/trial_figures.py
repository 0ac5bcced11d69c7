"""One figure for each trial: loss and parameter error by epoch, median and 5-95 % band of the replicates.

Axes and text take twenty times longer to draw than the curves. They are drawn once; for each trial their
pixels are restored before new curves are drawn (matplotlib calls this blitting).
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
    """The limits of the axes, which all trials of a study share."""

    epochs: int
    loss: Limits
    error: Limits


def shared_scales(summaries: Iterable[TrialSummary]) -> Scales:
    """Return limits that hold the medians of all trials most of whose replicates did not diverge."""
    trials = tuple(summaries)
    finite = [s for s in trials if s.diverged_fraction < 0.5] or trials
    losses = [s.histories[name].median for s in finite for name in ("train_loss", "val_loss")]
    return Scales(
        epochs=len(trials[0].histories["param_error"].median),
        loss=_limits(losses),
        error=_limits([s.histories["param_error"].median for s in finite]),
    )


def render_trial(summary: TrialSummary, scales: Scales) -> bytes:
    """Return the trial's figure as a PNG file; curves may leave the scales."""
    return _canvas(scales, threading.get_ident()).draw(summary)


def render_trials(summaries: Sequence[TrialSummary], scales: Scales) -> tuple[bytes, ...]:
    """Return the figures of several trials as PNG files."""
    return tuple(render_trial(summary, scales) for summary in summaries)


def _limits(curves: list[Floats]) -> Limits:
    """Return limits half a decade beyond the 0.5 % and 99.5 % quantiles of the curves' values."""
    values = np.concatenate(curves)
    values = values[np.isfinite(values) & (values > 0)]
    if not len(values):
        return 1e-3, 1e3
    low, high = np.quantile(np.log10(values), (0.005, 0.995))
    return float(10 ** (low - 0.5)), float(10 ** (high + 0.5))


@lru_cache(maxsize=4)
def _canvas(scales: Scales, _thread: int) -> "_Canvas":
    return _Canvas(scales)


class _Canvas:
    """A drawn background and the artists that change; each thread needs its own."""

    def __init__(self, scales: Scales) -> None:
        figure = Figure(figsize=(8.4, 3.4), dpi=100)
        self.canvas = FigureCanvasAgg(figure)
        axes = figure.subplots(1, 2)
        figure.subplots_adjust(left=0.08, right=0.985, bottom=0.15, top=0.8, wspace=0.24)
        self.epochs = np.arange(1, scales.epochs + 1)
        self.outline = np.concatenate([self.epochs, self.epochs[::-1]])  # of a band: forth and back
        marker = "o" if scales.epochs == 1 else None  # a line of one point is invisible
        self.curves: dict[str, tuple[Axes, Any, Any]] = {}
        for panel, limits, (ylabel, names) in zip(axes, (scales.loss, scales.error), _PANELS, strict=True):
            panel.set(xlabel="epoch", ylabel=ylabel, yscale="log", ylim=limits)
            panel.set_xlim(1 - 0.02 * scales.epochs, scales.epochs + 0.02 * scales.epochs)
            panel.xaxis.set_major_locator(MaxNLocator(8, integer=True, min_n_ticks=1))
            panel.grid(alpha=0.25)
            handles = []
            for name, label in names.items():
                color = CURVES[len(self.curves)]
                (line,) = panel.plot([], [], color=color, marker=marker, animated=True)
                band = panel.fill_between([], [], [], color=color, alpha=0.2, lw=0, animated=True)
                handles.append(Line2D([], [], color=color, label=label))
                self.curves[name] = panel, line, band
            panel.legend(handles=handles, loc="upper right", frameon=False, fontsize=8)
        self.canvas.draw()
        self.background = self.canvas.copy_from_bbox(figure.bbox)
        self.centers = [_center(panel, self.canvas) for panel in axes]
        samples = {
            name: _sample(panel, scales.epochs, shift)
            for (name, (panel, _, _)), shift in zip(self.curves.items(), (-1, 1, 0), strict=True)
        }
        self.palette = _palette(self._paint(samples, "l2", "shuffled"))

    def draw(self, summary: TrialSummary) -> bytes:
        """Return the trial's figure as a PNG file."""
        trial = summary.trial
        image = self._paint(
            summary.histories,
            f"{trial.loss}   lr {trial.lr:g}   sigma {trial.sigma:g}   batch {trial.batch_size}",
            f"{trial.contamination} · {trial.order} · {_describe_divergence(summary)}",
        )
        # With a fixed palette of one byte per pixel, a fifth of the time and half the file size.
        png = io.BytesIO()
        flat = image.quantize(palette=self.palette, dither=Image.Dither.NONE)
        flat.save(png, "png", compress_level=1)
        return png.getvalue()

    def _paint(self, histories: dict[str, Quantiles], title: str, note: str) -> Image.Image:
        self.canvas.restore_region(self.background)
        is_empty = dict.fromkeys((panel for panel, _, _ in self.curves.values()), True)
        for name, (panel, line, band) in self.curves.items():
            bottom, top = panel.get_ylim()
            median, low, high = _replace_infinities(histories[name], top)
            line.set_data(self.epochs, median)
            # FillBetweenPolyCollection.set_data computes the outline, which is thirty times slower.
            band.set_verts([np.column_stack([self.outline, np.concatenate([low, high[::-1]])])])
            panel.draw_artist(band)
            panel.draw_artist(line)
            is_empty[panel] &= not ((median >= bottom) & (median <= top)).any()
        size = self.canvas.get_width_height()
        image = Image.frombytes("RGB", size, self.canvas.buffer_rgba(), "raw", "RGBX")
        image.paste("#000000", (67, 12), _text_mask(title, "DejaVuSans-Bold.ttf", 13))
        image.paste("#555555", (67, 38), _text_mask(note, "DejaVuSans.ttf", 12))
        for (x, y), is_panel_empty in zip(self.centers, is_empty.values(), strict=True):
            if is_panel_empty:
                mask = _text_mask("outside the study's scale", "DejaVuSans-Oblique.ttf", 13)
                image.paste("#777777", (int(x - mask.width / 2), int(y - mask.height / 2)), mask)
        return image


@lru_cache(maxsize=1024)  # the trials of a study share most of their texts
def _text_mask(text: str, font_name: str, pixels: int) -> Image.Image:
    """Return a line of text as a mask; Pillow draws text five times faster than matplotlib."""
    font = _font(font_name, pixels)
    mask = Image.new("L", (int(font.getlength(text)) + 2, 2 * pixels))
    ImageDraw.Draw(mask).text((0, 0), text, 255, font)
    return mask


@lru_cache
def _font(name: str, pixels: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(Path(get_data_path(), "fonts", "ttf", name)), pixels)


def _center(panel: Axes, canvas: FigureCanvasAgg) -> tuple[float, float]:
    """Return the panel's center in pixels from the image's upper left corner."""
    box = panel.get_window_extent()
    return (box.x0 + box.x1) / 2, canvas.get_width_height()[1] - (box.y0 + box.y1) / 2


def _palette(image: Image.Image) -> Image.Image:
    """Return the most frequent colours of an image, at most 256, white included.

    Pillow looks colours up by their upper six bits. Of colours that share them only the most frequent one
    is kept; otherwise white would become the grey of some letter's edge.
    """
    red, green, blue = np.moveaxis(np.asarray(image, np.int64), -1, 0)
    packed, counts = np.unique(red << 16 | green << 8 | blue, return_counts=True)
    by_frequency = packed[np.argsort(-counts, kind="stable")]
    chosen: dict[tuple[int, ...], list[int]] = {}
    for color in np.stack(
        [by_frequency >> 16, by_frequency >> 8 & 255, by_frequency & 255], axis=1
    ).tolist():
        chosen.setdefault(tuple(value >> 2 for value in color), color)
    kept = [c for c in chosen.values() if c == [255, 255, 255] or min(c) < 248][:256]
    palette = Image.new("P", (1, 1))
    palette.putpalette(bytes(value for color in kept for value in color))
    return palette


def _sample(panel: Axes, epochs: int, shift: int) -> Quantiles:
    """Return a curve and a band for the palette, moved by `shift` tenths of the panel's height.

    The bands of two shifted curves overlap in part, so that each band's colour and their blend occur.
    """
    bottom, top = np.log10(panel.get_ylim())
    height = top - bottom
    median, low, high = (
        np.full(epochs, 10 ** (bottom + (0.5 + 0.1 * shift + offset) * height))
        for offset in (0.0, -0.2, 0.2)
    )
    return Quantiles(median, low, high)


def _replace_infinities(quantiles: Quantiles, top: float) -> tuple[Floats, Floats, Floats]:
    """Return median, low and high; infinite medians become nan, infinite edges a value above `top`."""
    median, low, high = quantiles
    above = 10 * top
    return (
        np.where(np.isfinite(median), median, np.nan),
        np.where(np.isfinite(low), low, above),
        np.where(np.isfinite(high), np.minimum(high, 1e300), above),
    )


def _describe_divergence(summary: TrialSummary) -> str:
    """Return how many replicates diverged and the median step from which they were not finite."""
    replicates, diverged = len(summary.diverged), int(summary.diverged.sum())
    if not diverged:
        return f"{replicates} replicates, none diverged"
    step = summary.of_trial["first_nonfinite_step"]
    since = f", became non-finite at step {step:g} (median)" if np.isfinite(step) else ""
    return f"{diverged} of {replicates} replicates diverged{since}"
