"""Scalar forms of rho and psi, functions of one number that Numba compiles; see `ScalarForm`.

Each has the formula of its class in `convex` or `redescending`; a test compares the two. A nan residual
gives nan, except where torch gives 0.
"""

import math

from regress.losses.loss import FAR
from regress.numerics.elementary import atanh_tail, clamp, exp, expm1, log1p, tanh

_LOG_2 = math.log(2.0)


def l2_rho(u: float) -> float:
    return 0.5 * u * u


def l2_psi(u: float) -> float:
    return u


def l1_rho(u: float) -> float:
    return abs(u)


def l1_psi(u: float) -> float:
    return 1.0 if u > 0 else (-1.0 if u < 0 else 0.0)


def quantile_rho(u: float, tau: float) -> float:
    return u * quantile_psi(u, tau)


def quantile_psi(u: float, tau: float) -> float:
    return 1.0 - tau if u > 0 else (-tau if u < 0 else 0.0)


def huber_rho(u: float, delta: float) -> float:
    inner = clamp(u, -delta, delta)
    return inner * (u - 0.5 * inner)


def huber_psi(u: float, delta: float) -> float:
    return clamp(u, -delta, delta)


def smooth_l1_rho(u: float, beta: float) -> float:
    return huber_rho(u, beta) / beta


def smooth_l1_psi(u: float, beta: float) -> float:
    return clamp(u, -beta, beta) / beta


def pseudo_huber_rho(u: float, delta: float) -> float:
    inner = clamp_far(u, delta)
    bowl = inner * (inner / (1.0 + math.sqrt(1.0 + square(inner, delta))))
    return bowl + delta * (abs(u) - abs(inner))


def pseudo_huber_psi(u: float, delta: float) -> float:
    inner = clamp_far(u, delta)
    return inner / math.sqrt(1.0 + square(inner, delta))


def log_cosh_rho(u: float, c: float) -> float:
    size = abs(u / c)
    t = tanh(clamp(u / c, -1.0, 1.0))
    inside = (-0.5 * c * c) * log1p(-t * t)
    outside = c * (abs(u) + c * (log1p(exp(-2.0 * size)) - _LOG_2))
    return inside if size < 1.0 else outside


def log_cosh_psi(u: float, c: float) -> float:
    return c * tanh(u / c)


def fair_rho(u: float, c: float) -> float:
    size = abs(u / c)
    small = clamp(size, 0.0, 0.25)
    t = small / (2.0 + small)  # log(1 + small) = 2 atanh(t), and small - 2 t = small**2 / (2 + small)
    inside = c * c * (small * small / (2.0 + small) - t * atanh_tail(t * t))
    outside = c * (abs(u) - c * log1p(clamp(size, 0.0, FAR)))
    return inside if size < 0.25 else outside


def fair_psi(u: float, c: float) -> float:
    inner = clamp_far(u, c)
    return inner / (1.0 + abs(inner / c))


def cauchy_rho(u: float, c: float) -> float:
    beyond = abs(u) / (FAR * c)
    far = log1p(beyond - 1.0 if beyond > 1.0 else 0.0)
    return c * c * (0.5 * log1p(square(clamp_far(u, c), c)) + far)


def cauchy_psi(u: float, c: float) -> float:
    inner = clamp_far(u, c)
    return inner / (1.0 + square(inner, c))


def welsch_rho(u: float, c: float) -> float:
    return (-0.5 * c * c) * expm1(-square(clamp_far(u, c), c))


def welsch_psi(u: float, c: float) -> float:
    inner = clamp_far(u, c)
    return inner * exp(-square(inner, c))


def geman_mcclure_rho(u: float, c: float) -> float:
    inner = clamp_far(u, c)
    return 0.5 * inner * (inner / (1.0 + square(inner, c)))


def geman_mcclure_psi(u: float, c: float) -> float:
    inner = clamp_far(u, c)
    root = 1.0 + square(inner, c)
    return inner / root / root


def tukey_rho(u: float, c: float) -> float:
    inner = clamp(u, -c, c)
    v2 = square(inner, c)
    return inner * inner * (3.0 - v2 * (3.0 - v2)) / 6.0


def tukey_psi(u: float, c: float) -> float:
    inner = clamp(u, -c, c)
    root = 1.0 - square(inner, c)
    return inner * root * root


def clamp_far(u: float, c: float) -> float:
    """Return u clamped to where its `square` is finite."""
    return clamp(u, -FAR * c, FAR * c)


def square(u: float, c: float) -> float:
    """Return (u / c)**2."""
    return (u / c) * (u / c)
