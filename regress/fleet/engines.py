"""Trains many models at once, each with the bits that it has alone.

A linear model with a loss in scalar form is trained by the compiled engine, any other by torch. Which
engine trains a lane follows from the lane's own model, loss and dtype, never from its neighbours.
"""

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

import numpy as np
import torch
from numpy.typing import NDArray

from regress.fleet.compiled import (
    Engine,
    compiled_engine,
    mean_loss_compiled,
    residuals_compiled,
    train_compiled,
)
from regress.fleet.general import mean_loss_general, residuals_general, train_general
from regress.fleet.lane import Lane, Training, Trajectory
from regress.fleet.rearrange import Rearrangement
from regress.fleet.schedule import Schedule
from regress.kernels.compiler import load
from regress.losses import Loss
from regress.problems.model import Model

Floats = NDArray[np.float64]
Permutations = NDArray[np.intp]
Scales = Mapping[Loss, Floats]

_NO_SCALES: Scales = MappingProxyType({})


def train(
    model: Model,
    rows: torch.Tensor,
    orders: Permutations,
    start: Floats,
    lanes: Sequence[Lane],
    schedule: Schedule,
    rearrangement: Rearrangement | None = None,
    scales: Scales = _NO_SCALES,
) -> Trajectory:
    """Minibatch SGD, w -= lr * reduce_b grad_b, of L lanes on R streams.

    `rows` (R, n, C) as the model's `table` gives them, its dtype being the one trained in; `orders`
    (R, E, n) the row indices of each epoch; `start` (L, R, P) the initial parameters. With a
    `rearrangement` each lane orders its epochs itself. `scales` holds the residuals' scale on each stream
    (R,) for the losses that ask for it. Raises ValueError where `start` has another shape
    or `orders` name rows that there are not.

    Every nan in the result has the same bits: the sign of a computed one depends on the processor.
    """
    replicates, epochs, _ = orders.shape
    shape = (len(lanes), replicates, model.parameters)
    if start.shape != shape:
        raise ValueError(f"start has shape {start.shape}, expected {shape}: lanes, streams, parameters")
    if orders.size and not 0 <= orders.min() <= orders.max() < rows.shape[1]:
        raise ValueError(f"orders hold indices outside the {rows.shape[1]} rows")
    numbers = rows.contiguous().numpy()
    params = np.empty((epochs, *shape), numbers.dtype)
    first_nonfinite = np.zeros(shape[:2], np.int64)
    lrs = np.array([lane.lr for lane in lanes])
    for loss, indices in lanes_by_loss([lane.loss for lane in lanes]):
        training = Training(numbers, orders, start[indices], lrs[indices], schedule, scales.get(loss))
        engine = compiled_engine(model, loss, numbers.dtype, "psi")
        params[:, indices], first_nonfinite[indices] = (
            train_compiled(engine, training, rearrangement)
            if engine
            else train_general(model, loss, training, rearrangement)
        )
    params[np.isnan(params)] = np.nan
    return Trajectory(torch.from_numpy(params), first_nonfinite)


def mean_loss(
    model: Model, rows: torch.Tensor, losses: Sequence[Loss], params: Floats, scales: Scales = _NO_SCALES
) -> Floats:
    """Mean rho (E, L, R) over rows (R, n, C) at parameters (E, L, R, P), loss i for lane i, in float64."""
    epochs, _, replicates, size = params.shape
    result = np.empty(params.shape[:3])
    for loss, indices in lanes_by_loss(losses):
        columns, scale = params[:, indices].reshape(-1, replicates, size), scales.get(loss)
        engine: Engine | None = compiled_engine(model, loss, params.dtype, "rho")
        means = (
            mean_loss_compiled(engine, rows.contiguous().numpy(), columns, scale)
            if engine
            else mean_loss_general(model, loss, rows, columns, scale)
        )
        result[:, indices] = means.reshape(epochs, len(indices), replicates)
    result[np.isnan(result)] = np.nan  # one bit pattern, as in `train`
    return result


def residuals(model: Model, rows: torch.Tensor, params: Floats) -> Floats:
    """Prediction minus target (L, R, n) of rows (R, n, C) at parameters (L, R, P), in float64."""
    kernels = load("float64") if model.is_linear else None
    if kernels is None:
        return residuals_general(model, rows, params)
    return residuals_compiled(kernels, rows.contiguous().numpy(), params)


def lanes_by_loss(losses: Sequence[Loss]) -> Iterator[tuple[Loss, list[int]]]:
    """Each loss once, and the lanes that train by it."""
    groups: dict[Loss, list[int]] = {}
    known: dict[
        int, list[int]
    ] = {}  # by identity: the lanes of a study share few objects, and hashing is slow
    for i, loss in enumerate(losses):
        if (indices := known.get(id(loss))) is None:
            indices = known[id(loss)] = groups.setdefault(loss, [])
        indices.append(i)
    yield from groups.items()
