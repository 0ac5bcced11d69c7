"""Convex losses: a fit has a single minimum; psi is bounded for all but squared loss."""

import math
from typing import Annotated

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass

from regress.losses import scalar
from regress.losses.loss import (
    FAR,
    Constant,
    Loss,
    Positive,
    Saturation,
    ScalarForm,
    Scale,
    Tuned,
    clamp_far,
    square,
)
from regress.values.text import STRICT


@dataclass(frozen=True, config=STRICT)
class L2(Loss):
    """Legendre (1805), Gauss (1809), squared loss halved: rho(u) = u**2 / 2."""

    name = "l2"
    is_squared = True
    has_bounded_psi = False
    scalar_form = ScalarForm(scalar.l2_rho, scalar.l2_psi)

    def rho(self, u: torch.Tensor) -> torch.Tensor:
        return torch.addcmul(u.new_zeros(()), u, u, value=0.5)  # one pass over memory instead of two

    def psi(self, u: torch.Tensor) -> torch.Tensor:
        return u


@dataclass(frozen=True, config=STRICT)
class L1(Loss):
    """Boscovich (1757), absolute loss: rho(u) = |u|; psi is 0 at 0 and at nan, as in torch.nn.L1Loss."""

    name = "l1"
    has_continuous_psi = False
    scalar_form = ScalarForm(scalar.l1_rho, scalar.l1_psi)

    @property
    def quantile_level(self) -> float:
        return 0.5

    @property
    def saturation(self) -> Saturation:
        return Saturation(bound=1.0, residual=0.0)

    def rho(self, u: torch.Tensor) -> torch.Tensor:
        return u.abs()

    def psi(self, u: torch.Tensor) -> torch.Tensor:
        return u.sign()


@dataclass(frozen=True, config=STRICT)
class Quantile(Loss):
    """Koenker and Bassett (1978): rho(u) = u (1{u > 0} - tau), so that a share tau lies below the fit.

    A prediction that is too low (u < 0) costs tau |u|, one that is too high (1 - tau) |u|. With tau = 0.5
    it is half of l1; psi is 0 at 0 and at nan, as for l1.
    """

    name = "quantile"
    has_continuous_psi = False
    scalar_form = ScalarForm(scalar.quantile_rho, scalar.quantile_psi)
    tau: Annotated[float, Field(gt=0, lt=1)] = 0.5

    @property
    def quantile_level(self) -> float:
        return self.tau

    def rho(self, u: torch.Tensor) -> torch.Tensor:
        return u * self.psi(u)

    def psi(self, u: torch.Tensor) -> torch.Tensor:
        return u.sign().clamp_(-self.tau, 1 - self.tau)


@dataclass(frozen=True, config=STRICT)
class Huber(Tuned):
    """Huber (1964): rho(u) = u**2 / 2 for |u| <= delta, then delta |u| - delta**2 / 2.

    95 % efficient at the normal distribution with delta = 1.345 (Holland and Welsch 1977).
    """

    name = "huber"
    scalar_form = ScalarForm(scalar.huber_rho, scalar.huber_psi)
    delta: Positive = 1.0
    scale: Scale = "raw"

    @property
    def saturation(self) -> Saturation:
        return Saturation(bound=self.delta, residual=self.delta)

    def rho(self, u: torch.Tensor) -> torch.Tensor:
        inner = self.psi(u)
        # u**2 / 2 inside, and delta |u| - delta**2 / 2 outside, where inner is delta sign(u).
        return inner * (u - 0.5 * inner)

    def psi(self, u: torch.Tensor) -> torch.Tensor:
        bound = min(self.delta, torch.finfo(u.dtype).max)
        return u.clamp(-bound, bound)


@dataclass(frozen=True, config=STRICT)
class SmoothL1(Loss):
    """Smooth L1 (Girshick 2015), as torch.nn.SmoothL1Loss: Huber(beta) / beta."""

    name = "smooth-l1"
    scalar_form = ScalarForm(scalar.smooth_l1_rho, scalar.smooth_l1_psi)
    beta: Positive = 1.0

    def rho(self, u: torch.Tensor) -> torch.Tensor:
        return Huber(self.beta).rho(u).div_(self.beta)

    def psi(self, u: torch.Tensor) -> torch.Tensor:
        return Huber(self.beta).psi(u).div_(self.beta)


