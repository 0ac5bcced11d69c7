"""What a loss is: rho(u) and psi(u) = rho'(u), elementwise, of the residual u = prediction - target.

Both are written with operations that round the same in a vector as alone (+ - * /, abs, sign, clamp,
where, sqrt, exp, expm1, log1p, tanh): a lane's bits may not depend on its neighbours. A step asks for
psi alone: it works in place on tensors of its own, which saves most of its time.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Annotated, ClassVar, Literal, NamedTuple

import torch
from pydantic import Field

from regress.values.text import Form

Positive = Annotated[float, Field(gt=0)]
# Its square and the square's inverse are numbers in float32 too.
Constant = Annotated[float, Field(ge=1e-15, le=1e15)]
Scale = Literal["raw", "mad"]

# |u| / c from which on a loss has come to its limit in every digit; its square is a number in float32.
FAR = 2.0**63


@dataclass(frozen=True)
class ScalarForm:
    """rho and psi as functions of one number and the loss's constants, which Numba can compile.

    They are importable functions of `u, *constants` that use arithmetic, conditional expressions,
    `abs`, `math.sqrt`, `regress.numerics.elementary` and other such functions. What else there is
    rounds by the processor.
    """

    rho: Callable[..., float]
    psi: Callable[..., float]


class Saturation(NamedTuple):
    """psi(u) is u for |u| < `residual`, and `bound` times the sign of u beyond."""

    bound: float
    residual: float


class Loss(Form, ABC):
    """A loss rho of the residual, and its derivative psi, the influence function.

    With a `scalar_form` its models are trained by compiled code, without one by torch. The class variables
    are traits that other parts of the package ask for; a loss of an installed package sets those that
    differ.
    """

    scalar_form: ClassVar[ScalarForm | None] = None
    is_squared: ClassVar[bool] = False  # rho(u) = u**2 / 2
    has_continuous_psi: ClassVar[bool] = True
    has_bounded_psi: ClassVar[bool] = True
    is_redescending: ClassVar[bool] = False  # psi(u) -> 0 as |u| grows: rho is not convex

    @abstractmethod
    def rho(self, u: torch.Tensor) -> torch.Tensor:
        """The loss of each residual; any shape, the shape and dtype kept."""

    @abstractmethod
    def psi(self, u: torch.Tensor) -> torch.Tensor:
        """The derivative of `rho` at each residual; any shape, the shape and dtype kept."""

    @property
    def is_scaled(self) -> bool:
        """Whether the constant is in units of the residuals' scale, and not of the target."""
        return False

    @property
    def quantile_level(self) -> float | None:
        """The level tau where rho is proportional to the check loss u (1{u > 0} - tau); None elsewhere."""
        return None

    @property
    def saturation(self) -> Saturation | None:
        """Where psi levels off, of a loss whose psi is u up to there; None for other losses."""
        return None

    @property
    def constants(self) -> tuple[float, ...]:
        """The numbers among the fields, in their order: what `scalar_form` is given after u."""
        values = (getattr(self, field.name) for field in fields(self))  # type: ignore[arg-type]
        return tuple(value for value in values if isinstance(value, float))


class Tuned(Loss):
    """A loss whose constant c has the residual's unit: rho_cs(u) = s**2 rho_c(u / s).

    `scale` says what c is a multiple of: of 1 (raw), or of s = MAD / 0.6745 of the residuals of a
    robust pilot fit (mad). `rho` and `psi` know of no s; who trains calls `scaled_rho`, `scaled_psi`.
    """

    scale: Scale

    @property
    def is_scaled(self) -> bool:
        return self.scale == "mad"


def scaled_rho(loss: Loss, u: torch.Tensor, s: torch.Tensor) -> torch.Tensor:
    """s**2 rho(u / s): what `loss` is with its constant s times as large; s > 0 broadcasts to u."""
    return s * (s * loss.rho(u / s))


def scaled_psi(loss: Loss, u: torch.Tensor, s: torch.Tensor) -> torch.Tensor:
    """s psi(u / s), the derivative of `scaled_rho`; s > 0 broadcasts to u."""
    return s * loss.psi(u / s)


def near(u: torch.Tensor, c: float) -> torch.Tensor:
    """u, held where `square` of it is a number; a new tensor."""
    return u.clamp(-FAR * c, FAR * c)


def square(u: torch.Tensor, c: float) -> torch.Tensor:
    """(u / c)**2; a new tensor."""
    v = u / c
    return v * v
