"""What the fleet trains: a prediction and its pullback, for many lanes at once.

Shapes: G streams with T lanes each, b rows of C columns, P parameters a lane.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Psi = Callable[[torch.Tensor], torch.Tensor]


class Model(ABC):
    """A model with P parameters, computed by operations that round the same in a vector as alone."""

    @property
    @abstractmethod
    def parameters(self) -> int:
        """How many parameters a lane has, P."""

    @property
    def is_linear(self) -> bool:
        """Whether the residual of a row of `table` is its product with the parameters over a 1."""
        return False

    @property
    @abstractmethod
    def draws(self) -> int:
        """How many normal numbers a replicate's initial parameters are made of, D."""

    @abstractmethod
    def start(self, sigmas: Floats, draws: Floats) -> Floats:
        """Initial parameters (..., P) from initial scales (...) and normal numbers (..., D)."""

    @abstractmethod
    def table(self, x: Floats, y: Floats, dtype: torch.dtype) -> torch.Tensor:
        """Rows (R, n, C) to train on, made of features x (R, n, F) and targets y (R, n)."""

    @abstractmethod
    def predict(self, x: Floats, params: Floats) -> Floats:
        """Predictions (R, n) at features x (R, n, F) under parameters (R, P), in float64."""

    @abstractmethod
    def least_squares(self, x: Floats, y: Floats) -> Floats:
        """The parameters (..., P) of least squared error on features x (..., n, F), targets y (..., n)."""

    def state(self, w: torch.Tensor) -> torch.Tensor:
        """Parameters w (G, P, T), over what constant rows the products need."""
        return w.contiguous()

    @abstractmethod
    def residual(self, rows: torch.Tensor, state: torch.Tensor) -> torch.Tensor:
        """Prediction minus target (G, b, T) of rows (G, b, C)."""

    def condensed(self, rows: torch.Tensor) -> torch.Tensor:
        """Rows (R, m, C) whose mean squared residual is that of `rows` (R, n, C) at any parameters."""
        return rows

    def pullback(self, rows: torch.Tensor, state: torch.Tensor, psi: torch.Tensor) -> torch.Tensor:
        """Gradient (G, P, T) of the summed loss, given psi (G, b, T); here by autograd."""
        with torch.enable_grad():
            leaf = state.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(self.residual(rows, leaf), leaf, psi)
        return gradient[:, : self.parameters]

    def gradient(self, rows: torch.Tensor, state: torch.Tensor, psi: Psi) -> torch.Tensor:
        """Gradient (G, P, T) of the summed loss whose derivative is `psi`."""
        return self.pullback(rows, state, psi(self.residual(rows, state)))


def sum_rows(terms: torch.Tensor) -> torch.Tensor:
    """Sum (G, 1, T) over the rows of terms (G, b, T): halves are added to each other until one is left.

    torch's own sum adds in an order that depends on the shape.
    """
    while (count := terms.shape[1]) > 1:
        half = count // 2
        total = terms[:, :half] + terms[:, half : 2 * half]
        terms = torch.cat([total, terms[:, 2 * half :]], dim=1) if count % 2 else total
    return terms


def check_targets(x: Floats, y: Floats) -> None:
    """Refuses targets that are not one a row: (n, 1) beside (n,) would broadcast to (n, n)."""
    if y.shape != x.shape[:-1]:
        raise ValueError(f"y has shape {y.shape}, expected {x.shape[:-1]}: one target a row")
