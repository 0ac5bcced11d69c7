"""Least squares by Householder reflections, with sums taken by halving: no BLAS, no LAPACK."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_EPSILON = float(np.finfo(float).eps)
_DEPENDENT = 1e-11  # a column of which less than this share is left after the columns before it
_SWEEPS = 60  # Jacobi's method needs some ten


def halving_sum(terms: NDArray[Any]) -> NDArray[Any]:
    """Sum (...) over the last axis of terms (..., n): halves are added until one number is left."""
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
    """Products rows . w (..., n) of rows (..., n, P) and parameters w (..., P), term by term."""
    total = rows[..., 0] * w[..., :1]
    for j in range(1, rows.shape[-1]):
        total += rows[..., j] * w[..., j : j + 1]
    return np.asarray(total)


def triangular_factor(rows: Floats) -> Floats:
    """R (..., m, C), m = min(n, C), of rows = QR (..., n, C): |rows . v| = |R . v| for every v."""
    a = np.swapaxes(rows, -1, -2).copy()  # (..., C, n): sums run along memory
    largest = np.abs(a).max(axis=-1, keepdims=True, initial=0.0)
    unit = np.ldexp(1.0, np.frexp(largest)[1])  # powers of two: dividing by them rounds nothing
    a /= unit
    count = min(a.shape[-2:])
    for j in range(count):
        v = a[..., j : j + 1, j:].copy()
        v[..., 0] += np.copysign(np.sqrt(halving_sum(v * v)), v[..., 0])
        square = halving_sum(v * v)
        factor = np.divide(2.0, square, out=np.zeros_like(square), where=square > 0)
        rest = a[..., j:, j:]
        rest -= (factor * halving_sum(v * rest))[..., None] * v
        a[..., j, j + 1 :] = 0.0
    return np.ascontiguousarray(np.swapaxes((a * unit)[..., :count], -1, -2))


def least_squares(z: Floats, y: Floats) -> Floats:
    """The w (..., P) of least |zw - y|, z (..., n, P), y (..., n); where columns depend, the shortest."""
    size = z.shape[-1]
    factors = triangular_factor(np.concatenate([z, y[..., None]], axis=-1))
    result = np.empty((*z.shape[:-2], size))
    for place in np.ndindex(z.shape[:-2]):
        r, right = factors[place][:size, :size], factors[place][:size, size]
        if len(r) == size and _is_independent(r):
            result[place] = _back_substitute(r, right)
        else:
            result[place] = _shortest_solution(r, right, max(z.shape[-2:]))
    return result


def _is_independent(r: Floats) -> bool:
    norms = np.sqrt(halving_sum(r.T * r.T))
    return bool((np.abs(np.diagonal(r)) > _DEPENDENT * norms).all())


def _back_substitute(r: Floats, right: Floats) -> Floats:
    """Solution of the triangular system r w = right."""
    w = np.zeros(len(right))
    for j in range(len(right) - 1, -1, -1):
        known = halving_sum(r[j, j + 1 :] * w[j + 1 :])
        w[j] = (right[j] - known) / r[j, j]
    return w


def _shortest_solution(r: Floats, right: Floats, rows: int) -> Floats:
    """Pseudo-inverse of r times right, singular values under rows * eps of the largest taken for 0.

    One-sided Jacobi rotations (Hestenes 1958) make the columns of r V orthogonal.
    """
    u, v = r.T.copy(), np.eye(r.shape[1])  # both by columns
    for _ in range(_SWEEPS):
        rotated = False
        for p in range(len(u) - 1):
            for q in range(p + 1, len(u)):
                rotated |= _orthogonalise(u, v, p, q)
        if not rotated:
            break
    squares = halving_sum(u * u)
    kept = squares > (rows * _EPSILON) ** 2 * squares.max(initial=0.0)
    shares = np.divide(halving_sum(u * right), squares, out=np.zeros_like(squares), where=kept)
    return multiply(v.T, shares)


def _orthogonalise(u: Floats, v: Floats, p: int, q: int) -> bool:
    """Rotates rows p and q of u and v so that those of u are orthogonal; False where they were."""
    alpha, beta, gamma = halving_sum(np.stack([u[p] * u[p], u[q] * u[q], u[p] * u[q]]))
    if abs(gamma) <= _EPSILON * np.sqrt(alpha) * np.sqrt(beta):
        return False
    with np.errstate(over="ignore"):  # t is 0 then
        zeta = (beta - alpha) / (2 * gamma)
        t = np.copysign(1.0, zeta) / (abs(zeta) + np.sqrt(1 + zeta * zeta))
    c = 1 / np.sqrt(1 + t * t)
    s = c * t
    for matrix in (u, v):
        matrix[p], matrix[q] = c * matrix[p] - s * matrix[q], s * matrix[p] + c * matrix[q]
    return True
