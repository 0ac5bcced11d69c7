"""Least squares by Householder reflections and pairwise sums, without BLAS or LAPACK."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_EPSILON = float(np.finfo(float).eps)
_DEPENDENT = 1e-11  # a column is dependent if its part orthogonal to the earlier columns is a smaller share
_SWEEPS = 60  # an upper limit; Jacobi's method needs about ten


def pairwise_sum(terms: NDArray[Any]) -> NDArray[Any]:
    """Return the sum (...) over the last axis of terms (..., n), by adding the second half to the first.

    The order of the additions depends on n alone. An empty axis sums to 0.
    """
    if not terms.shape[-1]:
        return np.zeros(terms.shape[:-1], terms.dtype)
    while (count := terms.shape[-1]) > 1:
        half = count // 2
        total = terms[..., :half] + terms[..., half : 2 * half]
        if count % 2:
            total[..., 0] += terms[..., -1]
        terms = total
    return np.asarray(terms[..., 0])


def multiply(rows: Floats, w: Floats) -> Floats:
    """Return the products rows . w (..., n) of rows (..., n, P) and parameters w (..., P).

    The P terms of a product are added from left to right.
    """
    total = rows[..., 0] * w[..., :1]
    for j in range(1, rows.shape[-1]):
        total += rows[..., j] * w[..., j : j + 1]
    return np.asarray(total)


def triangular_factor(rows: Floats) -> Floats:
    """Return the factor R (..., m, C), m = min(n, C), of the QR decomposition of rows (..., n, C).

    It preserves lengths: |rows . v| = |R . v| for every v (C,). Diagonal entries may be negative.
    """
    a = np.swapaxes(rows, -1, -2).copy()  # (..., C, n): each sum reads contiguous memory
    largest = np.abs(a).max(axis=-1, keepdims=True, initial=0.0)
    unit = np.ldexp(1.0, np.frexp(largest)[1])  # powers of two, by which division is exact
    a /= unit
    count = min(a.shape[-2:])
    for j in range(count):
        v = a[..., j : j + 1, j:].copy()
        v[..., 0] += np.copysign(np.sqrt(pairwise_sum(v * v)), v[..., 0])
        square = pairwise_sum(v * v)
        factor = np.divide(2.0, square, out=np.zeros_like(square), where=square > 0)
        rest = a[..., j:, j:]
        rest -= (factor * pairwise_sum(v * rest))[..., None] * v
        a[..., j, j + 1 :] = 0.0
    return np.ascontiguousarray(np.swapaxes((a * unit)[..., :count], -1, -2))


def least_squares(z: Floats, y: Floats) -> Floats:
    """Return the w (..., P) that minimise |z w - y| for z (..., n, P) and y (..., n).

    Where the columns of z are linearly dependent, the solution of least norm.
    """
    size = z.shape[-1]
    factors = triangular_factor(np.concatenate([z, y[..., None]], axis=-1))
    result = np.empty((*z.shape[:-2], size))
    for index in np.ndindex(z.shape[:-2]):
        r, right = factors[index][:size, :size], factors[index][:size, size]
        if len(r) == size and _has_independent_columns(r):
            result[index] = _back_substitute(r, right)
        else:
            result[index] = _solve_least_norm(r, right, max(z.shape[-2:]))
    return result


def _has_independent_columns(r: Floats) -> bool:
    norms = np.sqrt(pairwise_sum(r.T * r.T))
    return bool((np.abs(np.diagonal(r)) > _DEPENDENT * norms).all())


def _back_substitute(r: Floats, right: Floats) -> Floats:
    """Return the solution w (P,) of the upper triangular system r w = right."""
    w = np.zeros(len(right))
    for j in range(len(right) - 1, -1, -1):
        known = pairwise_sum(r[j, j + 1 :] * w[j + 1 :])
        w[j] = (right[j] - known) / r[j, j]
    return w


def _solve_least_norm(r: Floats, right: Floats, rows: int) -> Floats:
    """Return the pseudo-inverse of r times right, the least-squares solution of least norm.

    Singular values below rows * eps times the largest count as 0. One-sided Jacobi rotations
    (Hestenes 1958) make the columns of r V orthogonal.
    """
    u, v = r.T.copy(), np.eye(r.shape[1])  # row j of each is column j of r V, and of V
    for _ in range(_SWEEPS):
        rotated = False
        for p in range(len(u) - 1):
            for q in range(p + 1, len(u)):
                rotated |= _orthogonalise(u, v, p, q)
        if not rotated:
            break
    squares = pairwise_sum(u * u)
    kept = squares > (rows * _EPSILON) ** 2 * squares.max(initial=0.0)
    coefficients = np.divide(pairwise_sum(u * right), squares, out=np.zeros_like(squares), where=kept)
    return multiply(v.T, coefficients)


def _orthogonalise(u: Floats, v: Floats, p: int, q: int) -> bool:
    """Rotate rows p and q of u and v in place, so that those of u become orthogonal.

    Return False if they were orthogonal already, to rounding, and nothing changed.
    """
    alpha, beta, gamma = pairwise_sum(np.stack([u[p] * u[p], u[q] * u[q], u[p] * u[q]]))
    if abs(gamma) <= _EPSILON * np.sqrt(alpha) * np.sqrt(beta):
        return False
    with np.errstate(over="ignore"):  # an infinite zeta gives t = 0
        zeta = (beta - alpha) / (2 * gamma)
        t = np.copysign(1.0, zeta) / (abs(zeta) + np.sqrt(1 + zeta * zeta))
    c = 1 / np.sqrt(1 + t * t)
    s = c * t
    for matrix in (u, v):
        matrix[p], matrix[q] = c * matrix[p] - s * matrix[q], s * matrix[p] + c * matrix[q]
    return True
