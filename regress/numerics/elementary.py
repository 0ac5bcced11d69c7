"""Exponential, logarithm and tanh of one float64 number, accurate to two units in the last place.

The functions run as plain Python and are compiled by `regress.kernels`. Every branch is a conditional
expression of two values, so that the compiler can vectorise a loop over an array of residuals.
"""

import math

import numpy as np

# log 2 in two parts: the first has 32 significant bits, so that its product with an exponent is exact.
_LN2_HIGH = 0.6931471803691238
_LN2_LOW = 1.9082149292705877e-10
_LARGEST_EXP = 709.782712893384  # log of the largest float64
_SMALLEST_EXP = -708.0  # for smaller x, exp(x) returns 0
_SQRT_HALF = 0.7071067811865476


def clamp(x: float, low: float, high: float) -> float:
    """Return x limited to the interval [low, high]; nan is returned as nan."""
    return low if x < low else (high if x > high else x)


def exp(x: float) -> float:
    """Return e**x.

    Range reduction x = k log 2 + r, |r| <= log(2) / 2, then the Taylor series of e**r.
    """
    bounded = clamp(x, _SMALLEST_EXP, _LARGEST_EXP)
    k = np.floor(bounded / (_LN2_HIGH + _LN2_LOW) + 0.5)
    r = (bounded - k * _LN2_HIGH) - k * _LN2_LOW
    scaled = (1.0 + _expm1_series(r)) * _power_of_two(k - 1.0) * 2.0
    value = 0.0 if x < _SMALLEST_EXP else (math.inf if x > _LARGEST_EXP else scaled)
    return x if math.isnan(x) else value


def expm1(x: float) -> float:
    """Return e**x - 1 without cancellation near x = 0."""
    series = _expm1_series(clamp(x, -0.5, 0.5))
    difference = exp(x) - 1.0
    return series if abs(x) < 0.5 else difference


def log1p(x: float) -> float:
    """Return log(1 + x) for x > -1, accurate near x = 0.

    With u = 1 + x rounded, log(1 + x) = log(u) + (x - (u - 1)) / u to first order in the rounding error.
    """
    u = 1.0 + x
    value = log(u) + (x - (u - 1.0)) / u
    return x if x == math.inf else value


def log(x: float) -> float:
    """Return the natural logarithm of a positive number that is not subnormal."""
    bits = np.float64(x).view(np.int64)
    exponent = (bits >> 52) - 1022
    # x / 2**exponent, in [1/2, 1)
    half = np.int64((bits & 0x000FFFFFFFFFFFFF) | 0x3FE0000000000000).view(np.float64)
    low = half < _SQRT_HALF
    mantissa = 2.0 * half if low else half
    k = float(exponent - 1 if low else exponent)
    f = mantissa - 1.0
    s = f / (2.0 + f)
    return k * _LN2_HIGH + (f - (s * (f - atanh_tail(s * s)) - k * _LN2_LOW))


def tanh(x: float) -> float:
    """Return the hyperbolic tangent, (e**2x - 1) / (e**2x + 1)."""
    t = expm1(2.0 * clamp(abs(x), 0.0, 20.0))
    return math.copysign(t / (t + 2.0), x)


def atanh_tail(z: float) -> float:
    """Return (2 atanh(s) - 2 s) / s = 2 (z/3 + z**2/5 + z**3/7 + ...) for z = s**2 <= 0.03.

    `log` uses it: with s = f / (2 + f), log(1 + f) = 2 atanh(s) = f - s (f - tail).
    """
    total = 1 / 23
    total = total * z + 1 / 21
    total = total * z + 1 / 19
    total = total * z + 1 / 17
    total = total * z + 1 / 15
    total = total * z + 1 / 13
    total = total * z + 1 / 11
    total = total * z + 1 / 9
    total = total * z + 1 / 7
    total = total * z + 1 / 5
    total = total * z + 1 / 3
    return 2.0 * z * total


def _expm1_series(r: float) -> float:
    """Return e**r - 1 for |r| <= 1/2, by its Taylor series up to r**17 / 17!."""
    total = 1 / 355687428096000
    total = total * r + 1 / 20922789888000
    total = total * r + 1 / 1307674368000
    total = total * r + 1 / 87178291200
    total = total * r + 1 / 6227020800
    total = total * r + 1 / 479001600
    total = total * r + 1 / 39916800
    total = total * r + 1 / 3628800
    total = total * r + 1 / 362880
    total = total * r + 1 / 40320
    total = total * r + 1 / 5040
    total = total * r + 1 / 720
    total = total * r + 1 / 120
    total = total * r + 1 / 24
    total = total * r + 1 / 6
    return r + r * r * (0.5 + r * total)


def _power_of_two(k: float) -> float:
    """Return 2**k for an integer k from -1022 to 1023, by setting the exponent bits of a float64."""
    return np.int64((np.int64(k) + 1023) << 52).view(np.float64)
