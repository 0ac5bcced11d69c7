"""Trains many models at once: every lane of a stream in one matrix product.

Lanes ride in tiles of exactly 16 beside others of the same stream and loss; a short tile is filled
with idle lanes. A matrix product of one fixed width gives each of its columns the same bits wherever
it stands and whatever stands beside it, products of varying width do not, and an intra-op thread
pool may split one: hence the fixed width, and one thread. Parallelism goes across calls of `train`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby

import numpy as np
import torch
from numpy.typing import NDArray

from regress.losses import Loss
from regress.problems.model import Model
from regress.study import Reduction, Tail
from regress.threads import one_thread

Floats = NDArray[np.float64]

WIDTH = 16  # lanes in a tile
TILES = 1024  # tiles trained in one go: at 32 rows a step, 2 MiB of float32 residuals


@dataclass(frozen=True)
class Lane:
    """What a model trains with, beside the rows that it shares with its stream."""

    loss: Loss
    lr: float


@dataclass(frozen=True)
class Schedule:
    """How the rows of an epoch are cut into steps."""

    batch_size: int
    reduction: Reduction
    tail: Tail

    def steps(self, rows: int) -> list[tuple[slice, float]]:
        """The rows of each step, and what the summed gradient is divided by.

        Under `mean` a last batch of b < B rows is divided by b (tail=keep), which lets each of its
        rows weigh B / b times as much, or by B (tail=weight), which scales the step by b / B.
        """
        size = self.batch_size
        starts = range(0, rows - rows % size if self.tail == "drop" else rows, size)
        cuts = [slice(start, min(start + size, rows)) for start in starts]
        return [(cut, self._divisor(cut.stop - cut.start)) for cut in cuts]

    def _divisor(self, rows: int) -> float:
        if self.reduction == "sum":
            return 1.0
        return float(rows if self.tail == "keep" else self.batch_size)


@dataclass(frozen=True)
class Trajectory:
    """Where each lane stood at each epoch's end.

    `params` (E, L, R, P) in the training dtype; `first_nonfinite` (L, R) the step, counted from 1, at
    which a lane's parameters first were not finite, 0 where they always were. Such a lane stays as it
    was at that step.
    """

    params: torch.Tensor
    first_nonfinite: NDArray[np.int64]


def train(
    model: Model,
    rows: torch.Tensor,
    orders: NDArray[np.intp],
    start: Floats,
    lanes: Sequence[Lane],
    schedule: Schedule,
) -> Trajectory:
    """Minibatch SGD, w -= lr * reduce_b grad_b, of L lanes on R streams.

    `rows` (R, n, C) as the model's `table` gives them, its dtype being the one trained in; `orders`
    (R, E, n) the row indices of each epoch; `start` (L, R, P) the initial parameters.
    """
    one_thread()
    replicates, epochs, _ = orders.shape
    shape = (len(lanes), replicates, model.parameters)
    if start.shape != shape:
        raise ValueError(f"start has shape {start.shape}, expected {shape}: lanes, streams, parameters")
    params = torch.empty(epochs, *shape, dtype=rows.dtype)
    first_nonfinite = np.zeros(shape[:2], np.int64)
    for tiles in _blocks(lanes, replicates):
        trained, finite_steps, steps = _train(model, rows, orders, start, lanes, schedule, tiles)
        seats = tiles.lanes >= 0
        lane, replicate = tiles.lanes[seats], np.repeat(tiles.replicates, seats.sum(axis=1))
        params[:, lane, replicate] = trained.transpose(2, 3)[:, torch.from_numpy(seats)]
        survived = finite_steps[seats]
        first_nonfinite[lane, replicate] = np.where(survived < steps, survived + 1, 0)
    return Trajectory(params, first_nonfinite)


@dataclass(frozen=True)
class _Tiles:
    """G tiles of WIDTH seats: who sits where, sorted by loss."""

    lanes: NDArray[np.intp]  # (G, WIDTH) lane indices, -1 an empty seat
    replicates: NDArray[np.intp]  # (G,)
    losses: tuple[tuple[Loss, slice], ...]  # which tiles train with which loss


def _blocks(lanes: Sequence[Lane], replicates: int) -> Iterator[_Tiles]:
    """All seats, TILES tiles at a time."""
    seats, losses = [], []
    for loss in dict.fromkeys(lane.loss for lane in lanes):
        own = [i for i, lane in enumerate(lanes) if lane.loss == loss]
        for start in range(0, len(own), WIDTH):
            tile = own[start : start + WIDTH]
            seats.append(tile + [-1] * (WIDTH - len(tile)))
            losses.append(loss)
    # Tiles in the order (loss, lanes, replicate).
    every = [(row, loss, r) for row, loss in zip(seats, losses, strict=True) for r in range(replicates)]
    for start in range(0, len(every), TILES):
        block = every[start : start + TILES]
        runs, first = [], 0
        for loss, run in groupby(block, key=lambda tile: tile[1]):
            length = len(list(run))
            runs.append((loss, slice(first, first + length)))
            first += length
        yield _Tiles(
            np.array([row for row, _, _ in block]), np.array([r for _, _, r in block]), tuple(runs)
        )


def _train(
    model: Model,
    rows: torch.Tensor,
    orders: NDArray[np.intp],
    start: Floats,
    lanes: Sequence[Lane],
    schedule: Schedule,
    tiles: _Tiles,
) -> tuple[torch.Tensor, NDArray[np.int64], int]:
    """Parameters (E, G, P, WIDTH), finite steps of each seat (G, WIDTH), and steps in all."""
    replicate = tiles.replicates[:, None]
    idle = tiles.lanes < 0
    seated = np.where(idle[..., None], 0.0, start[tiles.lanes, replicate])
    state = model.state(torch.from_numpy(seated).transpose(1, 2).to(rows.dtype))
    w = state[:, : model.parameters]  # a view: writing to it moves the state
    lr = np.where(idle, 0.0, np.array([lane.lr for lane in lanes])[tiles.lanes])[:, None]
    steps = [
        (cut, torch.from_numpy(lr / divisor).to(rows.dtype))
        for cut, divisor in schedule.steps(rows.shape[1])
    ]
    psi = partial(_psi, tiles.losses)
    epochs = orders.shape[1]
    trained = torch.empty(epochs, *w.shape, dtype=w.dtype)
    finite = torch.ones(len(w), 1, WIDTH, dtype=torch.bool)
    finite_steps = torch.zeros(len(w), 1, WIDTH, dtype=torch.int64)
    for epoch in range(epochs):
        visited = _visit(rows, tiles.replicates, orders[tiles.replicates, epoch])
        for cut, rate in steps:
            batch = visited[:, cut]
            moved = torch.addcmul(w, model.gradient(batch, state, psi), rate, value=-1)
            torch.where(finite, moved, w, out=w)
            # 0 * inf and 0 * nan are nan: one product and a sum find a lane that left the numbers.
            finite = (w * 0).sum(dim=1, keepdim=True) == 0
            finite_steps += finite
        trained[epoch] = w
    return trained, finite_steps[:, 0].numpy(), epochs * len(steps)


def _visit(rows: torch.Tensor, replicates: NDArray[np.intp], order: NDArray[np.intp]) -> torch.Tensor:
    """Each tile's rows (G, n, C) of rows (R, n, C) in the order (G, n) of an epoch."""
    flat = torch.from_numpy(replicates[:, None] * rows.shape[1] + order).flatten()
    return rows.flatten(0, 1).index_select(0, flat).view(*order.shape, rows.shape[2])


def _psi(losses: tuple[tuple[Loss, slice], ...], residual: torch.Tensor) -> torch.Tensor:
    if len(losses) == 1:
        return losses[0][0].psi(residual)
    return torch.cat([loss.psi(residual[tiles]) for loss, tiles in losses])
