"""The model w . x + b, or w . x."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from regress.numerics.linear_algebra import least_squares, multiply, triangular_factor
from regress.problems.model import Model, check_targets, sum_rows

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Affine(Model):
    """Predicts w . x + b; the parameters are the F weights, then the intercept b if there is one."""

    features: int
    intercept: bool = True

    @property
    def parameters(self) -> int:
        return self.features + self.intercept

    @property
    def draws(self) -> int:
        return self.features

    def start(self, sigmas: Floats, draws: Floats) -> Floats:
        """Return weights sigma * z and an intercept of 0, as in the notebook."""
        start = np.zeros((*draws.shape[:-1], self.parameters))
        start[..., : self.features] = sigmas[..., None] * draws
        return start

    def table(self, x: Floats, y: Floats, dtype: torch.dtype) -> torch.Tensor:
        """Return the columns: features, a one for the intercept, minus the target."""
        check_targets(x, y)
        rows = torch.empty(*y.shape, self.parameters + 1, dtype=dtype)
        columns = rows.numpy()  # shares memory: filled and rounded in one pass
        with np.errstate(over="ignore"):  # numbers too large for float32 become infinite
            columns[..., : self.features] = x
            if self.intercept:
                columns[..., self.features] = 1.0
            np.negative(y, out=columns[..., -1], casting="same_kind")
        return rows

    def predict(self, x: Floats, params: Floats) -> Floats:
        return multiply(self._inputs(x), params)

    def least_squares(self, x: Floats, y: Floats) -> Floats:
        return least_squares(self._inputs(x), y)

    @property
    def is_linear(self) -> bool:
        return True

    def state(self, w: torch.Tensor) -> torch.Tensor:
        """Return the parameters followed by a row of ones, which subtracts the target."""
        return torch.cat([w, torch.ones_like(w[:, :1])], dim=1)

    def residual(self, rows: torch.Tensor, state: torch.Tensor) -> torch.Tensor:
        # By columns, because the bits of a matrix product depend on its shape and on the processor.
        total = rows[..., :1] * state[:, None, 0]
        for column in range(1, rows.shape[2]):
            total = total + rows[..., column : column + 1] * state[:, None, column]
        return total

    def condensed(self, rows: torch.Tensor) -> torch.Tensor:
        """Return C rows: the triangular factor R of Z = QR, since |Z v| = |R v|."""
        factor = triangular_factor(rows.numpy())
        return torch.from_numpy(factor * np.sqrt(factor.shape[1] / rows.shape[1]))

    def pullback(self, rows: torch.Tensor, state: torch.Tensor, psi: torch.Tensor) -> torch.Tensor:
        columns = range(self.parameters)
        return torch.cat([sum_rows(rows[..., column : column + 1] * psi) for column in columns], dim=1)

    def _inputs(self, x: Floats) -> Floats:
        return np.concatenate([x, np.ones_like(x[..., :1])], axis=-1) if self.intercept else x
