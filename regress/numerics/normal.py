"""The standard normal quantile function, with a relative error of about 1e-16.

Wichura (1988), The percentage points of the normal distribution, Applied Statistics 37, algorithm AS 241
(PPND16): one rational function for the centre, and two in sqrt(-log p) for the tails.
"""

import numpy as np
from numpy.typing import NDArray

from regress.numerics.elementary import atanh_tail

Floats = NDArray[np.float64]
Coefficients = tuple[float, ...]

# Each pair holds the coefficients of numerator and denominator, highest power first.
_CENTRE = (
    (
        2509.0809287301226727,
        33430.575583588128105,
        67265.770927008700853,
        45921.953931549871457,
        13731.693765509461125,
        1971.5909503065514427,
        133.14166789178437745,
        3.387132872796366608,
    ),
    (
        5226.495278852545925,
        28729.085735721942674,
        39307.89580009271061,
        21213.794301586595867,
        5394.1960214247511077,
        687.1870074920579083,
        42.313330701600911252,
        1.0,
    ),
)
_TAIL = (
    (
        7.7454501427834140764e-4,
        0.0227238449892691845833,
        0.24178072517745061177,
        1.27045825245236838258,
        3.64784832476320460504,
        5.7694972214606914055,
        4.6303378461565452959,
        1.42343711074968357734,
    ),
    (
        1.05075007164441684324e-9,
        5.475938084995344946e-4,
        0.0151986665636164571966,
        0.14810397642748007459,
        0.68976733498510000455,
        1.6763848301838038494,
        2.05319162663775882187,
        1.0,
    ),
)
_FAR_TAIL = (
    (
        2.01033439929228813265e-7,
        2.71155556874348757815e-5,
        0.0012426609473880784386,
        0.026532189526576123093,
        0.29656057182850489123,
        1.7848265399172913358,
        5.4637849111641143699,
        6.6579046435011037772,
    ),
    (
        2.04426310338993978564e-15,
        1.4215117583164458887e-7,
        1.8463183175100546818e-5,
        7.868691311456132591e-4,
        0.0148753612908506148525,
        0.13692988092273580531,
        0.59983220655588793769,
        1.0,
    ),
)
_BLOCK = 1 << 13  # numbers computed at once, so that the intermediate arrays fit into the processor's cache
_LN2_HIGH, _LN2_LOW = 0.6931471803691238, 1.9082149292705877e-10


def inverse_normal(p: Floats) -> Floats:
    """Return the standard normal quantiles of probabilities p, each in (0, 1), in an array of p's shape."""
    flat = p.ravel()
    result = np.empty_like(flat)
    for first in range(0, len(flat), _BLOCK):
        block = slice(first, first + _BLOCK)
        result[block] = _inverse(flat[block])
    return result.reshape(p.shape)


def _inverse(p: Floats) -> Floats:
    q = p - 0.5
    result = q * _ratio(_CENTRE, 0.180625 - q * q)
    outside = np.flatnonzero(np.abs(q) > 0.425)
    tail = np.minimum(p[outside], 1.0 - p[outside])
    r = np.sqrt(-_log(tail))
    magnitude = _ratio(_TAIL, r - 1.6)
    is_far = r > 5.0
    magnitude[is_far] = _ratio(_FAR_TAIL, r[is_far] - 5.0)
    result[outside] = np.where(q[outside] < 0, -magnitude, magnitude)
    return result


def _ratio(coefficients: tuple[Coefficients, Coefficients], x: Floats) -> Floats:
    numerator, denominator = (_polynomial(c, x) for c in coefficients)
    return numerator / denominator


def _polynomial(coefficients: Coefficients, x: Floats) -> Floats:
    """Evaluate a polynomial by Horner's scheme; coefficients come with the highest power first."""
    total = np.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        total *= x
        total += coefficient
    return total


def _log(x: Floats) -> Floats:
    """Return natural logarithms with the bits of `elementary.log`, computed for a whole array."""
    half, exponent = np.frexp(x)
    low = half < 0.7071067811865476
    k = (exponent - low).astype(np.float64)
    f = np.where(low, 2.0 * half, half) - 1.0
    s = f / (2.0 + f)
    tail = atanh_tail(s * s)  # type: ignore[arg-type]  # a polynomial, which also takes arrays
    return np.asarray(k * _LN2_HIGH + (f - (s * (f - tail) - k * _LN2_LOW)))
