"""The notebook's figures, and each number that it printed in the ensemble that it was drawn from."""

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from regress.notebook import Exercise, Fit, Trained
from regress.plots.style import CURVES, DASHES, plain, to_png
from regress.problems import Data, Ohm
from regress.problems.planck import WAVELENGTHS, radiance
from regress.theory import derivatives

Floats = NDArray[np.float64]

_TOP = 1e7


def exercise_plots(exercise: Exercise, trained: Trained) -> dict[str, bytes]:
    """PNG files by name: the ensembles of the exercise, and what the notebook drew."""
    figures: dict[str, Callable[[], Figure]] = {"ensemble.png": lambda: _ensembles(exercise, trained)}
    if exercise.name in ("learning rate", "initial scale", "absolute loss"):
        figures["loss-by-epoch.png"] = lambda: _loss_curves(exercise, trained)
    if exercise.name == "one outlier":
        figures["outlier.png"] = lambda: _outlier(exercise, trained)
    if exercise.name == "ohm":
        figures["ohm.png"] = lambda: _ohm(exercise.fits[0], trained)
    if exercise.name == "planck":
        figures["planck.png"] = lambda: _planck(exercise.fits[0], trained)
    return {name: to_png(draw()) for name, draw in figures.items()}


def second_derivative_plot(x: Floats) -> bytes:
    """sin and its first two derivatives, by autograd, at points x (n,)."""
    import torch

    first, second = derivatives(torch.sin, x)
    figure, (axis,) = plain(5.6, 3.2)
    for values, label, dash in zip(
        (np.sin(x), first, second),
        ("sin x", "first derivative", "second derivative"),
        DASHES,
        strict=False,
    ):
        axis.plot(x, values, dash, label=label, color=CURVES[DASHES.index(dash)])
    axis.set(xlabel="x", title="sin and its derivatives by autograd, twice")
    axis.set_ylim(-1.15, 1.5)
    axis.legend(fontsize=8, loc="upper center", ncols=3, frameon=False)
    return to_png(figure)


def _ensembles(exercise: Exercise, trained: Trained) -> Figure:
    """A histogram for each quantity of each fit, the printed number as a line."""
    fits = [fit for fit in exercise.fits if not fit.is_companion]
    columns = max(len(fit.quantities) for fit in fits)
    figure, axes = plain(2.9 * columns + 0.4, 1.6 * len(fits) + 0.6, len(fits), columns, left=0.2)
    cells = iter(axes)
    for fit in fits:
        measured = fit.measured(trained.params[fit.trial])
        for i, quantity in enumerate(fit.quantities):
            axis = next(cells)
            printed = fit.printed[i] if fit.printed else None
            _histogram(axis, measured[:, i], printed)
            axis.set_title(f"{fit.label}: {quantity}", fontsize=8.5)
    return figure


def _histogram(axis: Axes, values: Floats, printed: float | None) -> None:
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
    gone = 1 - len(finite) / len(values)
    notes = [f"{gone:.0%} not finite"] if gone else []
    if printed is not None and np.isfinite(printed):
        axis.axvline(printed, color=CURVES[3], lw=1.6)
    elif printed is not None:
        notes.append("notebook: nan")
    if notes:
        axis.text(
            0.97, 0.93, "\n".join(notes), transform=axis.transAxes, ha="right", va="top", fontsize=7.5
        )


def _loss_curves(exercise: Exercise, trained: Trained) -> Figure:
    figure, (axis,) = plain(5.6, 3.4)
    for i, fit in enumerate(exercise.fits):
        losses = trained.losses[fit.trial]
        median, low, high = np.quantile(losses, (0.5, 0.05, 0.95), axis=1)
        epochs = np.arange(1, len(losses) + 1)
        axis.plot(epochs, median, "o-", ms=3, color=CURVES[i], label=fit.label)
        axis.fill_between(epochs, low, high, color=CURVES[i], alpha=0.2, lw=0)
    axis.set(
        xlabel="epoch",
        ylabel="training loss",
        yscale="log",
        title=f"Training loss by epoch: {exercise.name}",
    )
    if axis.get_ylim()[1] > _TOP:
        axis.set_ylim(top=_TOP)  # what diverges leaves the frame, the others can be told apart
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.legend(fontsize=8, loc="best")
    return figure


