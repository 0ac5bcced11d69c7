"""Where least squares by SGD ends when every epoch visits the rows in one and the same order."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_ONE = 1 - 1e-12  # a rate of 1, for a direction that no row has a share in, as rounding may leave it


@dataclass(frozen=True)
class FrozenOrder:
    """The limit of w at the epochs' ends, and the factor by which an epoch shrinks the way to it.

    `limit` (..., P) is infinite where there is none, `rate` (...) being 1 or more.
    """

    limit: Floats
    rate: Floats


def frozen_order(
    z: Floats, y: Floats, steps: Sequence[tuple[slice | NDArray[np.intp], float]], lr: float
) -> FrozenOrder:
    """Exact for squared loss, rows z (..., n, P) and targets y (..., n) in the order they are visited in.

    `steps` are the rows of each step and what its summed gradient is divided by, as
    `Schedule.steps` gives them, whatever the tail and the reduction. A step is affine,
    w+ = (I - lr H_b) w + lr c_b with H_b = sum_b zz' / divisor and c_b = sum_b z y / divisor; so is an
    epoch, w+ = A w + c, whose fixed point is (I - A)**-1 c, and whose rate is the spectral radius of A.
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
    is_number = np.isfinite(np.concatenate([a, c], axis=-1)).all(axis=(-2, -1), keepdims=True)
    known = np.where(is_number, a, 0)
    rate = np.where(is_number[..., 0, 0], np.abs(np.linalg.eigvals(known)).max(axis=-1), np.inf)
    has_limit = rate[..., None, None] <= _ONE
    limit = np.linalg.solve(eye - np.where(has_limit, known, 0), np.where(has_limit, c, 0))
    return FrozenOrder(np.where(has_limit, limit, np.inf)[..., 0], rate)
