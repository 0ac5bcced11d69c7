"""The largest learning rates at which least squares by SGD is stable, in the mean and the mean square."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.linalg import eigsh

from regress.theory.maps import step_maps

Floats = NDArray[np.float64]

_DENSE = 64  # unknowns up to which a full solver finds the largest eigenvalue sooner than Lanczos


def mean_edge(h: Floats) -> float:
    """2 / lambda_max of H (P, P): the learning rate from which on E w leaves the optimum.

    There I - lr H expands. Assumes full batches, or batches drawn with replacement and mean reduction
    (under a sum, divide by the batch size); squared loss, or a smooth one near its optimum, where H
    is its Hessian. Necessary for SGD to be stable, not sufficient.
    """
    return float(2 / np.linalg.eigvalsh(h)[-1])


def mean_square_edge(z: Floats, batch_size: int) -> float:
    """The learning rate from which on E |w - w_ols|**2 grows without bound.

    Assumes squared loss, rows z (n, P), batches of exactly `batch_size` rows drawn with replacement
    (tail=drop), mean reduction (under a sum, divide by the batch size).

    I - lr M + lr**2 N (see `maps`) takes covariances to covariances, so that its spectral radius is its
    largest eigenvalue (Krein and Rutman); M and N being symmetric, that is below 1 just where
    lr N < M, or lr < 1 / lambda_max(M**(-1/2) N M**(-1/2)). A direction that no row has a share in is
    left out: w stays there as it started.
    """
    maps = step_maps(z, batch_size)
    i, j = np.triu_indices(z.shape[1])
    return 1 / _largest(maps.growth, start=np.where(i == j, np.sqrt(maps.m), 0.0))


def normal_mean_square_edge(features: int, batch_size: int) -> float:
    """`mean_square_edge` of the population z = (x, 1), x ~ N(0, I) with F features, where H = I.

    By symmetry the covariance that grows first is diag(a, ..., a, b). E (z'Sz) zz' takes a to
    (F + 2) a + b and b to F a + b, hence 2B / (B - 1 + k) with k the larger root of
    k**2 - (F + 3) k + 2 = 0.
    """
    k = (features + 3 + np.sqrt((features + 3) ** 2 - 8)) / 2
    return float(2 * batch_size / (batch_size - 1 + k))


def _largest(symmetric: Floats, start: Floats) -> float:
    """The largest eigenvalue. `start` may not be orthogonal to its eigenvector.

    M**(1/2) I is not: the eigenvector is M**(1/2) S of a covariance S, and <M I, S> = 2 tr HS > 0.
    """
    if len(symmetric) <= _DENSE:
        return float(np.linalg.eigvalsh(symmetric)[-1])
    return float(eigsh(symmetric, k=1, which="LA", v0=start, return_eigenvectors=False)[0])
