"""One PNG a trial: loss and parameter error by epoch, the median over replicates and its 5-95 % band.

Laying out axes and text takes a figure twenty times longer than two curves do. So the axes are drawn
once, their pixels kept, and for each trial restored under new curves (matplotlib calls this blitting).
"""

import io
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from numpy.typing import NDArray
from PIL import Image

from regress.plots.style import CURVES
from regress.summary import Quantiles, TrialSummary

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
        self.curves: dict[str, tuple[Axes, Any, Any]] = {}
        for panel, limits, (ylabel, names) in zip(
            axes, (shared.loss, shared.error), _PANELS, strict=True
        ):
            panel.set(xlabel="epoch", ylabel=ylabel, yscale="log", ylim=limits)
            panel.set_xlim(1 - 0.02 * shared.epochs, shared.epochs + 0.02 * shared.epochs)
            panel.xaxis.get_major_locator().set_params(integer=True)
            panel.grid(alpha=0.25)
            for name, label in names.items():
                color = CURVES[len(self.curves)]
                (line,) = panel.plot([], [], color=color, label=label, animated=True)
                band = panel.fill_between([], [], [], color=color, alpha=0.2, lw=0, animated=True)
                panel.plot([], [], color=color, label=label)  # the legend's, on the background
                self.curves[name] = panel, line, band
            handles = panel.get_lines()[1::2]
            panel.legend(handles=handles, loc="upper right", frameon=False, fontsize=8)
        self.title = figure.text(0.08, 0.925, "", fontsize=9.5, weight="bold", animated=True)
        self.note = figure.text(0.08, 0.85, "", fontsize=8.5, color="#555555", animated=True)
        self.canvas.draw()
        self.background = self.canvas.copy_from_bbox(figure.bbox)

    def draw(self, summary: TrialSummary) -> bytes:
        self.canvas.restore_region(self.background)
        for name, (panel, line, band) in self.curves.items():
            median, low, high = _drawable(summary.histories[name], panel.get_ylim()[1])
            line.set_data(self.epochs, median)
            band.set_data(self.epochs, low, high)
            panel.draw_artist(band)
            panel.draw_artist(line)
        trial = summary.trial
        self._write(
            self.title,
            f"{trial.loss}   lr {trial.lr:g}   sigma {trial.sigma:g}   batch {trial.batch_size}",
        )
        self._write(self.note, f"{trial.contamination} · {trial.order} · {_fate(summary)}")
        pixels = np.asarray(self.canvas.buffer_rgba())[..., :3]
        png = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(pixels)).save(png, "png", compress_level=1)
        return png.getvalue()

    def _write(self, text: Text, content: str) -> None:
        text.set_text(content)
        text.draw(self.canvas.get_renderer())


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
    step = summary.first_nonfinite_step
    where = f", not finite from step {step:g}" if np.isfinite(step) else ""
    return f"{gone} of {replicates} replicates diverged{where}"
