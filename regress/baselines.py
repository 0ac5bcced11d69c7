"""Fits by the field's own estimators, in float64: where a loss has its optimum on given rows."""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linprog, minimize

from regress.losses import L1, L2, Loss
from regress.problems import Data, Problem
from regress.problems.affine import Affine
from regress.threads import one_thread

Floats = NDArray[np.float64]


def ols(x: Floats, y: Floats) -> Floats:
    """Ordinary least squares on rows x (n, F), y (n,): weights and intercept (F + 1,)."""
    return Affine(x.shape[1]).least_squares(x, y)


def lad(x: Floats, y: Floats) -> Floats:
    """Least absolute deviations: the linear programme min sum(p + q), Zw + p - q = y, p, q >= 0."""
    z = _with_ones(x)
    n, size = z.shape
    cost = np.concatenate([np.zeros(size), np.ones(2 * n)])
    bounds = [(None, None)] * size + [(0, None)] * (2 * n)
    fit = linprog(cost, A_eq=np.hstack([z, np.eye(n), -np.eye(n)]), b_eq=y, bounds=bounds)
    return np.asarray(fit.x[:size])


def converged_fit(loss: Loss, x: Floats, y: Floats) -> Floats:
    """The parameters (F + 1,) that minimise the mean of rho over rows x (n, F), y (n,)."""
    one_thread()
    if isinstance(loss, L2):
        return ols(x, y)
    if isinstance(loss, L1):
        return lad(x, y)
    z = _with_ones(x)

    def objective(w: Floats) -> tuple[float, Floats]:
        residual = torch.from_numpy(z @ w - y)
        return float(loss.rho(residual).mean()), z.T @ loss.psi(residual).numpy() / len(y)

    fit = minimize(objective, ols(x, y), jac=True, method="BFGS", options={"gtol": 1e-10})
    return np.asarray(fit.x)


def target(problem: Problem, loss: Loss, clean: Data) -> Floats:
    """w* (R, P), what param_error is measured from.

    The generating parameters where they are known, else the loss's own converged fit on each
    replicate's uncontaminated training rows.
    """
    if clean.truth is not None:
        return clean.truth
    rows = zip(clean.train_x, clean.train_y, strict=True)
    return np.stack([converged_fit(loss, x, y) for x, y in rows])


def _with_ones(x: Floats) -> Floats:
    return np.hstack([x, np.ones((len(x), 1))])
