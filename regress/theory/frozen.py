"""The limit of SGD with squared loss when all epochs visit the rows in the same order."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_ONE = 1 - 1e-12  # a rate of 1 up to rounding, which a direction orthogonal to all rows has


@dataclass(frozen=True)
class FrozenOrder:
    """The limit of w at epoch ends, and the factor by which an epoch reduces the distance to it.

    `limit` (..., P) is infinite where `rate` (...) is 1 or more and w does not converge.
    """

    limit: Floats
    rate: Floats


def frozen_order(
    z: Floats, y: Floats, steps: Sequence[tuple[slice | NDArray[np.intp], float]], lr: float
) -> FrozenOrder:
    """Return the exact limit and rate of SGD with squared loss and the same order in all epochs.

    Rows z (..., n, P) and targets y (..., n) are in the order in which they are visited. `steps` holds the
    rows of each step and the divisor of their summed gradient, as returned by `Schedule.steps`, for any
    tail and reduction.

    A step is affine, w+ = (I - lr H_b) w + lr c_b with H_b = sum_b zz' / divisor and
    c_b = sum_b z y / divisor. Hence an epoch is affine, w+ = A w + c; its fixed point is (I - A)**-1 c, and
    its rate is the spectral radius of A.
    """
    eye = np.eye(z.shape[-1])
    a = np.broadcast_to(eye, (*z.shape[:-2], *eye.shape))
    c = np.zeros((*a.shape[:-1], 1))
    with np.errstate(over="ignore", invalid="ignore"):
        for rows, divisor in steps:
            batch = z[..., rows, :]
            scaled = np.swapaxes(batch, -1, -2) * (lr / divisor)
            step = eye - scaled @ batch
            a, c = step @ a, step @ c + scaled @ y[..., rows, None]
    is_finite = np.isfinite(np.concatenate([a, c], axis=-1)).all(axis=(-2, -1), keepdims=True)
    finite_a = np.where(is_finite, a, 0)
    rate = np.where(is_finite[..., 0, 0], np.abs(np.linalg.eigvals(finite_a)).max(axis=-1), np.inf)
    has_limit = rate[..., None, None] <= _ONE
    limit = np.linalg.solve(eye - np.where(has_limit, finite_a, 0), np.where(has_limit, c, 0))
    return FrozenOrder(np.where(has_limit, limit, np.inf)[..., 0], rate)
