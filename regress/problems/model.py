"""Base class of models: predictions and gradients of many parameter vectors at once.

Shapes: G streams with T parameter vectors each, b rows of C columns, P parameters.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Psi = Callable[[torch.Tensor], torch.Tensor]


class Model(ABC):
    """A model with P parameters; its operations round a number the same way alone and in a vector."""

    @property
    @abstractmethod
    def parameters(self) -> int:
        """Number of parameters, P."""

    @property
    def is_linear(self) -> bool:
        """Whether the residual of a row of `table` is its product with the parameters over a 1."""
        return False

    @property
    @abstractmethod
    def draws(self) -> int:
        """Number of normal draws D that initial parameters are computed from."""

    @abstractmethod
    def start(self, sigmas: Floats, draws: Floats) -> Floats:
        """Return initial parameters (..., P) for initial scales (...) and normal draws (..., D)."""

    @abstractmethod
    def table(self, x: Floats, y: Floats, dtype: torch.dtype) -> torch.Tensor:
        """Return rows (R, n, C) to train on, computed from features x (R, n, F) and targets y (R, n)."""

    @abstractmethod
    def predict(self, x: Floats, params: Floats) -> Floats:
        """Return predictions (R, n) in float64 at features x (R, n, F) for parameters (R, P)."""

    @abstractmethod
    def least_squares(self, x: Floats, y: Floats) -> Floats:
        """Return least-squares parameters (..., P) for features x (..., n, F) and targets y (..., n)."""

    def state(self, w: torch.Tensor) -> torch.Tensor:
        """Return parameters w (G, P, T) followed by the constant rows that products need."""
        return w.contiguous()

    @abstractmethod
    def residual(self, rows: torch.Tensor, state: torch.Tensor) -> torch.Tensor:
        """Return prediction minus target (G, b, T) for rows (G, b, C)."""

    def condensed(self, rows: torch.Tensor) -> torch.Tensor:
        """Return rows (R, m, C) with the mean squared residual of `rows` (R, n, C) for all parameters."""
        return rows

    def pullback(self, rows: torch.Tensor, state: torch.Tensor, psi: torch.Tensor) -> torch.Tensor:
        """Return the gradient (G, P, T) of the summed loss for psi (G, b, T); by default by autograd."""
        with torch.enable_grad():
            leaf = state.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(self.residual(rows, leaf), leaf, psi)
        return gradient[:, : self.parameters]

    def gradient(self, rows: torch.Tensor, state: torch.Tensor, psi: Psi) -> torch.Tensor:
        """Return the gradient (G, P, T) of the summed loss with derivative `psi`."""
        return self.pullback(rows, state, psi(self.residual(rows, state)))


def sum_rows(terms: torch.Tensor) -> torch.Tensor:
    """Return the sum (G, 1, T) over the rows of terms (G, b, T), adding halves to each other.

    The order of additions in torch.sum depends on the shape.
    """
    while (count := terms.shape[1]) > 1:
        half = count // 2
        total = terms[:, :half] + terms[:, half : 2 * half]
        terms = torch.cat([total, terms[:, 2 * half :]], dim=1) if count % 2 else total
    return terms


def check_targets(x: Floats, y: Floats) -> None:
    """Raise ValueError unless there is one target per row: shape (n, 1) would broadcast to (n, n)."""
    if y.shape != x.shape[:-1]:
        raise ValueError(f"y has shape {y.shape}, expected {x.shape[:-1]}: one target per row")
