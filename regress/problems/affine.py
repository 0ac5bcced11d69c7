"""The model w . x + b, for all lanes of a tile in one matrix product."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Affine:
    """Predicts w . x + b; the parameters are the F weights, then the intercept b."""

    features: int

    @property
    def parameters(self) -> int:
        """How many parameters a lane has, P = F + 1."""
        return self.features + 1

    def start(self, sigmas: Floats, draws: Floats) -> Floats:
        """Initial parameters (..., P): weights sigma * z, intercept 0, as the notebook has it.

        `sigmas` (...) are initial scales, `draws` (..., F) standard normal.
        """
        start = np.zeros((*draws.shape[:-1], self.parameters))
        start[..., :-1] = sigmas[..., None] * draws
        return start

    def table(self, x: Floats, y: Floats, dtype: torch.dtype) -> torch.Tensor:
        """Rows (R, n, P + 1) to train on: the features, a one for the intercept, minus the target."""
        if y.shape != x.shape[:-1]:
            raise ValueError(f"y has shape {y.shape}, expected {x.shape[:-1]}: one target a row")
        ones = np.ones_like(y)[..., None]
        return torch.from_numpy(np.concatenate([x, ones, -y[..., None]], axis=-1)).to(dtype)

    def state(self, w: torch.Tensor) -> torch.Tensor:
        """Parameters w (G, P, T) over a row of ones, which takes the target off the prediction."""
        return torch.cat([w, torch.ones_like(w[:, :1])], dim=1)

    def residual(self, rows: torch.Tensor, state: torch.Tensor) -> torch.Tensor:
        """Prediction minus target (G, b, T) of rows (G, b, P + 1)."""
        return torch.bmm(rows, state)

    def pullback(self, rows: torch.Tensor, state: torch.Tensor, psi: torch.Tensor) -> torch.Tensor:
        """Gradient (G, P, T) of the summed loss, given psi (G, b, T) at the residuals."""
        return torch.bmm(rows[..., : self.parameters].transpose(1, 2), psi)
