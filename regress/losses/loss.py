"""Base classes of losses: rho(u) and psi(u) = rho'(u) of the residual u = prediction - target.

Both use only operations that round a number the same way alone and in a vector (+ - * /, abs, sign, clamp,
where, sqrt, exp, expm1, log1p, tanh), because a model's bits must not depend on the models trained beside
it. A training step needs psi only; psi works in place on temporary tensors, which saves most of its time.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Annotated, ClassVar, Literal, NamedTuple

import torch
from pydantic import Field

from regress.values.text import Form

Positive = Annotated[float, Field(gt=0)]
# The square of a constant and its inverse are finite in float32, too.
Constant = Annotated[float, Field(ge=1e-15, le=1e15)]
Scale = Literal["raw", "mad"]

# From |u| / c = FAR on, a loss equals its limit in all digits; the square of FAR is finite in float32.
FAR = 2.0**63


@dataclass(frozen=True)
class ScalarForm:
    """rho and psi as functions of one number and the loss's constants, which Numba can compile.

    They are importable functions of `u, *constants` that use arithmetic, conditional expressions,
    `abs`, `math.sqrt`, `regress.numerics.elementary` and other such functions. The rounding of any other
    function may depend on the processor.
    """

    rho: Callable[..., float]
    psi: Callable[..., float]


class Saturation(NamedTuple):
    """psi(u) is u for |u| < `residual`, and `bound` times the sign of u beyond."""

    bound: float
    residual: float


class Loss(Form, ABC):
    """A loss rho of the residual, and its derivative psi, the influence function.

    With a `scalar_form` models are trained by compiled code, without one by torch. The class variables are
    traits that other packages read; a loss of an installed package sets those that differ.
    """

    scalar_form: ClassVar[ScalarForm | None] = None
    is_squared: ClassVar[bool] = False  # rho(u) = u**2 / 2
    has_continuous_psi: ClassVar[bool] = True
    has_bounded_psi: ClassVar[bool] = True
    is_redescending: ClassVar[bool] = False  # psi(u) -> 0 as |u| grows: rho is not convex

    @abstractmethod
    def rho(self, u: torch.Tensor) -> torch.Tensor:
        """Return the loss of each residual, of the shape and dtype of `u`."""

    @abstractmethod
    def psi(self, u: torch.Tensor) -> torch.Tensor:
        """Return the derivative of `rho` at each residual, of the shape and dtype of `u`."""

    @property
    def is_scaled(self) -> bool:
        """Whether the constant is a multiple of the residuals' scale."""
        return False

    @property
    def quantile_level(self) -> float | None:
        """The level tau if rho is proportional to the check loss u (1{u > 0} - tau), else None."""
        return None

    @property
    def saturation(self) -> Saturation | None:
        """Where psi becomes constant, if psi(u) = u up to that residual; None for other losses."""
        return None

    @property
    def constants(self) -> tuple[float, ...]:
        """The numeric fields in their order: the arguments of `scalar_form` after u."""
        values = (getattr(self, field.name) for field in fields(self))  # type: ignore[arg-type]
        return tuple(value for value in values if isinstance(value, float))


class Tuned(Loss):
    """A loss whose constant c has the residual's unit: rho_cs(u) = s**2 rho_c(u / s).

    With scale=raw, s = 1; with scale=mad, s = MAD / 0.6745 of the residuals of a robust pilot fit. `rho`
    and `psi` do not apply s; training calls `scaled_rho` and `scaled_psi`.
    """

    scale: Scale

    @property
    def is_scaled(self) -> bool:
        return self.scale == "mad"


def scaled_rho(loss: Loss, u: torch.Tensor, s: torch.Tensor) -> torch.Tensor:
    """Return s**2 rho(u / s), the loss with its constant multiplied by s; s > 0 broadcasts to u."""
    return s * (s * loss.rho(u / s))


def scaled_psi(loss: Loss, u: torch.Tensor, s: torch.Tensor) -> torch.Tensor:
    """Return s psi(u / s), the derivative of `scaled_rho`; s > 0 broadcasts to u."""
    return s * loss.psi(u / s)


def clamp_far(u: torch.Tensor, c: float) -> torch.Tensor:
    """Return u clamped to where its `square` is finite, as a new tensor."""
    return u.clamp(-FAR * c, FAR * c)


def square(u: torch.Tensor, c: float) -> torch.Tensor:
    """Return (u / c)**2 as a new tensor."""
    v = u / c
    return v * v
