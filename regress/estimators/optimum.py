"""The optimum of each loss on given rows: converged fits in float64."""

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import linprog

from regress.losses import Loss
from regress.losses.evaluate import evaluate_psi
from regress.numerics.linear_algebra import least_squares, multiply, pairwise_sum
from regress.problems import Data, Model, Problem
from regress.problems.affine import Affine
from regress.problems.data import cache_with_data

Floats = NDArray[np.float64]

_MAD_OF_NORMAL = 0.6745  # the median of |N(0, 1)|
_TINY = 1e-30
_EXACT = 1e-9  # a row is fitted exactly if its residual is below this fraction of the largest target
_DEPENDENT = 1e-8
_ITERATIONS = 1000
_CONVERGED = 1e-13  # a step below this fraction of the largest parameter


def ols(x: Floats, y: Floats) -> Floats:
    """Return weights and intercept (F + 1,) of ordinary least squares on rows x (n, F), y (n,)."""
    return Affine(x.shape[1]).least_squares(x, y)


def lad(x: Floats, y: Floats) -> Floats:
    """Return weights and intercept (F + 1,) of least absolute deviations on rows x (n, F), y (n,)."""
    return quantile_fit(_with_ones(x), y, 0.5)


def quantile_fit(z: Floats, y: Floats, tau: float) -> Floats:
    """Return the parameters (P,) of the tau-quantile of y (n,) given z (n, P).

    Solves the linear programme of Koenker and Bassett (1978),
    min tau sum(p) + (1 - tau) sum(q) where Zw + p - q = y and p, q >= 0.
    """
    n, size = z.shape
    cost = np.concatenate([np.zeros(size), np.full(n, tau), np.full(n, 1 - tau)])
    bounds = [(None, None)] * size + [(0, None)] * (2 * n)
    constraints = sparse.hstack([sparse.csr_array(z), sparse.eye_array(n), -sparse.eye_array(n)])
    return _at_vertex(z, y, np.asarray(linprog(cost, A_eq=constraints, b_eq=y, bounds=bounds).x[:size]))


def converged_fit(loss: Loss, x: Floats, y: Floats, scale: float = 1.0) -> Floats:
    """Return the parameters (F + 1,) that minimise the mean of rho over rows x (n, F), y (n,).

    `scale` is the scale of the residuals, in units of which a loss may state its constant. A redescending
    loss has several minima; the result is the one reached from least absolute deviations.
    """
    if loss.is_squared:
        return ols(x, y)
    z = _with_ones(x)
    if loss.quantile_level is not None:
        return quantile_fit(z, y, loss.quantile_level)
    start = lad(x, y) if loss.is_redescending else ols(x, y)
    return _reweighted(loss, z, y, scale, start)


def _reweighted(loss: Loss, z: Floats, y: Floats, scale: float, start: Floats) -> Floats:
    """Return the limit of least squares with weights psi(u) / u (Beaton and Tukey 1974), from `start`."""
    w = start
    for _ in range(_ITERATIONS):
        u = multiply(z, w) - y
        u[u == 0] = _TINY  # psi(u) / u is evaluated
        weights = np.maximum(evaluate_psi(loss, u, scale) / u, 0.0)
        if not weights.any():
            return w  # every row is an outlier
        root = np.sqrt(weights)
        before, w = w, least_squares(z * root[:, None], y * root)
        if np.abs(w - before).max() <= _CONVERGED * np.abs(w).max():
            break
    return w


def _at_vertex(z: Floats, y: Floats, w: Floats) -> Floats:
    """Return the vertex of a linear programme's solution `w`, computed from P rows that it fits exactly.

    This removes the rounding errors of the solver. Returns `w` itself if fewer independent rows are fitted
    exactly.
    """
    exact = np.flatnonzero(np.abs(multiply(z, w) - y) <= _EXACT * max(np.abs(y).max(), _TINY))
    chosen: list[int] = []
    directions: list[Floats] = []
    for row in exact:
        v = z[row].copy()
        size = np.sqrt(pairwise_sum(v * v))
        for direction in directions:
            v -= pairwise_sum(v * direction) * direction
        remainder = np.sqrt(pairwise_sum(v * v))
        if remainder > _DEPENDENT * size:
            chosen.append(int(row))
            directions.append(v / remainder)
            if len(chosen) == len(w):
                return least_squares(z[chosen], y[chosen])
    return w


@cache_with_data
def residual_scale(model: Model, data: Data) -> Floats:
    """Return MAD / 0.6745 (R,) of the residuals of least absolute deviations on the training rows.

    For normal noise this estimates its standard deviation. If most rows are fitted exactly, the result is
    the rounding error of the largest target instead of 0.
    """
    scales = []
    for rows in model.table(data.train_x, data.train_y, torch.float64).numpy():
        z, y = rows[:, : model.parameters], -rows[:, -1]
        residual = multiply(z, quantile_fit(z, y, 0.5)) - y
        mad = np.median(np.abs(residual - np.median(residual)))
        scales.append(max(mad / _MAD_OF_NORMAL, np.finfo(float).eps * np.abs(y).max(), _TINY))
    return np.array(scales)


def scales(problem: Problem, losses: Iterable[Loss], data: Data) -> dict[Loss, Floats]:
    """Return the scale (R,) of the residuals on the training rows for each scaled loss."""
    model = problem.model
    scaled = [loss for loss in losses if loss.is_scaled]
    assert not scaled or model.is_linear, "a study of another problem refuses a scaled loss"
    return {loss: residual_scale(model, data) for loss in scaled}


@cache_with_data
def target(problem: Problem, loss: Loss, clean: Data) -> Floats:
    """Return w* (R, P), the parameters from which param_error is measured.

    These are the generating parameters if they are known, else the converged fit of the loss to the
    uncontaminated training rows of each replicate.
    """
    if clean.truth is not None:
        return clean.truth
    scale = scales(problem, [loss], clean).get(loss, np.ones(clean.replicates))
    rows = zip(clean.train_x, clean.train_y, scale, strict=True)
    return np.stack([converged_fit(loss, x, y, float(s)) for x, y, s in rows])


def _with_ones(x: Floats) -> Floats:
    return np.hstack([x, np.ones((len(x), 1))])
