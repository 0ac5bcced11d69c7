"""The model w . x + b, or w . x, for all lanes of a tile in one matrix product."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from regress.problems.model import Model, check_targets
from regress.threads import one_thread

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
        """Weights sigma * z, intercept 0, as the notebook has it."""
        start = np.zeros((*draws.shape[:-1], self.parameters))
        start[..., : self.features] = sigmas[..., None] * draws
        return start

    def table(self, x: Floats, y: Floats, dtype: torch.dtype) -> torch.Tensor:
        """Columns: the features, a one for the intercept, minus the target."""
        check_targets(x, y)
        return torch.from_numpy(np.concatenate([self._inputs(x), -y[..., None]], axis=-1)).to(dtype)

    def predict(self, x: Floats, params: Floats) -> Floats:
        return np.asarray((self._inputs(x) * params[:, None]).sum(axis=-1))

    def least_squares(self, x: Floats, y: Floats) -> Floats:
        one_thread()
        return np.asarray(np.linalg.lstsq(self._inputs(x), y, rcond=None)[0])

    def state(self, w: torch.Tensor) -> torch.Tensor:
        """The parameters over a row of ones, which takes the target off the prediction."""
        return torch.cat([w, torch.ones_like(w[:, :1])], dim=1)

    def residual(self, rows: torch.Tensor, state: torch.Tensor) -> torch.Tensor:
        return torch.bmm(rows, state)

    def condensed(self, rows: torch.Tensor) -> torch.Tensor:
        """C rows for any number of them: of Z = QR the triangular R, since |Z v| = |R v|."""
        factor = np.asarray(np.linalg.qr(rows.numpy(), mode="r"))
        return torch.from_numpy(factor * np.sqrt(factor.shape[1] / rows.shape[1]))

    def pullback(self, rows: torch.Tensor, state: torch.Tensor, psi: torch.Tensor) -> torch.Tensor:
        return torch.bmm(rows[..., : self.parameters].transpose(1, 2), psi)

    def _inputs(self, x: Floats) -> Floats:
        return np.concatenate([x, np.ones_like(x[..., :1])], axis=-1) if self.intercept else x
