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

    `limit` (P,) is infinite where there is none, `rate` being 1 or more.
    """

    limit: Floats
    rate: float


def frozen_order(
    z: Floats, y: Floats, steps: Sequence[tuple[slice | NDArray[np.intp], float]], lr: float
) -> FrozenOrder:
    """Exact for squared loss, rows z (n, P) and targets y (n,) in the order in which they are visited.

    `steps` are the rows of each step and what its summed gradient is divided by, as
    `Schedule.steps` gives them, whatever the tail and the reduction. A step is affine,
    w+ = (I - lr H_b) w + lr c_b with H_b = sum_b zz' / divisor and c_b = sum_b z y / divisor; so is an
    epoch, w+ = A w + c, whose fixed point is (I - A)**-1 c, and whose rate is the spectral radius of A.
    """
    size = z.shape[1]
    a, c = np.eye(size), np.zeros(size)
    with np.errstate(over="ignore", invalid="ignore"):
        for rows, divisor in steps:
            batch = z[rows] * (lr / divisor)
            step = np.eye(size) - batch.T @ z[rows]
            a, c = step @ a, step @ c + batch.T @ y[rows]
    if not np.isfinite(a).all():
        return FrozenOrder(np.full(size, np.inf), np.inf)
    rate = float(np.abs(np.linalg.eigvals(a)).max())
    if rate > _ONE:
        return FrozenOrder(np.full(size, np.inf), rate)
    return FrozenOrder(np.asarray(np.linalg.solve(np.eye(size) - a, c)), rate)
