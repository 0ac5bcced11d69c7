"""Redescending losses: psi returns to 0 for far outliers; a fit may have several minima."""

import torch
from pydantic.dataclasses import dataclass

from regress.losses import scalar
from regress.losses.loss import FAR, Constant, ScalarForm, Scale, Tuned, clamp_far, square
from regress.values.text import STRICT


@dataclass(frozen=True, config=STRICT)
class Cauchy(Tuned):
    """Cauchy's log-likelihood: rho(u) = c**2 / 2 log(1 + v**2), v = u / c; unbounded, psi ~ c**2 / u.

    95 % efficient at the normal distribution with c = 2.385 (Holland and Welsch 1977).
    """

    name = "cauchy"
    is_redescending = True
    scalar_form = ScalarForm(scalar.cauchy_rho, scalar.cauchy_psi)
    c: Constant = 2.385
    scale: Scale = "raw"

    def rho(self, u: torch.Tensor) -> torch.Tensor:
        v2 = square(clamp_far(u, self.c), self.c)
        beyond = (u.abs() / (FAR * self.c)).clamp(min=1)
        # log(beyond) is 0 except where |u| is so large that v2 is clamped to FAR**2.
        return self.c * self.c * (0.5 * v2.log1p() + (beyond - 1).log1p())

    def psi(self, u: torch.Tensor) -> torch.Tensor:
        inner = clamp_far(u, self.c)
        return inner.div_(square(inner, self.c).add_(1))


@dataclass(frozen=True, config=STRICT)
class Welsch(Tuned):
    """Dennis and Welsch (1978): rho(u) = c**2 / 2 (1 - exp(-v**2)), v = u / c.

    95 % efficient at the normal distribution with c = 2.985 (Holland and Welsch 1977).
    """

    name = "welsch"
    is_redescending = True
    scalar_form = ScalarForm(scalar.welsch_rho, scalar.welsch_psi)
    c: Constant = 2.985
    scale: Scale = "raw"

    def rho(self, u: torch.Tensor) -> torch.Tensor:
        return (-0.5 * self.c * self.c) * (-square(clamp_far(u, self.c), self.c)).expm1()

    def psi(self, u: torch.Tensor) -> torch.Tensor:
        inner = clamp_far(u, self.c)
        return inner.mul_(square(inner, self.c).neg_().exp_())


@dataclass(frozen=True, config=STRICT)
class GemanMcClure(Tuned):
    """Geman and McClure (1985): rho(u) = u**2 / 2 / (1 + v**2), v = u / c; at most c**2 / 2.

    95 % efficient at the normal distribution with c = 3.787.
    """

    name = "geman-mcclure"
    is_redescending = True
    scalar_form = ScalarForm(scalar.geman_mcclure_rho, scalar.geman_mcclure_psi)
    c: Constant = 3.787
    scale: Scale = "raw"

    def rho(self, u: torch.Tensor) -> torch.Tensor:
        inner = clamp_far(u, self.c)
        return 0.5 * inner * (inner / (1 + square(inner, self.c)))

    def psi(self, u: torch.Tensor) -> torch.Tensor:
        inner = clamp_far(u, self.c)
        root = square(inner, self.c).add_(1)
        return inner.div_(root).div_(root)


@dataclass(frozen=True, config=STRICT)
class Tukey(Tuned):
    """Beaton and Tukey (1974), the biweight: rho(u) = c**2 / 6 (1 - (1 - v**2)**3) for |v| <= 1, v = u / c.

    For |u| >= c, rho is c**2 / 6 and psi is 0. 95 % efficient at the normal distribution with
    c = 4.685 (Holland and Welsch 1977).
    """

    name = "tukey"
    is_redescending = True
    scalar_form = ScalarForm(scalar.tukey_rho, scalar.tukey_psi)
    c: Constant = 4.685
    scale: Scale = "raw"

    def rho(self, u: torch.Tensor) -> torch.Tensor:
        inner = u.clamp(-self.c, self.c)
        v2 = square(inner, self.c)
        return inner * inner * (3 - v2 * (3 - v2)) / 6

    def psi(self, u: torch.Tensor) -> torch.Tensor:
        inner = u.clamp(-self.c, self.c)
        root = square(inner, self.c).neg_().add_(1)
        return inner.mul_(root).mul_(root)