@dataclass(frozen=True, config=STRICT)
class PseudoHuber(Tuned):
    """Charbonnier et al. (1994): rho(u) = delta**2 (sqrt(1 + v**2) - 1), v = u / delta.

    95 % efficient at the normal distribution with delta = 1.287.
    """

    name = "pseudo-huber"
    scalar_form = ScalarForm(scalar.pseudo_huber_rho, scalar.pseudo_huber_psi)
    delta: Constant = 1.287
    scale: Scale = "raw"

    def rho(self, u: torch.Tensor) -> torch.Tensor:
        inner = clamp_far(u, self.delta)
        # sqrt(1 + v**2) - 1 = v**2 / (1 + sqrt(1 + v**2)) avoids the difference of nearly equal numbers.
        bowl = inner * (inner / (1 + self._root(inner)))
        return bowl + self.delta * (u.abs() - inner.abs())

    def psi(self, u: torch.Tensor) -> torch.Tensor:
        inner = clamp_far(u, self.delta)
        return inner.div_(self._root(inner))

    def _root(self, inner: torch.Tensor) -> torch.Tensor:
        return square(inner, self.delta).add_(1).sqrt_()


@dataclass(frozen=True, config=STRICT)
class LogCosh(Tuned):
    """Green (1990): rho(u) = c**2 log cosh v, v = u / c.

    95 % efficient at the normal distribution with c = 1.205 (Holland and Welsch 1977: logistic).
    """

    name = "log-cosh"
    scalar_form = ScalarForm(scalar.log_cosh_rho, scalar.log_cosh_psi)
    c: Constant = 1.205
    scale: Scale = "raw"

    def rho(self, u: torch.Tensor) -> torch.Tensor:
        v = u / self.c
        size = v.abs()
        # log cosh v is -log(1 - tanh(v)**2) / 2 near 0, and |v| + log((1 + exp(-2 |v|)) / 2) elsewhere.
        t = v.clamp(-1, 1).tanh()
        inside = (-0.5 * self.c * self.c) * (-t * t).log1p()
        outside = self.c * (u.abs() + self.c * ((-2 * size).exp().log1p() - math.log(2)))
        return torch.where(size < 1, inside, outside)

    def psi(self, u: torch.Tensor) -> torch.Tensor:
        return (u / self.c).tanh_().mul_(self.c)


@dataclass(frozen=True, config=STRICT)
class Fair(Tuned):
    """Fair (1974): rho(u) = c**2 (|v| - log(1 + |v|)), v = u / c.

    95 % efficient at the normal distribution with c = 1.400 (Holland and Welsch 1977).
    """

    name = "fair"
    scalar_form = ScalarForm(scalar.fair_rho, scalar.fair_psi)
    c: Constant = 1.4
    scale: Scale = "raw"

    def rho(self, u: torch.Tensor) -> torch.Tensor:
        v = u / self.c
        size = v.abs()
        inside = self.c * self.c * _minus_log1p(v.clamp(-0.25, 0.25))
        outside = self.c * (u.abs() - self.c * size.clamp(max=FAR).log1p())
        return torch.where(size < 0.25, inside, outside)

    def psi(self, u: torch.Tensor) -> torch.Tensor:
        inner = clamp_far(u, self.c)
        return inner.div_((inner / self.c).abs_().add_(1))


def _minus_log1p(v: torch.Tensor) -> torch.Tensor:
    """Return |v| - log(1 + |v|) for |v| <= 1/4, accurate to the last digits.

    log(1 + a) = 2 (t + t**3/3 + t**5/5 + ...) with t = a / (2 + a) <= 1/9, and a - 2t = a**2 / (2 + a).
    """
    size = v.abs()
    t = size / (2 + size)
    t2 = t * t
    series = torch.full_like(t, 1 / 17)
    for k in range(15, 1, -2):
        series = series * t2 + 1 / k
    return v * v / (2 + size) - 2 * t * t2 * series
