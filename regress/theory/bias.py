"""How far vertical outliers pull the intercept, however far off they are."""

import math

import numpy as np
import torch
from scipy.optimize import brentq

from regress.losses import Loss

_FAR = 1e150  # as good as infinite, and its square is still a number
_TAIL = 9.0  # standard deviations, beyond which there is 1e-19 of a normal distribution
_POINTS, _WEIGHTS = np.polynomial.legendre.leggauss(4)
_PANELS = 4096


def intercept_bias(loss: Loss, fraction: float, noise: float = 1.0) -> float:
    """What a share `fraction` of outliers, targets raised without bound, adds to the fitted intercept.

    In the units of the targets, as `noise` is, the standard deviation of the clean rows' normal
    errors; targets lowered take as much off where the loss is even. Assumes many rows, outliers that
    do not depend on the features, and features of mean 0, whose weights are then not biased. With
    residuals u = prediction - target and the intercept t too high, clean rows have u = t - noise * xi,
    outliers psi(-inf):

        (1 - fraction) E psi(t - noise * xi) + fraction psi(-inf) = 0,   xi ~ N(0, 1)

    and the bias is t less its value without outliers (0 for an even loss). Absolute loss:
    noise * Phi^-1(1 / (2 (1 - fraction))) (Huber 1964). It is 0 where psi falls back to 0, for the
    solution near the truth, and infinite where psi is unbounded or outliers prevail.
    """
    lowest, highest = _limit(loss, -_FAR), _limit(loss, _FAR)
    if fraction == 0 or lowest == 0:
        return 0.0
    if math.isinf(lowest) or (1 - fraction) * highest + fraction * lowest <= 0:
        return math.inf
    return _intercept(loss, fraction, noise, lowest) - _intercept(loss, 0.0, noise, lowest)


def _limit(loss: Loss, far: float) -> float:
    """psi(far): infinite where it still grows, 0 where it falls."""
    near, value = loss.psi(torch.tensor([far * 1e-10, far], dtype=torch.float64)).tolist()
    if abs(value) > 2 * abs(near):
        return math.copysign(math.inf, far)
    return float(value) if abs(value) > 0.5 * abs(near) else 0.0


def _intercept(loss: Loss, fraction: float, noise: float, lowest: float) -> float:
    """The t at which the estimating equation, which rises with it, is 0."""

    def equation(t: float) -> float:
        return (1 - fraction) * _mean_psi(loss, t, noise) + fraction * lowest

    unit = noise or 1.0
    low, high = -unit, unit
    while equation(low) > 0:
        low *= 2
    while equation(high) < 0:
        high *= 2
    return float(brentq(equation, low, high, xtol=1e-12 * unit))


def _mean_psi(loss: Loss, t: float, noise: float) -> float:
    """E psi(t - noise * xi), xi ~ N(0, 1), by Gauss's rule on many small panels.

    Panels meet at u = 0, where psi may jump; a kink elsewhere costs some 1e-7 of the noise.
    """
    edges = np.linspace(-_TAIL, _TAIL, _PANELS + 1)
    if abs(t) < _TAIL * noise:
        edges = np.sort(np.append(edges, t / noise))
    half = np.diff(edges)[:, None] / 2
    xi = edges[:-1, None] + half * (1 + _POINTS)
    psi = loss.psi(torch.from_numpy(t - noise * xi)).numpy()
    density = np.exp(-(xi**2) / 2) / np.sqrt(2 * np.pi)
    return float((half * _WEIGHTS * psi * density).sum())
