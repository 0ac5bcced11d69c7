"""Input of the metrics of a shard, in float64 for every training dtype."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from regress.fleet import Trajectory, mean_loss, residuals
from regress.losses import Loss
from regress.problems.data import Data, cache_with_data
from regress.problems.model import Model
from regress.problems.problem import Problem

Floats = NDArray[np.float64]

DIVERGED_FACTOR = 1000.0


@dataclass(frozen=True)
class MeasuredRows:
    """Rows to evaluate models on, and few rows with the same mean squared residual."""

    model: Model
    x: Floats  # (R, n, F)
    y: Floats  # (R, n)
    condensed: torch.Tensor  # (R, m, C)

    @cached_property
    def table(self) -> torch.Tensor:
        """The rows (R, n, C) in the form that the model trains on."""
        return self.model.table(self.x, self.y, torch.float64)

    def mean_loss(self, losses: Sequence[Loss], params: Floats, scales: Mapping[Loss, Floats]) -> Floats:
        """Return the mean of rho (E, L, R) at parameters (E, L, R, P), loss i for trial i."""
        result = np.empty(params.shape[:3])
        squared = [i for i, loss in enumerate(losses) if loss.is_squared]
        others = [i for i, loss in enumerate(losses) if not loss.is_squared]
        if squared:
            chosen = [losses[i] for i in squared]
            result[:, squared] = mean_loss(self.model, self.condensed, chosen, params[:, squared])
        if others:
            chosen = [losses[i] for i in others]
            result[:, others] = mean_loss(self.model, self.table, chosen, params[:, others], scales)
        return result

    def residuals(self, params: Floats) -> Floats:
        """Return prediction minus target (L, R, n) at parameters (L, R, P)."""
        return residuals(self.model, self.table, params)


@dataclass(frozen=True)
class Measurement:
    """L trained trials with R replicates, and the rows that they are evaluated on.

    `targets` holds w* (R, P) of each loss, from which the parameter error is measured; `scales` the scale
    (R,) of the residuals for each scaled loss.
    """

    problem: Problem
    data: Data
    targets: Mapping[Loss, Floats]
    scales: Mapping[Loss, Floats]
    losses: Sequence[Loss]  # (L,)
    start: Floats  # (L, R, P)
    trajectory: Trajectory
    steps_per_epoch: int
    tolerance: float

    @cached_property
    def params(self) -> Floats:
        """Parameters (E, L, R, P) at the epochs' ends."""
        return np.asarray(self.trajectory.params.to(torch.float64).numpy())

    @cached_property
    def w_star(self) -> Floats:
        """The parameters w* (L, R, P) from which the parameter error is measured."""
        return np.stack([self.targets[loss] for loss in self.losses])

    @cached_property
    def train(self) -> MeasuredRows:
        """The contaminated training rows."""
        condensed, _ = _condensed_rows(self.problem.model, self.data)
        return MeasuredRows(self.problem.model, self.data.train_x, self.data.train_y, condensed)

    @cached_property
    def val(self) -> MeasuredRows:
        """The validation rows."""
        _, condensed = _condensed_rows(self.problem.model, self.data)
        return MeasuredRows(self.problem.model, self.data.val_x, self.data.val_y, condensed)

    @cached_property
    def val_loss(self) -> Floats:
        """Mean rho (E, L, R) on the validation rows."""
        return self.val.mean_loss(self.losses, self.params, self.scales)

    @cached_property
    def param_error(self) -> Floats:
        """Euclidean distance (E, L, R) to w*, intercept included."""
        return _distance(self.params, self.w_star)

    @cached_property
    def diverged(self) -> NDArray[np.bool_]:
        """Whether a model has diverged by each epoch's end (E, L, R).

        A model has diverged if its parameters are not finite or its error exceeds 1,000 times the larger of
        1 and its initial error, so that the result is the same for every dtype.
        """
        initial = _distance(self.start, self.w_star)
        return ~(self.param_error <= DIVERGED_FACTOR * np.maximum(1.0, initial))

    @property
    def first_nonfinite_step(self) -> NDArray[np.int64]:
        """The first step (L, R), from 1, with non-finite parameters; 0 if all were finite."""
        return self.trajectory.first_nonfinite


@cache_with_data
def _condensed_rows(model: Model, data: Data) -> tuple[torch.Tensor, torch.Tensor]:
    """Return few rows (R, m, C) with the mean squared residuals of training and validation rows."""
    train = model.condensed(model.table(data.train_x, data.train_y, torch.float64))
    return train, model.condensed(model.table(data.val_x, data.val_y, torch.float64))


def _distance(params: Floats, w_star: Floats) -> Floats:
    # Parameter by parameter: the sum has the same order of additions for every shape.
    with np.errstate(over="ignore", invalid="ignore"):
        squares = (params - w_star) ** 2
        total = squares[..., 0].copy()
        for p in range(1, squares.shape[-1]):
            total += squares[..., p]
        distance = np.sqrt(total)
    return np.where(np.isnan(distance), np.nan, distance)  # one bit pattern, as in `train`
