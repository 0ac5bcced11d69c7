"""Fits by the field's own estimators, in float64: where a loss has its optimum on given rows."""

from collections.abc import Iterable
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import linprog, minimize

from regress.losses import L1, L2, REDESCENDING, Loss, Quantile, scaled_psi, scaled_rho
from regress.problems import Data, Problem
from regress.problems.affine import Affine
from regress.threads import one_thread

Floats = NDArray[np.float64]

_MAD_OF_NORMAL = 0.6745  # the median of |N(0, 1)|
_TINY = 1e-30


def ols(x: Floats, y: Floats) -> Floats:
    """Ordinary least squares on rows x (n, F), y (n,): weights and intercept (F + 1,)."""
    return Affine(x.shape[1]).least_squares(x, y)


def lad(x: Floats, y: Floats) -> Floats:
    """Least absolute deviations on rows x (n, F), y (n,): weights and intercept (F + 1,)."""
    return quantile_fit(_with_ones(x), y, 0.5)


def quantile_fit(z: Floats, y: Floats, tau: float) -> Floats:
    """The tau-quantile of y (n,) given z (n, P), by the linear programme of Koenker and Bassett (1978).

    min tau sum(p) + (1 - tau) sum(q) where Zw + p - q = y and p, q >= 0.
    """
    n, size = z.shape
    cost = np.concatenate([np.zeros(size), np.full(n, tau), np.full(n, 1 - tau)])
    bounds = [(None, None)] * size + [(0, None)] * (2 * n)
    constraints = sparse.hstack([sparse.csr_array(z), sparse.eye_array(n), -sparse.eye_array(n)])
    return np.asarray(linprog(cost, A_eq=constraints, b_eq=y, bounds=bounds).x[:size])


def converged_fit(loss: Loss, x: Floats, y: Floats, scale: float = 1.0) -> Floats:
    """The parameters (F + 1,) that minimise the mean of rho over rows x (n, F), y (n,).

    `scale` is that of the residuals, in whose units a loss may have its constant. A loss that redescends
    has several minima: the one that is reached from least absolute deviations is meant.
    """
    one_thread()
    if isinstance(loss, L2):
        return ols(x, y)
    z = _with_ones(x)
    if isinstance(loss, L1):
        return quantile_fit(z, y, 0.5)
    if isinstance(loss, Quantile):
        return quantile_fit(z, y, loss.tau)
    s = torch.tensor(scale if loss.is_scaled else 1.0, dtype=torch.float64)

    def objective(w: Floats) -> tuple[float, Floats]:
        residual = torch.from_numpy(z @ w - y)
        psi = scaled_psi(loss, residual, s).numpy()
        return float(scaled_rho(loss, residual, s).mean()), z.T @ psi / len(y)

    start = lad(x, y) if isinstance(loss, REDESCENDING) else ols(x, y)
    fit = minimize(objective, start, jac=True, method="BFGS", options={"gtol": 1e-10})
    return np.asarray(fit.x)


@lru_cache(maxsize=16)
def residual_scale(model: Affine, data: Data) -> Floats:
    """MAD / 0.6745 (R,) of the residuals of least absolute deviations on each replicate's training rows.

    For normal noise that is its standard deviation. Where most rows are fitted exactly it would be 0: it is
    no less than what rounding leaves of the largest target.
    """
    one_thread()
    scales = []
    for rows in model.table(data.train_x, data.train_y, torch.float64).numpy():
        z, y = rows[:, : model.parameters], -rows[:, -1]
        residual = z @ quantile_fit(z, y, 0.5) - y
        mad = np.median(np.abs(residual - np.median(residual)))
        scales.append(max(mad / _MAD_OF_NORMAL, np.finfo(float).eps * np.abs(y).max(), _TINY))
    return np.array(scales)


def scales(problem: Problem, losses: Iterable[Loss], data: Data) -> dict[Loss, Floats]:
    """The residuals' scale (R,) on the training rows, for the losses that ask for it."""
    model = problem.model
    scaled = [loss for loss in losses if loss.is_scaled]
    assert not scaled or isinstance(model, Affine), "other problems have refused such a loss before"
    return {loss: residual_scale(model, data) for loss in scaled if isinstance(model, Affine)}


def target(problem: Problem, loss: Loss, clean: Data) -> Floats:
    """w* (R, P), what param_error is measured from.

    The generating parameters where they are known, else the loss's own converged fit on each
    replicate's uncontaminated training rows.
    """
    if clean.truth is not None:
        return clean.truth
    scale = scales(problem, [loss], clean).get(loss, np.ones(clean.replicates))
    rows = zip(clean.train_x, clean.train_y, scale, strict=True)
    return np.stack([converged_fit(loss, x, y, float(s)) for x, y, s in rows])


def _with_ones(x: Floats) -> Floats:
    return np.hstack([x, np.ones((len(x), 1))])
