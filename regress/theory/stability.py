"""Edges of stability: the learning rates from which on SGD with squared loss diverges."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.linalg import eigsh

from regress.theory.maps import compute_step_maps

Floats = NDArray[np.float64]

_DENSE = 64  # dimension up to which a dense eigenvalue solver is faster than Lanczos iterations


def mean_edge(h: Floats) -> float:
    """Return 2 / lambda_max of H (P, P), the learning rate from which on E w diverges from the optimum.

    From there on I - lr H is expanding. Assumes full batches, or batches drawn with replacement; mean
    reduction (under a sum, divide the edge by the batch size); squared loss, or a smooth loss near its
    optimum with Hessian H. A smaller learning rate is necessary for stability, but not sufficient.
    """
    return float(2 / np.linalg.eigvalsh(h)[-1])


def mean_square_edge(z: Floats, batch_size: int) -> float:
    """Return the learning rate from which on E |w - w_ols|**2 grows without bound.

    Assumes squared loss, rows z (n, P), batches of exactly `batch_size` rows drawn with replacement
    (tail=drop) and mean reduction (under a sum, divide the edge by the batch size).

    I - lr M + lr**2 N (see `regress.theory.maps`) maps covariances to covariances, so that its spectral
    radius is its largest eigenvalue (Krein-Rutman theorem). As M and N are symmetric, this eigenvalue is
    below 1 if and only if lr N < M, that is lr < 1 / lambda_max(M**(-1/2) N M**(-1/2)). Directions
    orthogonal to all rows are ignored, since w does not change there.
    """
    maps = compute_step_maps(z, batch_size)
    i, j = np.triu_indices(z.shape[1])
    return 1 / _largest_eigenvalue(maps.growth, start=np.where(i == j, np.sqrt(maps.m), 0.0))


def normal_mean_square_edge(features: int, batch_size: int) -> float:
    """Return the mean-square edge of the population z = (x, 1), x ~ N(0, I) with F features, where H = I.

    By symmetry the covariance that grows first is diag(a, ..., a, b). E (z'Sz) zz' maps a to (F + 2) a + b
    and b to F a + b. Hence the edge is 2B / (B - 1 + k), where k is the larger root of
    k**2 - (F + 3) k + 2 = 0.
    """
    k = (features + 3 + np.sqrt((features + 3) ** 2 - 8)) / 2
    return float(2 * batch_size / (batch_size - 1 + k))


def _largest_eigenvalue(symmetric: Floats, start: Floats) -> float:
    """Return the largest eigenvalue of a symmetric matrix.

    Lanczos iterations begin at `start`, which must not be orthogonal to the eigenvector. M**(1/2) I is not:
    the eigenvector is M**(1/2) S of a covariance S, and <M I, S> = 2 tr HS > 0.
    """
    if len(symmetric) <= _DENSE:
        return float(np.linalg.eigvalsh(symmetric)[-1])
    return float(eigsh(symmetric, k=1, which="LA", v0=start, return_eigenvectors=False)[0])
