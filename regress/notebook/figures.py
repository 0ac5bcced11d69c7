"""The notebook's figures, and the distribution of each printed number over many seeds."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from regress.notebook import Exercise, Fit, Trained
from regress.plots.style import CURVES, DASHES, create_axes, to_png
from regress.problems.planck import WAVELENGTHS, radiance
from regress.theory import derivatives

Floats = NDArray[np.float64]

_MAX_LOSS = 1e7  # upper end of the loss axis: curves of diverging fits leave it


def render_exercise(exercise: Exercise, trained: Trained) -> dict[str, bytes]:
    """Return PNG files by name: the exercise's ensembles and the figures that the notebook drew."""
    figures: dict[str, Callable[[], Figure]] = {"ensemble.png": lambda: _draw_ensembles(exercise, trained)}
    if exercise.name in ("learning rate", "initial scale", "absolute loss"):
        figures["loss-by-epoch.png"] = lambda: _draw_losses(exercise, trained)
    if exercise.name == "one outlier":
        figures["outlier.png"] = lambda: _draw_outlier(exercise, trained)
    if exercise.name == "ohm":
        figures["ohm.png"] = lambda: _draw_ohm(exercise.fits[0], trained)
    if exercise.name == "planck":
        figures["planck.png"] = lambda: _draw_planck(exercise.fits[0], trained)
    return {name: to_png(draw()) for name, draw in figures.items()}


def render_second_derivative(x: Floats) -> bytes:
    """Return a PNG of sin and its first two derivatives by autograd at points x (n,)."""
    import torch

    first, second = derivatives(torch.sin, x)
    figure, (axis,) = create_axes(5.6, 3.2)
    for values, label, dash in zip(
        (np.sin(x), first, second),
        ("sin x", "first derivative", "second derivative"),
        DASHES,
        strict=False,
    ):
        axis.plot(x, values, dash, label=label, color=CURVES[DASHES.index(dash)])
    _set(axis, xlabel="x", title="sin x and its first two derivatives, by autograd")
    axis.set_ylim(-1.15, 1.5)
    axis.legend(fontsize=8, loc="upper center", ncols=3, frameon=False)
    return to_png(figure)


def _set(axis: Axes, title: str, **settings: Any) -> None:
    """Set a title of one size for all figures, and other properties."""
    axis.set(**settings)
    axis.set_title(title, fontsize=10)


def _draw_ensembles(exercise: Exercise, trained: Trained) -> Figure:
    """Draw a histogram of each quantity of each fit, with the printed number as a line."""
    fits = [fit for fit in exercise.fits if not fit.is_companion]
    columns = max(len(fit.quantities) for fit in fits)
    height = 1.6 * len(fits) + 0.9
    figure, axes = create_axes(2.9 * columns + 0.4, height, len(fits), columns, left=0.2, top=0.7)
    seeds = len(trained.params[fits[0].trial])
    title = f"{exercise.name}: distribution over {seeds:,} seeds"
    if any(fit.printed for fit in fits):
        title += "\n" if columns == 1 else "; "
        title += "line: the number that the notebook printed"
    figure.text(0.2 / figure.get_size_inches()[0], 1 - 0.24 / height, title, fontsize=10, va="center")
    remaining = iter(axes)
    for fit in fits:
        measured = fit.measured(trained.params[fit.trial])
        for i, quantity in enumerate(fit.quantities):
            axis = next(remaining)
            printed = fit.printed[i] if fit.printed else None
            _draw_histogram(axis, measured[:, i], printed)
            axis.set_title(f"{fit.label}: {quantity}", fontsize=8.5)
    return figure


def _draw_histogram(axis: Axes, values: Floats, printed: float | None) -> None:
    """Draw the finite values, on a signed log axis where they spread too far, and the printed one."""
    finite = values[np.isfinite(values)]
    low, high = np.quantile(finite, (0.002, 0.998))
    if np.abs(finite).max() > 1e6 or high - low > 1e3 * (
        np.quantile(finite, 0.75) - np.quantile(finite, 0.25)
    ):
        finite = np.sign(finite) * np.log10(1 + np.abs(finite))
        low, high = finite.min(), finite.max()
        axis.set_xlabel("sign · log₁₀(1 + |value|)", fontsize=7.5)
        if printed is not None and np.isfinite(printed):
            printed = float(np.sign(printed) * np.log10(1 + abs(printed)))
    axis.hist(np.clip(finite, low, high), bins=40, color=CURVES[0], alpha=0.75)
    axis.set_yticks([])
    axis.tick_params(labelsize=7.5)
    axis.locator_params(axis="x", nbins=5)
    nonfinite = 1 - len(finite) / len(values)
    notes = [f"{nonfinite:.0%} not finite"] if nonfinite else []
    if printed is not None and np.isfinite(printed):
        axis.axvline(printed, color=CURVES[3], lw=1.6)
    elif printed is not None:
        notes.append("notebook printed nan")
    if notes:
        axis.set_ylim(top=1.5 * axis.get_ylim()[1])
        axis.text(
            0.97, 0.93, "\n".join(notes), transform=axis.transAxes, ha="right", va="top", fontsize=7.5
        )


