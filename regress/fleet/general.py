"""Training and metrics of any model by torch, for what the compiled kernels cannot compute.

The lanes of a stream are the last axis of one tensor. Every operation rounds each element independently,
and sums over rows are pairwise, so that a lane's bits do not depend on the other lanes.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from regress.fleet.lane import Training
from regress.fleet.rearrange import EpochInputs, PreviousEpoch, Rearrangement
from regress.fleet.schedule import Schedule
from regress.losses import Loss, scaled_psi, scaled_rho
from regress.problems.model import Model, Psi, sum_rows

Floats = NDArray[np.float64]
Permutations = NDArray[np.intp]
Step = tuple[slice, torch.Tensor]  # positions of a batch's rows, and lr / divisor (1, 1, T) of each lane

_RESIDUALS = 1 << 19  # residuals of a step computed at once, 2 MiB in float32
_MEASURED = 1 << 15  # residuals computed at once for metrics, 256 KiB in float64


def train_general(
    model: Model, loss: Loss, training: Training, rearrangement: Rearrangement | None
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Return the parameters at epoch ends (E, L, R, P) and the first non-finite steps (L, R)."""
    count, streams, size = training.start.shape
    rows, schedule = torch.from_numpy(training.rows), training.schedule
    epochs = training.orders.shape[1]
    params = torch.empty(epochs, count, streams, size, dtype=rows.dtype)
    first_nonfinite = np.zeros((count, streams), np.int64)
    # Lanes with a rearrangement visit the rows in different orders and cannot share a batch.
    width = count if rearrangement is None else 1
    streams_at_once = max(1, _RESIDUALS // (schedule.batch_size * width))
    for first_lane in range(0, count, width):
        lanes = slice(first_lane, first_lane + width)
        for first in range(0, streams, streams_at_once):
            chunk = slice(first, first + streams_at_once)
            descent = _Descent(
                model,
                _psi(loss, None if training.scale is None else training.scale[chunk], rows.dtype),
                torch.from_numpy(training.start[lanes, chunk]).permute(1, 2, 0).to(rows.dtype),
                _steps(schedule, rows, training.lrs[lanes]),
            )
            finished = _run_epochs(descent, rows[chunk], training.orders[chunk], rearrangement)
            for epoch in finished:
                params[epoch, lanes, chunk] = descent.w.permute(2, 0, 1)
            steps = descent.finite_steps[:, 0].T.numpy()
            first_nonfinite[lanes, chunk] = np.where(steps < epochs * len(descent.steps), steps + 1, 0)
    return params.numpy(), first_nonfinite


def mean_loss_general(
    model: Model, loss: Loss, rows: torch.Tensor, params: Floats, scale: Floats | None
) -> Floats:
    """Return the mean rho (K, R) over rows (R, n, C) at parameters (K, R, P).

    `scale` (R,) is that of the residuals on each stream, for a loss that uses it.
    """
    result = np.empty(params.shape[:2])
    for r in range(len(rows)):
        for lanes, residual in _residuals(model, rows[r : r + 1], params[:, r]):
            rho = (
                loss.rho(residual) if scale is None else scaled_rho(loss, residual, torch.tensor(scale[r]))
            )
            result[lanes, r] = (sum_rows(rho)[0, 0] / rows.shape[1]).numpy()
    return result


def residuals_general(model: Model, rows: torch.Tensor, params: Floats) -> Floats:
    """Return prediction minus target (K, R, n) of rows (R, n, C) at parameters (K, R, P)."""
    result = np.empty((*params.shape[:2], rows.shape[1]))
    for r in range(len(rows)):
        for lanes, residual in _residuals(model, rows[r : r + 1], params[:, r]):
            result[lanes, r] = residual[0].T.numpy()
    return result


def _residuals(model: Model, rows: torch.Tensor, params: Floats) -> Iterator[tuple[slice, torch.Tensor]]:
    """Yield slices of T of the K parameters (K, P), and the residuals (1, n, T) of rows (1, n, C) there."""
    width = max(1, _MEASURED // rows.shape[1])
    for first in range(0, len(params), width):
        lanes = slice(first, first + width)
        yield lanes, model.residual(rows, model.state(torch.from_numpy(params[lanes].T[None])))


def _steps(schedule: Schedule, rows: torch.Tensor, lrs: Floats) -> list[Step]:
    """Return the steps of an epoch over rows (R, n, C) for lanes with learning rates lrs (T,)."""
    steps = schedule.steps(rows.shape[1])
    rates = {divisor: torch.from_numpy(lrs / divisor) for _, divisor in steps}
    return [(batch, rates[divisor].to(rows.dtype).view(1, 1, -1)) for batch, divisor in steps]


def _psi(loss: Loss, scale: Floats | None, dtype: torch.dtype) -> Psi:
    """Return psi(u) of the loss, or s psi(u / s) with the scales s (G,) of the residuals on each stream."""
    if scale is None:
        return loss.psi
    return partial(scaled_psi, loss, s=torch.from_numpy(scale).to(dtype).view(-1, 1, 1))


class _Descent:
    """SGD of T lanes with P parameters on each of G streams; a lane stops where it becomes non-finite.

    `w` (G, P, T) are the current parameters, `finite` (G, 1, T) tells whether they are all finite, and
    `finite_steps` (G, 1, T) counts the steps after which they were.
    """

    def __init__(self, model: Model, psi: Psi, start: torch.Tensor, steps: Sequence[Step]) -> None:
        self.model, self.psi, self.steps = model, psi, steps
        self.state = model.state(start)
        self.w = self.state[:, : model.parameters]  # a view: writing to it updates the state
        self.finite = torch.ones_like(start[:, :1], dtype=torch.bool)
        self.finite_steps = torch.zeros_like(start[:, :1], dtype=torch.int64)

    def run_epoch(self, rows: torch.Tensor) -> None:
        """Make one pass over rows (G, n, C), in their order.

        Checking every lane at every step costs a quarter of the time. A parameter that is not finite stays
        so, whatever is added to it: the epoch is therefore run without checks, and repeated with checks
        only if a lane has become non-finite during it.
        """
        before = self.w.clone()
        for batch, rate in self.steps:
            self.w -= self._gradient(rows[:, batch]) * rate
        if (self.finite & ~_is_finite(self.w)).any():
            self.w.copy_(before)
            self.run_checked_epoch(rows)
        else:
            torch.where(self.finite, self.w, before, out=self.w)
            self.finite_steps += len(self.steps) * self.finite

    def run_checked_epoch(self, rows: torch.Tensor, gradients: torch.Tensor | None = None) -> None:
        """Make one pass over rows (G, n, C), and check after every step whether lanes are finite.

        `gradients` (G, n, P) receives, for the first lane of each stream, the gradient of each row's loss
        at the parameters before the row's step.
        """
        for batch, rate in self.steps:
            batch_rows = rows[:, batch]
            if gradients is not None:
                gradients[:, batch] = self._row_gradients(batch_rows)
            updated = self.w - self._gradient(batch_rows) * rate
            torch.where(self.finite, updated, self.w, out=self.w)
            self.finite = _is_finite(self.w)
            self.finite_steps += self.finite

    def residual(self, rows: torch.Tensor) -> torch.Tensor:
        """Return prediction minus target (G, n) of rows (G, n, C) for the first lane of each stream."""
        return self.model.residual(rows, self.state)[..., 0]

    def _gradient(self, batch: torch.Tensor) -> torch.Tensor:
        return self.model.gradient(batch, self.state, self.psi)

    def _row_gradients(self, batch: torch.Tensor) -> torch.Tensor:
        """Return the gradient (G, b, P) of each row's loss for the first lane of each stream.

        Each row is passed to the model as a stream of its own, so that rows are not summed.
        """
        streams, size, _ = batch.shape
        psi = self.psi(self.model.residual(batch, self.state))[..., :1]
        state = self.state[:, None, :, :1].expand(-1, size, -1, -1)
        gradients = self.model.pullback(
            batch.flatten(0, 1)[:, None], state.flatten(0, 1), psi.flatten(0, 1)[:, None]
        )
        return gradients.view(streams, size, -1)


def _run_epochs(
    descent: _Descent, rows: torch.Tensor, orders: Permutations, rearrangement: Rearrangement | None
) -> Iterator[int]:
    """Run the epochs of `orders` (G, E, n) on rows (G, n, C); yield the index of each after it."""
    previous = None
    for epoch, drawn in enumerate(orders.swapaxes(0, 1)):
        if rearrangement is None:
            descent.run_epoch(_sort_rows(rows, drawn))
        elif rearrangement.by == "residuals":
            residual = descent.residual(rows).numpy()
            descent.run_epoch(_sort_rows(rows, rearrangement.order(EpochInputs(drawn, residual, None))))
        else:
            order = rearrangement.order(EpochInputs(drawn, None, previous))
            row_gradients = rows.new_zeros(*order.shape, descent.model.parameters)
            descent.run_checked_epoch(_sort_rows(rows, order), row_gradients)
            gradients = row_gradients.permute(1, 2, 0).contiguous().numpy()
            mean_before = np.zeros_like(gradients[0]) if previous is None else previous.mean
            previous = PreviousEpoch(order, gradients, mean_before)
        yield epoch


def _sort_rows(rows: torch.Tensor, order: Permutations) -> torch.Tensor:
    """Return rows (G, n, C) in the order (G, n) in which an epoch visits them."""
    index = torch.from_numpy(np.ascontiguousarray(order))[..., None]
    return rows.gather(1, index.expand(-1, -1, rows.shape[2]))


def _is_finite(w: torch.Tensor) -> torch.Tensor:
    """Return whether all parameters w (G, P, T) of a lane are finite (G, 1, T)."""
    # 0 * inf and 0 * nan are nan, so that the sum is nan unless all parameters are finite.
    return (w * 0).sum(dim=1, keepdim=True) == 0
