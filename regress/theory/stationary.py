"""First and second moments of the error of SGD with replacement, after each step and in the limit.

Assumes squared loss, batches of exactly B rows drawn with replacement (tail=drop) and mean reduction (under
a sum, multiply lr by B). The moments do not hold for reshuffled rows, which end closer to the optimum.
Throughout, z (n, P) are the rows and r = z w_ols - y (n,) the residuals of least squares on them.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from regress.theory.maps import compute_step_maps, outer_products, to_symmetric_matrix

Floats = NDArray[np.float64]


def second_moment(
    z: Floats, residual: Floats, start: Floats, lr: float, batch_size: int, steps: int
) -> tuple[Floats, Floats]:
    """Return the moments E e (steps + 1, P) and E ee' (steps + 1, P, P) of e = w - w_ols after each step.

    The first entry is that of e = `start` (P,); the others follow by the exact recursion, H = Z'Z / n:

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
        # Both products, not HS plus its transpose, with which asymmetry from rounding would grow.
        s[k + 1] = s[k] - lr * (h @ s[k] + s[k] @ h) + lr**2 * second
    return m, s


def stationary_covariance(z: Floats, residual: Floats, lr: float, batch_size: int) -> Floats | None:
    """Return the limit S (P, P) of `second_moment`, or None at and above the mean-square edge.

    It solves M(S) - lr N(S) = (lr / Bn) sum_i r_i**2 z_i z_i' (see `regress.theory.maps`). S is 0 in
    directions orthogonal to all rows.
    """
    maps = compute_step_maps(z, batch_size)
    noise = residual**2 @ outer_products(z @ maps.basis) * lr / (batch_size * len(z))
    try:
        # M**(-1/2) (M - lr N) M**(-1/2) is positive definite if and only if lr is below the edge.
        factor = cho_factor(np.eye(len(noise)) - lr * maps.growth)
    except np.linalg.LinAlgError:
        return None
    s = maps.inverse_root * cho_solve(factor, maps.inverse_root * noise)
    return np.asarray(maps.basis @ to_symmetric_matrix(s, z.shape[1]) @ maps.basis.T)
