"""What a trajectory is worth, in float64, whatever it was trained in."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from math import ceil
from types import MappingProxyType

import numpy as np
import torch
from numpy.typing import NDArray

from regress.fleet import WIDTH, Trajectory
from regress.losses import L2, Loss, scaled_rho
from regress.problems.data import Data
from regress.problems.model import Model
from regress.problems.problem import Problem
from regress.threads import one_thread

Floats = NDArray[np.float64]
Rho = Callable[[torch.Tensor], torch.Tensor]

DIVERGED_FACTOR = 1000.0
_RESIDUALS = 1 << 15  # computed in one go: 256 KiB; twice that faults pages in anew in a young process


@dataclass(frozen=True)
class Outcome:
    """The metrics of L trials with R replicates at E epoch ends; not finite where a lane left the numbers.

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
    one_thread()
    model = problem.model
    params = trajectory.params.to(torch.float64).numpy()
    final = params[-1:]
    w_star = np.stack([targets[loss] for loss in losses])  # (L, R, P)
    train = model.table(data.train_x, data.train_y, torch.float64)
    val = model.table(data.val_x, data.val_y, torch.float64)
    error = _distance(params, w_star)
    val_loss = mean_loss(model, val, losses, params, scales)
    return Outcome(
        params=params,
        digests=_digests(trajectory.params),
        train_loss=mean_loss(model, train, losses, params, scales),
        val_loss=val_loss,
        param_error=error,
        diverged=~(error <= DIVERGED_FACTOR * np.maximum(1.0, _distance(start, w_star))),
        first_nonfinite_step=trajectory.first_nonfinite,
        steps_per_epoch=steps_per_epoch,
        excess_risk=_excess_risk(model, model.condensed(val), losses, final, val_loss[-1], targets),
        val_median_abs_residual=(
            problem.target_scale * _median_abs_residual(model, val, final[0])
            if problem.ranking == "val_median_abs_residual"
            else None
        ),
        epochs_to_tolerance=_first_epoch(error <= tolerance),
    )


def mean_loss(
    model: Model,
    rows: torch.Tensor,
    losses: Sequence[Loss],
    params: Floats,
    scales: Mapping[Loss, Floats] = MappingProxyType({}),
) -> Floats:
    """Mean rho (E, L, R) over rows (R, n, C) at parameters (E, L, R, P), loss i for lane i."""
    squared: Loss = L2()
    epochs, _, replicates, _ = params.shape
    result = np.empty(params.shape[:3])
    for loss in dict.fromkeys(losses):
        own = [i for i, other in enumerate(losses) if other == loss]
        enough = model.condensed(rows) if loss == squared else rows
        for r in range(replicates):
            rho = _rho(loss, scales, r)
            columns = _mean_columns(model, enough[r], rho, params[:, own, r].reshape(-1, params.shape[3]))
            result[:, own, r] = columns.reshape(epochs, len(own))
    return result


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


def _rho(loss: Loss, scales: Mapping[Loss, Floats], replicate: int) -> Rho:
    if not loss.is_scaled:
        return loss.rho
    return partial(scaled_rho, loss, s=torch.tensor(scales[loss][replicate]))


def _mean_columns(model: Model, rows: torch.Tensor, rho: Rho, params: Floats) -> Floats:
    """Mean rho (K,) over rows (n, C) at parameters (K, P), in products of the fleet's width."""
    count = len(params)
    tiles = -(-count // WIDTH)
    padded = np.zeros((tiles * WIDTH, params.shape[1]))
    padded[:count] = params
    w = torch.from_numpy(padded).view(tiles, WIDTH, -1).transpose(1, 2)
    state = model.state(w)
    block = max(1, _RESIDUALS // (len(rows) * WIDTH))  # tiles
    means = [
        rho(model.residual(rows.expand(len(some), *rows.shape), some)).mean(dim=1)
        for some in torch.split(state, block)
    ]
    return torch.cat(means).flatten()[:count].numpy()


def _excess_risk(
    model: Model,
    val: torch.Tensor,
    losses: Sequence[Loss],
    final: Floats,
    val_loss: Floats,
    targets: dict[Loss, Floats],
) -> Floats:
    """Mean u**2 / 2 (L, R) over validation rows at parameters `final` (1, L, R, P), minus that at w*.

    `val` is condensed.
    """
    squared: Loss = L2()
    risk = val_loss.copy()  # what squared loss has measured already
    others = [i for i, loss in enumerate(losses) if loss != squared]
    if others:
        risk[others] = mean_loss(model, val, [squared] * len(others), final[:, others])[0]
    known = list(targets)
    least = mean_loss(model, val, [squared] * len(known), np.stack([targets[k] for k in known])[None])[0]
    with np.errstate(invalid="ignore"):  # inf - inf of a lane that overflowed
        return np.asarray(risk - least[[known.index(loss) for loss in losses]])


def _median_abs_residual(model: Model, rows: torch.Tensor, params: Floats) -> Floats:
    """Median |u| (L, R) over rows (R, n, C) at parameters (L, R, P)."""
    count, replicates, size = params.shape
    result = np.empty((count, replicates))
    for r in range(replicates):
        for first in range(0, count, WIDTH):
            lanes = slice(first, min(first + WIDTH, count))
            w = torch.zeros(1, size, WIDTH, dtype=torch.float64)
            w[0, :, : lanes.stop - first] = torch.from_numpy(params[lanes, r].T)
            residual = model.residual(rows[r : r + 1], model.state(w)).abs()[0].numpy()
            result[lanes, r] = np.median(residual, axis=0)[: lanes.stop - first]
    return result


def _distance(params: Floats, w_star: Floats) -> Floats:
    # Parameter by parameter: every sum in the same order, whatever the shape.
    with np.errstate(over="ignore", invalid="ignore"):
        squares = (params - w_star) ** 2
        total = squares[..., 0].copy()
        for p in range(1, squares.shape[-1]):
            total += squares[..., p]
    return np.asarray(np.sqrt(total))


def _first_epoch(reached: NDArray[np.bool_]) -> Floats:
    return np.where(reached.any(axis=0), reached.argmax(axis=0) + 1.0, np.inf)


def _digests(params: torch.Tensor) -> NDArray[np.str_]:
    """Sixteen hexadecimal digits for each parameter vector's bits, little-endian."""
    values = params.numpy()
    raw = np.ascontiguousarray(values.astype(values.dtype.newbyteorder("<"), copy=False))
    size = raw.shape[-1] * raw.itemsize
    view = memoryview(raw.tobytes())
    digests = b"".join(
        [blake2b(view[i : i + size], digest_size=8).digest() for i in range(0, len(view), size)]
    )
    # Hexadecimal in one go: each by itself takes as long as its digest.
    return np.frombuffer(digests.hex().encode(), "S16").astype(str).reshape(params.shape[:-1])
