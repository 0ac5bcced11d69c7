"""What a step of SGD with replacement does to the covariance of least squares, in the eigenbasis of H.

A step maps S = E ee', e = w - w_ols, to S - lr M(S) + lr**2 N(S), plus the noise of the residuals:

    M(S) = HS + SH                H = E zz' over the rows
    N(S) = (1 - 1/B) HSH + (1/B) E (z'Sz) zz'

Symmetric matrices are written as vectors of their upper triangles, entries off the diagonal times
sqrt 2, so that tr ST = s . t. In the eigenbasis of H, M multiplies S_ij by l_i + l_j; N is symmetric
and positive semidefinite, as <S, N(S)> = (1 - 1/B) tr SHSH + (1/B) E (z'Sz)**2 shows.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class StepMaps:
    """M and N of rows z (n, P), on the D = P (P + 1) / 2 entries of a symmetric matrix."""

    basis: Floats  # (P, P), eigenvectors of H in columns
    m: Floats  # (D,), the diagonal of M
    inverse_root: Floats  # (D,), M**(-1/2), 0 where no row reaches
    growth: Floats  # (D, D), M**(-1/2) N M**(-1/2)


def step_maps(z: Floats, batch_size: int) -> StepMaps:
    """M and N for batches of exactly `batch_size` of the rows z (n, P), drawn with replacement."""
    n, size = z.shape
    eigenvalues, basis = np.linalg.eigh(z.T @ z / n)
    # Rounding leaves a direction that no row has a share in with some 1e-17, of either sign.
    negligible = eigenvalues <= size * np.finfo(float).eps * eigenvalues[-1]
    eigenvalues[negligible] = 0
    i, j = np.triu_indices(size)
    m = eigenvalues[i] + eigenvalues[j]
    inverse_root = np.divide(1, np.sqrt(m), out=np.zeros_like(m), where=m > 0)
    scaled = squares(z @ basis) * inverse_root
    growth = scaled.T @ scaled / (batch_size * n)
    hsh = eigenvalues[i] * eigenvalues[j] * inverse_root**2
    growth[np.diag_indices_from(growth)] += (1 - 1 / batch_size) * hsh
    return StepMaps(basis, m, inverse_root, growth)


def squares(z: Floats) -> Floats:
    """zz' of every row of z (n, P), as vectors (n, D)."""
    i, j = np.triu_indices(z.shape[1])
    return np.asarray(z[:, i] * z[:, j] * np.where(i == j, 1.0, np.sqrt(2.0)))


def matrix(vector: Floats, size: int) -> Floats:
    """The symmetric matrix (P, P) that `vector` (D,) stands for."""
    i, j = np.triu_indices(size)
    result = np.empty((size, size))
    result[i, j] = result[j, i] = vector / np.where(i == j, 1.0, np.sqrt(2.0))
    return result
