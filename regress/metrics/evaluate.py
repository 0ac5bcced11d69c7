"""Metrics of trained models, computed in float64 for every training dtype."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import ceil

import numpy as np
import torch
from numpy.typing import NDArray

from regress.fleet import Trajectory, mean_loss, residuals
from regress.losses import L2, Loss
from regress.problems.data import Data, kept_with_data
from regress.problems.model import Model
from regress.problems.problem import Problem

Floats = NDArray[np.float64]

DIVERGED_FACTOR = 1000.0


@dataclass(frozen=True)
class Outcome:
    """The metrics of L trials with R replicates at E epoch ends; not finite where a model became so.

    A lane has `diverged` when its parameters are not finite or its error is over 1,000 times the
    larger of 1 and its initial error, so that the verdict is the same in every dtype.
    """

    params: Floats  # (E, L, R, P), as trained
    digests: NDArray[np.str_]  # (E, L, R), of the bits of the parameters
    train_loss: Floats  # (E, L, R), mean rho on the contaminated training rows
    val_loss: Floats  # (E, L, R), mean rho on the validation rows
    param_error: Floats  # (E, L, R), the Euclidean distance to w*, intercept included
    diverged: NDArray[np.bool_]  # (E, L, R)
    first_nonfinite_step: NDArray[np.int64]  # (L, R), from 1; 0 is never
    steps_per_epoch: int
    excess_risk: Floats  # (L, R), mean u**2 / 2 on validation rows, at w minus at w*
    val_median_abs_residual: Floats | None  # (L, R), in the user's units, where trials rank by it
    epochs_to_tolerance: Floats  # (L, R), from 1; inf is never


def evaluate(
    problem: Problem,
    data: Data,
    targets: dict[Loss, Floats],
    scales: Mapping[Loss, Floats],
    losses: Sequence[Loss],
    start: Floats,
    trajectory: Trajectory,
    steps_per_epoch: int,
    tolerance: float,
) -> Outcome:
    """The metrics of trials whose losses are `losses` (L); `targets` holds each loss's w* (R, P).

    `scales` holds the residuals' scale (R,) for the losses that ask for it.
    """
    model = problem.model
    params = trajectory.params.to(torch.float64).numpy()
    final = params[-1:]
    w_star = np.stack([targets[loss] for loss in losses])  # (L, R, P)
    train, val = _measured_rows(model, data)
    error = _distance(params, w_star)
    val_loss = val.mean_loss(losses, params, scales)
    return Outcome(
        params=params,
        digests=_digests(trajectory.params),
        train_loss=train.mean_loss(losses, params, scales),
        val_loss=val_loss,
        param_error=error,
        diverged=~(error <= DIVERGED_FACTOR * np.maximum(1.0, _distance(start, w_star))),
        first_nonfinite_step=trajectory.first_nonfinite,
        steps_per_epoch=steps_per_epoch,
        excess_risk=_excess_risk(val, losses, final, val_loss[-1], targets),
        val_median_abs_residual=(
            problem.target_scale * np.median(np.abs(residuals(model, val.table, final[0])), axis=-1)
            if problem.ranking == "val_median_abs_residual"
            else None
        ),
        epochs_to_tolerance=_first_epoch(error <= tolerance),
    )


@dataclass(frozen=True)
class _Rows:
    """Rows that models are measured on, in float64, and the few with the same mean squared residual."""

    model: Model
    x: Floats  # (R, n, F)
    y: Floats  # (R, n)
    condensed: torch.Tensor  # (R, m, C)

    @cached_property
    def table(self) -> torch.Tensor:
        """The rows (R, n, C) as the model has them."""
        return self.model.table(self.x, self.y, torch.float64)

    def mean_loss(self, losses: Sequence[Loss], params: Floats, scales: Mapping[Loss, Floats]) -> Floats:
        """Mean rho (E, L, R) at parameters (E, L, R, P), loss i for lane i."""
        squared = [i for i, loss in enumerate(losses) if isinstance(loss, L2)]
        others = [i for i, loss in enumerate(losses) if not isinstance(loss, L2)]
        result = np.empty(params.shape[:3])
        if squared:
            chosen = [losses[i] for i in squared]
            result[:, squared] = mean_loss(self.model, self.condensed, chosen, params[:, squared])
        if others:
            chosen = [losses[i] for i in others]
            result[:, others] = mean_loss(self.model, self.table, chosen, params[:, others], scales)
        return result


def _measured_rows(model: Model, data: Data) -> tuple[_Rows, _Rows]:
    """Training and validation rows."""
    train, val = _condensed_rows(model, data)
    return _Rows(model, data.train_x, data.train_y, train), _Rows(model, data.val_x, data.val_y, val)


@kept_with_data
def _condensed_rows(model: Model, data: Data) -> tuple[torch.Tensor, torch.Tensor]:
    """Of training and validation rows those (R, m, C) with the same mean squared residual."""
    train = model.condensed(model.table(data.train_x, data.train_y, torch.float64))
    return train, model.condensed(model.table(data.val_x, data.val_y, torch.float64))


def nearest_ranks(values: Floats, *shares: float) -> tuple[Floats, ...]:
    """The q-quantile over the last axis for each share q: the smallest value that at least q do not exceed.

    Never interpolated, and nan counts as +inf: half the replicates diverged is not a finite median.
    """
    count = values.shape[-1]
    ranked = np.sort(np.where(np.isnan(values), np.inf, values), axis=-1)
    return tuple(np.asarray(ranked[..., max(ceil(q * count) - 1, 0)]) for q in shares)


def nearest_rank(values: Floats, q: float) -> Floats:
    """The q-quantile over the last axis, as `nearest_ranks` has it."""
    return nearest_ranks(values, q)[0]


def _excess_risk(
    val: _Rows, losses: Sequence[Loss], final: Floats, val_loss: Floats, targets: dict[Loss, Floats]
) -> Floats:
    """Mean u**2 / 2 (L, R) over validation rows at parameters `final` (1, L, R, P), minus that at w*."""
    squared: Loss = L2()
    risk = val_loss.copy()  # what squared loss has measured already
    others = [i for i, loss in enumerate(losses) if loss != squared]
    if others:
        risk[others] = val.mean_loss([squared] * len(others), final[:, others], {})[0]
    known = list(targets)
    least = val.mean_loss([squared] * len(known), np.stack([targets[k] for k in known])[None], {})[0]
    with np.errstate(invalid="ignore"):  # inf - inf of a lane that overflowed
        return np.asarray(risk - least[[known.index(loss) for loss in losses]])


def _distance(params: Floats, w_star: Floats) -> Floats:
    # Parameter by parameter: every sum in the same order, whatever the shape.
    with np.errstate(over="ignore", invalid="ignore"):
        squares = (params - w_star) ** 2
        total = squares[..., 0].copy()
        for p in range(1, squares.shape[-1]):
            total += squares[..., p]
        distance = np.sqrt(total)
    return np.where(np.isnan(distance), np.nan, distance)  # one bit pattern, as in `train`


def _first_epoch(reached: NDArray[np.bool_]) -> Floats:
    return np.where(reached.any(axis=0), reached.argmax(axis=0) + 1.0, np.inf)


def _digests(params: torch.Tensor) -> NDArray[np.str_]:
    """Sixteen hexadecimal digits (...) for the bits of each parameter vector (..., P).

    Words are mixed in one after another by the finaliser of SplitMix64 (Steele, Lea, Flood 2014).
    """
    values = params.contiguous().numpy()
    words = values.view(np.uint32 if values.itemsize == 4 else np.uint64).astype(np.uint64)
    digest = np.zeros(values.shape[:-1], np.uint64)
    for p in range(values.shape[-1]):
        digest = _mix((digest ^ words[..., p]) + np.uint64(0x9E3779B97F4A7C15))
    digits = digest.astype(">u8").tobytes().hex()
    # Hexadecimal all at once: one by one takes longer than the digests.
    return np.frombuffer(digits.encode(), "S16").astype(str).reshape(digest.shape)


def _mix(z: NDArray[np.uint64]) -> NDArray[np.uint64]:
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
