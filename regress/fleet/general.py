"""Trains and measures any model by torch: what no compiled kernel knows, and the tests' reference.

The lanes of a stream lie side by side in one tensor. Every operation rounds an element as if it were
alone, and sums over rows add halves to each other, so that a lane's bits do not depend on its neighbours.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from regress.fleet.lane import Training
from regress.fleet.rearrange import LastEpoch, Rearrangement, Standing
from regress.fleet.schedule import Schedule
from regress.losses import Loss, scaled_psi, scaled_rho
from regress.problems.model import Model, Psi, sum_rows

Floats = NDArray[np.float64]
Permutations = NDArray[np.intp]
Step = tuple[slice, torch.Tensor]  # which rows, and lr / divisor of each lane (1, 1, T)

_RESIDUALS = 1 << 19  # of a step, computed at once: 2 MiB in float32
_MEASURED = 1 << 15  # the same for metrics: 256 KiB in float64


def train_general(
    model: Model, loss: Loss, training: Training, rearrangement: Rearrangement | None
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Paths (E, L, R, P) and first non-finite steps (L, R)."""
    count, streams, size = training.start.shape
    rows, schedule = torch.from_numpy(training.rows), training.schedule
    epochs = training.orders.shape[1]
    params = torch.empty(epochs, count, streams, size, dtype=rows.dtype)
    first_nonfinite = np.zeros((count, streams), np.int64)
    # A lane that orders its epochs itself shares its rows with no other.
    width = count if rearrangement is None else 1
    most = max(1, _RESIDUALS // (schedule.batch_size * width))
    for first_lane in range(0, count, width):
        lanes = slice(first_lane, first_lane + width)
        for first in range(0, streams, most):
            part = slice(first, first + most)
            descent = _Descent(
                model,
                _psi(loss, None if training.scale is None else training.scale[part], rows.dtype),
                torch.from_numpy(training.start[lanes, part]).permute(1, 2, 0).to(rows.dtype),
                _steps(schedule, rows, training.lrs[lanes]),
            )
            walk = _walk(descent, rows[part], training.orders[part], rearrangement)
            for epoch, _ in enumerate(walk):
                params[epoch, lanes, part] = descent.w.permute(2, 0, 1)
            steps = descent.finite_steps[:, 0].T.numpy()
            first_nonfinite[lanes, part] = np.where(steps < epochs * len(descent.steps), steps + 1, 0)
    return params.numpy(), first_nonfinite


def mean_loss_general(
    model: Model, loss: Loss, rows: torch.Tensor, params: Floats, scale: Floats | None
) -> Floats:
    """Mean rho (K, R) over rows (R, n, C) at parameters (K, R, P)."""
    result = np.empty(params.shape[:2])
    for r in range(len(rows)):
        for lanes, residual in _residuals(model, rows[r : r + 1], params[:, r]):
            rho = (
                loss.rho(residual) if scale is None else scaled_rho(loss, residual, torch.tensor(scale[r]))
            )
            result[lanes, r] = (sum_rows(rho)[0, 0] / rows.shape[1]).numpy()
    return result


def residuals_general(model: Model, rows: torch.Tensor, params: Floats) -> Floats:
    """Prediction minus target (K, R, n) of rows (R, n, C) at parameters (K, R, P)."""
    result = np.empty((*params.shape[:2], rows.shape[1]))
    for r in range(len(rows)):
        for lanes, residual in _residuals(model, rows[r : r + 1], params[:, r]):
            result[lanes, r] = residual[0].T.numpy()
    return result


def _residuals(model: Model, rows: torch.Tensor, params: Floats) -> Iterator[tuple[slice, torch.Tensor]]:
    """Residuals (1, n, T) of rows (1, n, C) at parameters (K, P), T of the K at a time."""
    width = max(1, _MEASURED // rows.shape[1])
    for first in range(0, len(params), width):
        lanes = slice(first, first + width)
        yield lanes, model.residual(rows, model.state(torch.from_numpy(params[lanes].T[None])))


def _steps(schedule: Schedule, rows: torch.Tensor, lrs: Floats) -> list[Step]:
    cuts = schedule.steps(rows.shape[1])
    rates = {divisor: torch.from_numpy(lrs / divisor) for _, divisor in cuts}
    return [(cut, rates[divisor].to(rows.dtype).view(1, 1, -1)) for cut, divisor in cuts]


def _psi(loss: Loss, scale: Floats | None, dtype: torch.dtype) -> Psi:
    if scale is None:
        return loss.psi
    return partial(scaled_psi, loss, s=torch.from_numpy(scale).to(dtype).view(-1, 1, 1))


class _Descent:
    """SGD of T lanes, P parameters each, on G streams; a lane stops where it becomes non-finite.

    `w` (G, P, T) is where they stand, `finite` (G, 1, T) whether that is a number, and `finite_steps`
    (G, 1, T) after how many steps it still was one.
    """

    def __init__(self, model: Model, psi: Psi, start: torch.Tensor, steps: Sequence[Step]) -> None:
        self.model, self.psi, self.steps = model, psi, steps
        self.state = model.state(start)
        self.w = self.state[:, : model.parameters]  # a view: writing to it moves the state
        self.finite = torch.ones_like(start[:, :1], dtype=torch.bool)
        self.finite_steps = torch.zeros_like(start[:, :1], dtype=torch.int64)

    def epoch(self, rows: torch.Tensor) -> None:
        """One pass over rows (G, n, C).

        Watching every lane at every step costs a quarter of the time. A parameter that is not finite stays
        so, whatever is added to it: so the epoch is run unwatched, and once more, watched, where a lane
        turns out to have become non-finite in it.
        """
        before = self.w.clone()
        for cut, rate in self.steps:
            self.w -= self._gradient(rows[:, cut]) * rate
        if (self.finite & ~_is_finite(self.w)).any():
            self.w.copy_(before)
            self.watched_epoch(rows)
        else:
            torch.where(self.finite, self.w, before, out=self.w)
            self.finite_steps += len(self.steps) * self.finite

    def watched_epoch(self, rows: torch.Tensor, gradients: torch.Tensor | None = None) -> None:
        """One pass over rows (G, n, C); `gradients` (G, n, P) receives those of the first lanes.

        Each is of its row's own loss, at where the lane stood when it visited the row.
        """
        for cut, rate in self.steps:
            batch = rows[:, cut]
            if gradients is not None:
                gradients[:, cut] = self._row_gradients(batch)
            moved = self.w - self._gradient(batch) * rate
            torch.where(self.finite, moved, self.w, out=self.w)
            self.finite = _is_finite(self.w)
            self.finite_steps += self.finite

    def residual(self, rows: torch.Tensor) -> torch.Tensor:
        """Prediction minus target (G, n) of rows (G, n, C) for the first lanes."""
        return self.model.residual(rows, self.state)[..., 0]

    def _gradient(self, batch: torch.Tensor) -> torch.Tensor:
        return self.model.gradient(batch, self.state, self.psi)

    def _row_gradients(self, batch: torch.Tensor) -> torch.Tensor:
        """Gradients (G, b, P) of each row's loss for the first lanes: every row a stream of its own."""
        streams, size, _ = batch.shape
        psi = self.psi(self.model.residual(batch, self.state))[..., :1]
        state = self.state[:, None, :, :1].expand(-1, size, -1, -1)
        gradients = self.model.pullback(
            batch.flatten(0, 1)[:, None], state.flatten(0, 1), psi.flatten(0, 1)[:, None]
        )
        return gradients.view(streams, size, -1)


def _walk(
    descent: _Descent, rows: torch.Tensor, orders: Permutations, rearrangement: Rearrangement | None
) -> Iterator[None]:
    """Moves the lanes of G streams by an epoch of `orders` (G, E, n) at a time."""
    last = None
    for drawn in orders.swapaxes(0, 1):
        if rearrangement is None:
            descent.epoch(_visit(rows, drawn))
        elif rearrangement.by == "residuals":
            residual = descent.residual(rows).numpy()
            descent.epoch(_visit(rows, rearrangement.order(Standing(drawn, residual, None))))
        else:
            order = rearrangement.order(Standing(drawn, None, last))
            gradients = rows.new_zeros(*order.shape, descent.model.parameters)
            descent.watched_epoch(_visit(rows, order), gradients)
            seen = gradients.permute(1, 2, 0).contiguous().numpy()
            last = LastEpoch(order, seen, np.zeros_like(seen[0]) if last is None else last.mean)
        yield


def _visit(rows: torch.Tensor, order: Permutations) -> torch.Tensor:
    """Rows (G, n, C) in the order (G, n) of an epoch."""
    index = torch.from_numpy(np.ascontiguousarray(order))[..., None]
    return rows.gather(1, index.expand(-1, -1, rows.shape[2]))


def _is_finite(w: torch.Tensor) -> torch.Tensor:
    # 0 * inf and 0 * nan are nan: one product and a sum find a lane that is not finite.
    return (w * 0).sum(dim=1, keepdim=True) == 0
