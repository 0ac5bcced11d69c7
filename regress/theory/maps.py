"""The linear maps by which a step of SGD with replacement changes the covariance of least squares.

A step maps S = E ee', e = w - w_ols, to S - lr M(S) + lr**2 N(S) plus a term from the residuals, where

    M(S) = HS + SH                H = E zz' over the rows
    N(S) = (1 - 1/B) HSH + (1/B) E (z'Sz) zz'

Symmetric matrices are stored as vectors of their upper triangles, with off-diagonal entries multiplied by
sqrt(2), so that tr ST = s . t. In the eigenbasis of H, M multiplies S_ij by l_i + l_j. N is symmetric and
positive semidefinite, since <S, N(S)> = (1 - 1/B) tr SHSH + (1/B) E (z'Sz)**2.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class StepMaps:
    """M and N of rows z (n, P), as maps of the D = P (P + 1) / 2 entries of a symmetric matrix."""

    basis: Floats  # (P, P) eigenvectors of H, in columns
    m: Floats  # (D,) the diagonal of M
    inverse_root: Floats  # (D,) the diagonal of M**(-1/2), 0 in directions orthogonal to all rows
    growth: Floats  # (D, D) M**(-1/2) N M**(-1/2)


def compute_step_maps(z: Floats, batch_size: int) -> StepMaps:
    """Return M and N for batches of exactly `batch_size` of the rows z (n, P), drawn with replacement."""
    n, size = z.shape
    eigenvalues, basis = np.linalg.eigh(z.T @ z / n)
    # In a direction orthogonal to all rows, rounding gives eigenvalues of about 1e-17 of either sign.
    negligible = eigenvalues <= size * np.finfo(float).eps * eigenvalues[-1]
    eigenvalues[negligible] = 0
    i, j = np.triu_indices(size)
    m = eigenvalues[i] + eigenvalues[j]
    inverse_root = np.divide(1, np.sqrt(m), out=np.zeros_like(m), where=m > 0)
    scaled = outer_products(z @ basis) * inverse_root
    growth = scaled.T @ scaled / (batch_size * n)
    hsh = eigenvalues[i] * eigenvalues[j] * inverse_root**2
    growth[np.diag_indices_from(growth)] += (1 - 1 / batch_size) * hsh
    return StepMaps(basis, m, inverse_root, growth)


def outer_products(z: Floats) -> Floats:
    """Return the outer product zz' of each row of z (n, P), as vectors (n, D)."""
    i, j = np.triu_indices(z.shape[1])
    return np.asarray(z[:, i] * z[:, j] * np.where(i == j, 1.0, np.sqrt(2.0)))


def to_symmetric_matrix(vector: Floats, size: int) -> Floats:
    """Return the symmetric matrix (P, P), P = `size`, that is stored as `vector` (D,)."""
    i, j = np.triu_indices(size)
    result = np.empty((size, size))
    result[i, j] = result[j, i] = vector / np.where(i == j, 1.0, np.sqrt(2.0))
    return result