def _draw_losses(exercise: Exercise, trained: Trained) -> Figure:
    """Draw the training loss of each fit by epoch: median and 5-95 % band."""
    figure, (axis,) = create_axes(5.6, 3.4)
    for i, fit in enumerate(exercise.fits):
        losses = trained.losses[fit.trial]
        median, low, high = np.quantile(losses, (0.5, 0.05, 0.95), axis=1)
        epochs = np.arange(1, len(losses) + 1)
        axis.plot(epochs, median, "o-", ms=3, color=CURVES[i], label=_loss_label(fit, median))
        axis.fill_between(epochs, low, high, color=CURVES[i], alpha=0.2, lw=0)
    _set(
        axis,
        xlabel="epoch",
        ylabel="training loss",
        yscale="log",
        title=f"{exercise.name}: training loss by epoch, median and 5–95 %",
    )
    if axis.get_ylim()[1] > _MAX_LOSS:
        axis.set_ylim(top=_MAX_LOSS)  # keeps the other fits distinguishable
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.legend(fontsize=8, loc="best")
    return figure


def _loss_label(fit: Fit, median: Floats) -> str:
    """Return the fit's label, and whether its curve lies outside the axis."""
    is_outside = not (median <= _MAX_LOSS).any()
    return f"{fit.label} (above {_MAX_LOSS:.0e})".replace("e+0", "e") if is_outside else fit.label


def _draw_outlier(exercise: Exercise, trained: Trained) -> Figure:
    """Draw the distance from the truth of each loss's models, with and without the outlier."""
    figure, (axis,) = create_axes(6.4, 3.6, bottom=0.7)
    for x, fit in enumerate(_paired(exercise.fits)):
        params = trained.params[fit.trial]
        distance = np.sqrt(((params - np.array([2.0, -3.4, 4.2])) ** 2).sum(axis=1))
        finite = distance[np.isfinite(distance)]
        color = CURVES[0] if fit.is_companion else CURVES[3]
        low, lower_quartile, median, upper_quartile, high = np.quantile(
            finite, (0.05, 0.25, 0.5, 0.75, 0.95)
        )
        axis.vlines(x, low, high, color=color, lw=1.2)
        axis.vlines(x, lower_quartile, upper_quartile, color=color, lw=7, alpha=0.5)
        axis.plot(x, median, "o", color=color, ms=5)
        nonfinite = 1 - len(finite) / len(distance)
        if nonfinite:
            axis.annotate(
                f"{nonfinite:.0%} not finite",
                (x, high),
                (0, 5),
                textcoords="offset points",
                ha="center",
                fontsize=8,
            )
    labels = [_outlier_label(fit) for fit in _paired(exercise.fits)]
    axis.set_xticks(range(len(labels)), labels, fontsize=8)
    _set(
        axis,
        yscale="log",
        ylabel="distance from the true parameters",
        title="one outlier of 10,000: median, 25–75 % and 5–95 % of the final models",
    )
    axis.set_ymargin(0.15)
    axis.set_xlim(-0.6, len(labels) - 0.4)
    return figure


def _outlier_label(fit: Fit) -> str:
    """Return the fit's label on three lines at most."""
    loss = fit.label.removesuffix(", without").replace(", ", ",\n")
    return f"{loss}\nwithout outlier" if fit.is_companion else f"{loss}\nwith outlier"


def _paired(fits: Sequence[Fit]) -> list[Fit]:
    """Return each fit after its companion without the outlier."""
    half = len(fits) // 2
    return [fit for pair in zip(fits[half:], fits[:half], strict=True) for fit in pair]


def _draw_ohm(fit: Fit, trained: Trained) -> Figure:
    """Draw the measurements of the first seed and the fitted line."""
    data = fit.trial.problem.draw(0, 1)
    assert data.truth is not None
    resistance, _ = data.truth[0]
    slope, intercept = trained.params[fit.trial][0]
    figure, (axis,) = create_axes(5.2, 3.6)
    current, voltage = data.train_x[0, :, 0], data.train_y[0]
    axis.scatter(current, voltage, s=5, alpha=0.4, color=CURVES[0], lw=0, label="1,000 measurements")
    sign = "+" if intercept >= 0 else "−"
    ends = np.array([current.min(), current.max()])
    axis.plot(
        ends,
        slope * ends + intercept,
        color=CURVES[3],
        label=f"fitted: V = {slope:.3f} I {sign} {abs(intercept):.3f}",
    )
    _set(
        axis,
        xlabel="current I",
        ylabel="voltage V",
        title=f"Ohm's law: R − estimate {resistance - slope:.4f}, b − estimate {-intercept:.4f}".replace(
            "-", "−"
        ),
    )
    axis.legend(fontsize=8, loc="upper left")
    return figure


def _draw_planck(fit: Fit, trained: Trained) -> Figure:
    """Draw the measured radiance of the first seed and the fitted law between two known ones."""
    problem = fit.trial.problem
    data = problem.draw(0, 1)
    (temperature,) = trained.params[fit.trial][0]
    figure, (axis,) = create_axes(5.8, 3.6)
    nanometres = WAVELENGTHS * 1e9
    for i, kelvin in enumerate((4000.0, 5000.0)):
        axis.plot(
            nanometres,
            radiance(WAVELENGTHS, kelvin),
            DASHES[i + 1],
            color="#777777",
            label=f"{kelvin:.0f} K",
        )
    measured = np.concatenate([data.train_y[0], data.val_y[0]])
    axis.plot(
        nanometres[::20],
        measured[::20],
        "o",
        ms=2.5,
        color=CURVES[0],
        label="measured at 5020 K",
    )
    axis.plot(
        nanometres,
        radiance(WAVELENGTHS, temperature),
        color=CURVES[3],
        label=f"fitted: {temperature:.1f} K",
    )
    axis.axvspan(300, 1300, color="#000000", alpha=0.04, lw=0)
    _set(
        axis,
        xlabel="wavelength (nm), shaded: used for training",
        ylabel="spectral radiance (W sr⁻¹ m⁻³)",
        title="Planck's law, fitted by SGD",
    )
    axis.legend(fontsize=8)
    return figure
