"""Trains many models at once: every lane of a stream in one matrix product.

Lanes ride in tiles of exactly 16, a short one filled with idle lanes. A matrix product of one fixed
width gives each of its columns the same bits wherever it stands and whatever stands beside it,
products of varying width do not, and an intra-op thread pool may split one: hence the fixed width,
and one thread. Parallelism goes across calls of `train`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

import numpy as np
import torch
from numpy.typing import NDArray

from regress.fleet.descent import Descent
from regress.fleet.rearrange import LastEpoch, Rearrangement, Standing
from regress.fleet.schedule import Schedule
from regress.fleet.tiles import WIDTH, Tiles, blocks
from regress.losses import Loss, scaled_psi
from regress.problems.model import Model, Psi
from regress.threads import one_thread

Floats = NDArray[np.float64]
Permutations = NDArray[np.intp]


@dataclass(frozen=True)
class Lane:
    """What a model trains with, beside the rows that it shares with its stream."""

    loss: Loss
    lr: float


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
    orders: Permutations,
    start: Floats,
    lanes: Sequence[Lane],
    schedule: Schedule,
    rearrangement: Rearrangement | None = None,
    scales: Mapping[Loss, Floats] = MappingProxyType({}),
) -> Trajectory:
    """Minibatch SGD, w -= lr * reduce_b grad_b, of L lanes on R streams.

    `rows` (R, n, C) as the model's `table` gives them, its dtype being the one trained in; `orders`
    (R, E, n) the row indices of each epoch; `start` (L, R, P) the initial parameters. With a
    `rearrangement` each lane orders its epochs itself and rides alone in its tile, at sixteen times
    the cost. `scales` holds the residuals' scale on each stream (R,) for the losses that ask for it.
    """
    one_thread()
    replicates, epochs, _ = orders.shape
    shape = (len(lanes), replicates, model.parameters)
    if start.shape != shape:
        raise ValueError(f"start has shape {start.shape}, expected {shape}: lanes, streams, parameters")
    params = torch.empty(epochs, *shape, dtype=rows.dtype)
    first_nonfinite = np.zeros(shape[:2], np.int64)
    crew = WIDTH if rearrangement is None else 1
    for tiles in blocks([lane.loss for lane in lanes], replicates, crew):
        taken = ~tiles.are_empty
        lane, replicate = tiles.lanes[taken], np.repeat(tiles.replicates, taken.sum(axis=1))
        seats = torch.from_numpy(taken)
        descent = _descent(model, rows, start, lanes, schedule, tiles, scales)
        for epoch, _ in enumerate(_walk(descent, rows, orders, tiles.replicates, rearrangement)):
            params[epoch, lane, replicate] = descent.w.transpose(1, 2)[seats]
        steps = descent.finite_steps.squeeze(1)[seats].numpy()
        first_nonfinite[lane, replicate] = np.where(steps < epochs * len(descent.steps), steps + 1, 0)
    return Trajectory(params, first_nonfinite)


def _descent(
    model: Model,
    rows: torch.Tensor,
    start: Floats,
    lanes: Sequence[Lane],
    schedule: Schedule,
    tiles: Tiles,
    scales: Mapping[Loss, Floats],
) -> Descent:
    """The lanes of `tiles` at their start; an empty seat holds zeros, and never moves."""
    seated = np.where(tiles.are_empty[..., None], 0.0, start[tiles.lanes, tiles.replicates[:, None]])
    lr = np.where(tiles.are_empty, 0.0, np.array([lane.lr for lane in lanes])[tiles.lanes])[:, None]
    cuts = schedule.steps(rows.shape[1])
    rates = {divisor: torch.from_numpy(lr / divisor).to(rows.dtype) for _, divisor in cuts}
    return Descent(
        model,
        torch.from_numpy(seated).transpose(1, 2).to(rows.dtype),
        [(_psi(loss, scales, tiles.replicates[run], rows.dtype), run) for loss, run in tiles.losses],
        [(cut, rates[divisor]) for cut, divisor in cuts],
    )


def _psi(
    loss: Loss, scales: Mapping[Loss, Floats], replicates: NDArray[np.intp], dtype: torch.dtype
) -> Psi:
    """psi of `loss` on tiles of the streams `replicates`, on whose scales its constant may depend."""
    if not loss.is_scaled:
        return loss.psi
    return partial(scaled_psi, loss, s=torch.from_numpy(scales[loss][replicates]).to(dtype).view(-1, 1, 1))


def _walk(
    descent: Descent,
    rows: torch.Tensor,
    orders: Permutations,
    replicates: NDArray[np.intp],
    rearrangement: Rearrangement | None,
) -> Iterator[None]:
    """Moves the lanes of G tiles, on the streams `replicates` (G,), by an epoch at a time."""
    drawn = (orders[replicates, epoch] for epoch in range(orders.shape[1]))
    if rearrangement is not None:
        yield from _own_walk(descent, rows[replicates], drawn, rearrangement)
        return
    for order in drawn:
        descent.epoch(_visit(rows, replicates, order))
        yield


def _own_walk(
    descent: Descent, rows: torch.Tensor, drawn: Iterator[Permutations], rearrangement: Rearrangement
) -> Iterator[None]:
    """The same for lanes, one to a tile with its own rows (G, n, C), that order their epochs themselves."""
    last = None
    every = np.arange(len(rows))
    for stream in drawn:
        if rearrangement.by == "residuals":
            order = rearrangement.order(Standing(stream, descent.residual(rows), None))
            descent.epoch(_visit(rows, every, order))
        else:
            order = rearrangement.order(Standing(stream, None, last))
            gradients = rows.new_zeros(*order.shape, descent.model.parameters)
            descent.watched_epoch(_visit(rows, every, order), gradients)
            before = torch.zeros_like(gradients[:, 0]) if last is None else last.gradients.mean(dim=1)
            last = LastEpoch(order, gradients, before)
        yield


def _visit(rows: torch.Tensor, replicates: NDArray[np.intp], order: Permutations) -> torch.Tensor:
    """Each tile's rows (G, n, C) of rows (R, n, C) in the order (G, n) of an epoch."""
    flat = torch.from_numpy(replicates[:, None] * rows.shape[1] + order).flatten()
    return rows.flatten(0, 1).index_select(0, flat).view(*order.shape, rows.shape[2])
