"""Asymptotic bias of the intercept under vertical outliers at an infinite distance."""

import math

import numpy as np
import torch
from scipy.optimize import brentq

from regress.losses import Loss

_FAR = 1e150  # stands for infinity; its square is still finite
_TAIL = 9.0  # standard deviations; the normal distribution beyond has a mass of about 2e-19
_POINTS, _WEIGHTS = np.polynomial.legendre.leggauss(4)
_PANELS = 4096


def intercept_bias(loss: Loss, fraction: float, noise: float = 1.0) -> float:
    """Return the bias of the fitted intercept if a share `fraction` of targets is raised to infinity.

    Assumes many rows, outliers independent of the features, and features of mean 0, for which the weights
    are unbiased. For an even loss, lowered targets give the negative of this bias.

    Parameters
    ----------
    loss
        The loss of the fit, with derivative psi.
    fraction
        The share of outliers, in [0, 1).
    noise
        The standard deviation of the clean rows' normal errors, in the units of the targets.

    Returns
    -------
    float
        The bias in the units of the targets: 0 if psi redescends to 0 (for the solution near the truth),
        infinite if psi is unbounded or the outliers outweigh the clean rows.

    Notes
    -----
    With residuals u = prediction - target and an intercept too high by t, clean rows have
    u = t - noise * xi and outliers u = -inf. The estimating equation is

        (1 - fraction) E psi(t - noise * xi) + fraction psi(-inf) = 0,   xi ~ N(0, 1)

    and the bias is its solution t minus the solution for fraction = 0 (0 for an even loss). For absolute
    loss it is noise * Phi^-1(1 / (2 (1 - fraction))) (Huber 1964).
    """
    lowest, highest = _limit(loss, -_FAR), _limit(loss, _FAR)
    if fraction == 0 or lowest == 0:
        return 0.0
    if math.isinf(lowest) or (1 - fraction) * highest + fraction * lowest <= 0:
        return math.inf
    return _intercept(loss, fraction, noise, lowest) - _intercept(loss, 0.0, noise, lowest)


def _limit(loss: Loss, u: float) -> float:
    """Return the limit of psi at an extreme `u`: infinite if psi still grows there, 0 if it decreases."""
    nearer_value, value = loss.psi(torch.tensor([u * 1e-10, u], dtype=torch.float64)).tolist()
    if abs(value) > 2 * abs(nearer_value):
        return math.copysign(math.inf, u)
    return float(value) if abs(value) > 0.5 * abs(nearer_value) else 0.0


def _intercept(loss: Loss, fraction: float, noise: float, lowest: float) -> float:
    """Return the root t of the estimating equation; its left side increases with t."""

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
    """Return E psi(t - noise * xi), xi ~ N(0, 1), by Gauss-Legendre quadrature on 4,096 panels.

    An edge is placed at u = 0, where psi may jump; a kink elsewhere causes an error of about 1e-7 of the
    noise.
    """
    edges = np.linspace(-_TAIL, _TAIL, _PANELS + 1)
    if abs(t) < _TAIL * noise:
        edges = np.sort(np.append(edges, t / noise))
    half = np.diff(edges)[:, None] / 2
    xi = edges[:-1, None] + half * (1 + _POINTS)
    psi = loss.psi(torch.from_numpy(t - noise * xi)).numpy()
    density = np.exp(-(xi**2) / 2) / np.sqrt(2 * np.pi)
    return float((half * _WEIGHTS * psi * density).sum())
