"""How far from least squares SGD with replacement is, step by step and in the long run.

Assumes squared loss, batches of exactly B rows drawn with replacement (tail=drop), mean reduction (a
sum is a mean with lr times B). Reshuffled rows are closer to the optimum: not to be laid over them.
Throughout, z (n, P) are the rows and r = z w_ols - y (n,) the residuals of least squares on them.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from regress.theory.maps import matrix, squares, step_maps

Floats = NDArray[np.float64]


def second_moment(
    z: Floats, residual: Floats, start: Floats, lr: float, batch_size: int, steps: int
) -> tuple[Floats, Floats]:
    """m = E e (steps + 1, P) and S = E ee' (steps + 1, P, P) of e = w - w_ols after 0, 1, ... steps.

    From e = `start` (P,), by the exact recursion, H = Z'Z / n:

        m+ = m - lr H m
        S+ = S - lr (HS + SH) + lr**2 [(1 - 1/B) HSH + (1 / Bn) sum_i q_i z_i z_i']
        q_i = E (z_i'e + r_i)**2 = z_i'S z_i + 2 r_i z_i'm + r_i**2
    """
    n, size = z.shape
    h = z.T @ z / n
    m = np.empty((steps + 1, size))
    s = np.empty((steps + 1, size, size))
    m[0], s[0] = start, np.outer(start, start)
    for k in range(steps):
        q = ((z @ s[k]) * z).sum(axis=1) + 2 * residual * (z @ m[k]) + residual**2
        second = (1 - 1 / batch_size) * h @ s[k] @ h + (z.T * q) @ z / (batch_size * n)
        m[k + 1] = m[k] - lr * h @ m[k]
        # Not HS and its transpose: what rounding makes asymmetric would grow.
        s[k + 1] = s[k] - lr * (h @ s[k] + s[k] @ h) + lr**2 * second
    return m, s


def stationary_covariance(z: Floats, residual: Floats, lr: float, batch_size: int) -> Floats | None:
    """S (P, P) to which `second_moment` converges, or None from the mean-square edge on.

    It solves M(S) - lr N(S) = (lr / Bn) sum_i r_i**2 z_i z_i' (see `maps`); a direction that no row
    has a share in is left out, S being 0 there.
    """
    maps = step_maps(z, batch_size)
    noise = residual**2 @ squares(z @ maps.basis) * lr / (batch_size * len(z))
    try:
        # M**(-1/2) (M - lr N) M**(-1/2) is positive definite just below the edge.
        factor = cho_factor(np.eye(len(noise)) - lr * maps.growth)
    except np.linalg.LinAlgError:
        return None
    s = maps.inverse_root * cho_solve(factor, maps.inverse_root * noise)
    return np.asarray(maps.basis @ matrix(s, z.shape[1]) @ maps.basis.T)
