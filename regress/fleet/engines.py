"""Training and metrics of many models at once, each with the same bits as alone.

Linear models with a loss that has a scalar form are computed by the compiled kernels, all others by torch.
The choice depends on a lane's own model, loss and dtype, never on the lanes trained with it.
"""

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

import numpy as np
import torch
from numpy.typing import NDArray

from regress.fleet.compiled import (
    Engine,
    load_engine,
    mean_loss_compiled,
    residuals_compiled,
    train_compiled,
)
from regress.fleet.general import mean_loss_general, residuals_general, train_general
from regress.fleet.lane import Lane, Training, Trajectory
from regress.fleet.rearrange import Rearrangement
from regress.fleet.schedule import Schedule
from regress.kernels.compiler import load_kernels
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
    """Train L lanes on each of R streams by minibatch SGD.

    A step is w -= lr / divisor * (sum of the gradients over a batch), the divisor as in `Schedule.steps`.

    Parameters
    ----------
    model
        The model of all lanes, with P parameters.
    rows
        The training rows (R, n, C) as returned by `model.table`; their dtype is the training dtype.
    orders
        The row indices (R, E, n) in the order in which each epoch visits them.
    start
        The initial parameters (L, R, P).
    lanes
        Loss and learning rate of each of the L lanes.
    schedule
        Batch size, reduction and treatment of a last, smaller batch.
    rearrangement
        If given, each lane reorders every epoch by its residuals or gradients.
    scales
        The scale (R,) of the residuals on each stream, for the losses that use one.

    Returns
    -------
    Trajectory
        Parameters at the end of each epoch and the first non-finite steps. Every nan has the same bit
        pattern, since the sign bit of a computed nan depends on the processor.

    Raises
    ------
    ValueError
        If `start` has another shape, or `orders` contain an index outside the rows.
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
    for loss, indices in _group_by_loss([lane.loss for lane in lanes]):
        training = Training(numbers, orders, start[indices], lrs[indices], schedule, scales.get(loss))
        engine = load_engine(model, loss, numbers.dtype, "psi")
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
    """Return the mean rho (E, L, R) over rows (R, n, C) at parameters (E, L, R, P), in float64.

    `losses[i]` is the loss of lane i; `scales` holds the scale (R,) of the residuals on each stream for the
    losses that use one.
    """
    epochs, _, replicates, size = params.shape
    result = np.empty(params.shape[:3])
    for loss, indices in _group_by_loss(losses):
        flat, scale = params[:, indices].reshape(-1, replicates, size), scales.get(loss)
        engine: Engine | None = load_engine(model, loss, params.dtype, "rho")
        means = (
            mean_loss_compiled(engine, rows.contiguous().numpy(), flat, scale)
            if engine
            else mean_loss_general(model, loss, rows, flat, scale)
        )
        result[:, indices] = means.reshape(epochs, len(indices), replicates)
    result[np.isnan(result)] = np.nan  # one bit pattern, as in `train`
    return result


def residuals(model: Model, rows: torch.Tensor, params: Floats) -> Floats:
    """Return prediction minus target (L, R, n) of rows (R, n, C) at parameters (L, R, P), in float64."""
    kernels = load_kernels("float64") if model.is_linear else None
    if kernels is None:
        return residuals_general(model, rows, params)
    return residuals_compiled(kernels, rows.contiguous().numpy(), params)


def _group_by_loss(losses: Sequence[Loss]) -> Iterator[tuple[Loss, list[int]]]:
    """Yield each distinct loss with the indices of its lanes, in order of first appearance."""
    groups: dict[Loss, list[int]] = {}
    # Lookup by identity first: the lanes of a study share few loss objects, and hashing one is slow.
    groups_by_id: dict[int, list[int]] = {}
    for i, loss in enumerate(losses):
        if (indices := groups_by_id.get(id(loss))) is None:
            indices = groups_by_id[id(loss)] = groups.setdefault(loss, [])
        indices.append(i)
    yield from groups.items()