def _outlier(exercise: Exercise, trained: Trained) -> Figure:
    """Each loss with and without the outlier: how far its models end from the truth."""
    figure, (axis,) = plain(6.4, 3.4)
    for place, fit in enumerate(_paired(exercise.fits)):
        params = trained.params[fit.trial]
        distance = np.sqrt(((params - np.array([2.0, -3.4, 4.2])) ** 2).sum(axis=1))
        finite = distance[np.isfinite(distance)]
        color = CURVES[0] if fit.is_companion else CURVES[3]
        low, quarter, median, three, high = np.quantile(finite, (0.05, 0.25, 0.5, 0.75, 0.95))
        axis.vlines(place, low, high, color=color, lw=1.2)
        axis.vlines(place, quarter, three, color=color, lw=7, alpha=0.5)
        axis.plot(place, median, "o", color=color, ms=5)
        gone = 1 - len(finite) / len(distance)
        if gone:
            axis.annotate(
                f"{gone:.0%} not finite",
                (place, high),
                (0, 5),
                textcoords="offset points",
                ha="center",
                fontsize=8,
            )
    labels = [
        fit.label.replace(", without", "\nwithout outlier").replace(", summed", " Σ")
        for fit in _paired(exercise.fits)
    ]
    axis.set_xticks(
        range(len(labels)),
        [label if "without" in label else f"{label}\nwith" for label in labels],
        fontsize=8,
    )
    axis.set(
        yscale="log",
        ylabel="‖w − truth‖, 5, 25, 50, 75, 95 %",
        title="One outlier of 10,000 under three losses",
    )
    axis.set_ymargin(0.15)
    axis.set_xlim(-0.6, len(labels) - 0.4)
    return figure


def _paired(fits: Sequence[Fit]) -> list[Fit]:
    half = len(fits) // 2
    return [fit for pair in zip(fits[half:], fits[:half], strict=True) for fit in pair]


def _ohm(fit: Fit, trained: Trained) -> Figure:
    problem = fit.trial.problem
    assert isinstance(problem, Ohm)
    data: Data = problem.draw(0, 1)
    slope, intercept = trained.params[fit.trial][0]
    figure, (axis,) = plain(5.2, 3.6)
    current, voltage = data.train_x[0, :, 0], data.train_y[0]
    axis.scatter(current, voltage, s=5, alpha=0.4, color=CURVES[0], lw=0, label="1,000 measurements")
    ends = np.array([current.min(), current.max()])
    axis.plot(ends, slope * ends + intercept, color=CURVES[3], label=f"V = {slope:.3f} I {intercept:+.3f}")
    axis.set(
        xlabel="current",
        ylabel="voltage",
        title=f"Ohm: errors of R {problem.resistance - slope:+.4f}, of b {-intercept:+.4f}",
    )
    axis.legend(fontsize=8, loc="upper left")
    return figure


def _planck(fit: Fit, trained: Trained) -> Figure:
    problem = fit.trial.problem
    data = problem.draw(0, 1)
    (temperature,) = trained.params[fit.trial][0]
    figure, (axis,) = plain(5.8, 3.6)
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
        label="measured at 5020 K, × (1 + u)",
    )
    axis.plot(
        nanometres,
        radiance(WAVELENGTHS, temperature),
        color=CURVES[3],
        label=f"fitted: {temperature:.1f} K",
    )
    axis.axvspan(300, 1300, color="#000000", alpha=0.04, lw=0)
    axis.set(
        xlabel="wavelength, nm (shaded: trained on)",
        ylabel="radiance, W sr⁻¹ m⁻³",
        title="Planck's law fitted by SGD",
    )
    axis.legend(fontsize=8)
    return figure
