"""Losses as pure elementwise functions of the residual u = prediction - target.

Each gives rho(u) and psi(u) = rho'(u). They are written with operations that round the same in a
vector as alone (+ - * /, abs, sign, clamp): a lane's bits may not depend on its neighbours.
"""

from abc import ABC, abstractmethod
from typing import Annotated

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass

from regress.text import STRICT, Form

Positive = Annotated[float, Field(gt=0)]


class Loss(Form, ABC):
    """A loss rho of the residual, and its derivative psi, the influence function."""

    @abstractmethod
    def rho(self, u: torch.Tensor) -> torch.Tensor:
        """The loss of each residual; any shape, the shape and dtype kept."""

    @abstractmethod
    def psi(self, u: torch.Tensor) -> torch.Tensor:
        """The derivative of `rho` at each residual; any shape, the shape and dtype kept."""


@dataclass(frozen=True, config=STRICT)
class L2(Loss):
    """Squared loss, halved: rho(u) = u**2 / 2 (Gauss, Legendre)."""

    name = "l2"

    def rho(self, u: torch.Tensor) -> torch.Tensor:
        return (u * u).mul_(0.5)

    def psi(self, u: torch.Tensor) -> torch.Tensor:
        return u


@dataclass(frozen=True, config=STRICT)
class L1(Loss):
    """Absolute loss: rho(u) = |u|; psi(0) = 0, as torch.nn.L1Loss has it."""

    name = "l1"

    def rho(self, u: torch.Tensor) -> torch.Tensor:
        return u.abs()

    def psi(self, u: torch.Tensor) -> torch.Tensor:
        return u.sign()


@dataclass(frozen=True, config=STRICT)
class Huber(Loss):
    """Huber (1964): rho(u) = u**2 / 2 for |u| <= delta, then delta |u| - delta**2 / 2."""

    name = "huber"
    delta: Positive = 1.0

    def rho(self, u: torch.Tensor) -> torch.Tensor:
        size = u.abs()
        inner = size.clamp(max=_bound(self.delta, u))
        # inner (|u| - inner / 2) is u**2 / 2 inside and delta |u| - delta**2 / 2 outside.
        return inner * (size - 0.5 * inner)

    def psi(self, u: torch.Tensor) -> torch.Tensor:
        bound = _bound(self.delta, u)
        return u.clamp(-bound, bound)


@dataclass(frozen=True, config=STRICT)
class SmoothL1(Loss):
    """Smooth L1 (Girshick 2015), as torch.nn.SmoothL1Loss: Huber(beta) / beta."""

    name = "smooth-l1"
    beta: Positive = 1.0

    def rho(self, u: torch.Tensor) -> torch.Tensor:
        return Huber(self.beta).rho(u).div_(self.beta)

    def psi(self, u: torch.Tensor) -> torch.Tensor:
        return Huber(self.beta).psi(u).div_(self.beta)


def _bound(threshold: float, u: torch.Tensor) -> float:
    """`threshold`, or the largest number of u's dtype where that is smaller."""
    return min(threshold, torch.finfo(u.dtype).max)


LOSSES: dict[str, type[Loss]] = {cls.name: cls for cls in (L2, L1, Huber, SmoothL1)}
