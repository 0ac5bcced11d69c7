"""Theoretical predictions for the trials of a study, where the assumptions of theory are met.

They are recorded in MLflow as `theory_...` and drawn in figures next to measured values. They are medians
over replicates; those that are not finite are left out.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from regress.contaminations import Contamination
from regress.estimators.optimum import target
from regress.fleet import Schedule
from regress.losses import L2, Loss
from regress.numerics.quantiles import nearest_rank
from regress.numerics.threads import limit_to_one_thread
from regress.orders import Order
from regress.problems import Data, Problem
from regress.problems.problem import NormalDesign
from regress.study import Trial
from regress.study.shards import Shard, initial_parameters
from regress.theory import (
    frozen_order,
    intercept_bias,
    l1_epochs,
    l2_epochs,
    mean_edge,
    mean_square_edge,
    normal_mean_square_edge,
    stationary_covariance,
)

Floats = NDArray[np.float64]
Permutations = NDArray[np.intp]
Theory = dict[str, float]

# Parameters up to which covariances are computed; for more this would take longer than training.
_MAX_PARAMETERS = 16
_FAR = 10.0  # ratio from which on a distance counts as large


def predict(
    contamination: Contamination,
    batch_size: int,
    shards: Sequence[Shard],
    data: Data,
    clean: Data,
    orders: Sequence[Order],
    *permutations: Permutations,
) -> dict[str, Theory]:
    """Return what theory predicts of each trial, by the trial's digest.

    All `shards` have this contamination and batch size. `data` are their contaminated rows, `clean` the
    rows before contamination, and `permutations` (R, E, n) those of each of `orders`.
    """
    limit_to_one_thread()
    by_order = dict(zip(orders, permutations, strict=True))
    trials = [trial for shard in shards for trial in shard.trials]
    problem = trials[0].problem
    has_squares = any(trial.loss.is_squared for trial in trials) and problem.is_affine
    squares = _squares(shards[0], data, clean) if has_squares else None
    losses = dict.fromkeys(trial.loss for trial in trials)
    biases = {loss: _bias(problem, contamination, loss) for loss in losses}
    predictions = {}
    for shard in shards:
        least = {} if squares is None else _least_squares(shard, squares, by_order[shard.order])
        epochs = _epochs(shard, clean)
        for trial, to_tolerance in zip(shard.trials, epochs, strict=True):
            theory = {"epochs_to_tolerance": to_tolerance}
            if not shard.order.looks_at_rows:
                theory["bias"] = biases[trial.loss]
            if trial.loss.is_squared:
                theory |= least.get(trial.lr, {})
            predictions[trial.digest] = {name: v for name, v in theory.items() if math.isfinite(v)}
    return predictions


def draws_equal_batches(trial: Trial) -> bool:
    """Return whether all batches are exactly `batch_size` rows drawn with replacement."""
    is_exact = trial.tail == "drop" or trial.problem.train_rows % trial.batch_size == 0
    return is_exact and trial.order.draws_with_replacement


@dataclass(frozen=True)
class _Squares:
    """Least squares on the rows of R replicates; the edges of stability are medians over replicates."""

    z: Floats  # (R, n, P)
    y: Floats  # (R, n)
    fit: Floats  # (R, P)
    w_star: Floats  # (R, P)
    edges: Theory


def _squares(shard: Shard, data: Data, clean: Data) -> _Squares:
    trial = shard.trials[0]
    model = trial.problem.model
    rows = model.table(data.train_x, data.train_y, torch.float64)
    z = np.ascontiguousarray(rows[..., : model.parameters].numpy())
    with np.errstate(over="ignore", invalid="ignore"):
        hessians = np.swapaxes(z, 1, 2) @ z / z.shape[1]
    edges = {"mean_edge": _median([_number(mean_edge, h) for h in hessians])}
    if model.parameters <= _MAX_PARAMETERS:
        mean_square = [_number(mean_square_edge, rows, trial.batch_size) for rows in z]
        edges["mean_square_edge"] = _median(mean_square)
    return _Squares(
        z=z,
        y=data.train_y,
        fit=model.least_squares(data.train_x, data.train_y),
        w_star=target(trial.problem, L2(), clean),
        edges={name: edge / _step_factor(shard.schedule) for name, edge in edges.items()},
    )


def _least_squares(shard: Shard, squares: _Squares, permutations: Permutations) -> dict[float, Theory]:
    """Return the predictions for squared loss by learning rate."""
    lrs = dict.fromkeys(trial.lr for trial in shard.trials if trial.loss.is_squared)
    predictions = {lr: dict(squares.edges) for lr in lrs}
    if shard.order.is_fixed and permutations.shape[1] > 1:  # a single epoch does not repeat an order
        visited = permutations[:, 0]
        z = np.take_along_axis(squares.z, visited[..., None], axis=1)
        y = np.take_along_axis(squares.y, visited, axis=1)
        steps = shard.schedule.steps(y.shape[1])
        for lr in lrs:
            error = np.linalg.norm(frozen_order(z, y, steps, lr).limit - squares.w_star, axis=1)
            predictions[lr]["frozen_error"] = _median(error)
    if draws_equal_batches(shard.trials[0]):
        for lr in lrs:
            predictions[lr]["stationary_error"] = _stationary_error(squares, lr, shard.schedule)
    return predictions


def _stationary_error(squares: _Squares, lr: float, schedule: Schedule) -> float:
    """Return the stationary root mean square distance to w*; infinite from the mean-square edge on."""
    if squares.fit.shape[1] > _MAX_PARAMETERS:
        return math.inf

    def distance(z: Floats, y: Floats, fit: Floats, w_star: Floats) -> float:
        s = stationary_covariance(z, z @ fit - y, lr * _step_factor(schedule), schedule.batch_size)
        return math.inf if s is None else math.sqrt(np.trace(s) + np.sum((fit - w_star) ** 2))

    replicates = zip(squares.z, squares.y, squares.fit, squares.w_star, strict=True)
    return _median([_number(distance, *replicate) for replicate in replicates])


def _epochs(shard: Shard, clean: Data) -> list[float]:
    """Return the predicted epochs to tolerance of each trial; infinite if unknown.

    They are known for clean rows of a linear model with normal features, in an order that does not depend
    on the rows.
    """
    design, truth = shard.trials[0].problem.normal_design, clean.truth
    if design is None or truth is None or not shard.contamination.is_clean or shard.order.looks_at_rows:
        return [math.inf] * len(shard.trials)
    distances = np.linalg.norm(initial_parameters(shard, clean.indices) - truth, axis=-1)
    # Sum reduction is mean reduction with a larger lr; the step of a last batch may have another weight.
    weights = [(cut.stop - cut.start) / divisor for cut, divisor in shard.schedule.steps(clean.rows)]
    factor = _step_factor(shard.schedule)
    steps = sum(weights) / factor
    return [
        _epochs_to_tolerance(trial, design, _median(distance), trial.lr * factor, steps)
        for trial, distance in zip(shard.trials, distances, strict=True)
    ]


def _epochs_to_tolerance(
    trial: Trial, design: NormalDesign, distance: float, lr: float, steps: float
) -> float:
    """Return the epochs from `distance` to tolerance for mean reduction; infinite if unknown."""
    loss, tolerance = trial.loss, trial.tolerance
    is_within_tolerance = 2 * _final_noise(design, lr, trial.batch_size) <= tolerance
    if loss.is_squared and is_within_tolerance:
        return float(l2_epochs(distance, tolerance, lr, steps))
    if loss.is_scaled or loss.saturation is None:
        return math.inf
    bound, level = loss.saturation
    step = lr * bound * math.sqrt((design.features + 1) / trial.batch_size + 2 / math.pi)
    is_reached = is_within_tolerance if level > tolerance else max(step, design.noise) <= tolerance
    if not is_reached or distance < _FAR * max(step, level):
        return math.inf
    return float(l1_epochs(distance, tolerance, lr, steps, bound))


def _final_noise(design: NormalDesign, lr: float, batch_size: int) -> float:
    """Return the root mean square error that squared loss ends with, for the population, H = I.

    It combines the error of least squares and that of SGD with replacement around it; with reshuffled rows
    the error is smaller.
    """
    edge = normal_mean_square_edge(design.features, batch_size)
    if lr >= edge:
        return math.inf
    variance = lr / (2 * batch_size * (1 - lr / edge))
    return design.noise * math.sqrt((design.features + 1) * (1 / design.rows + variance))


def _bias(problem: Problem, contamination: Contamination, loss: Loss) -> float:
    """Return the asymptotic bias of the intercept for distant one-sided outliers; infinite if unknown."""
    noise, outliers = problem.normal_noise, contamination.one_sided_outliers
    if noise is None or outliers is None or loss.is_scaled:
        return math.inf
    unit = math.hypot(noise, outliers.spread)
    if noise == 0 or abs(outliers.shift) < _FAR * unit:
        return math.inf
    if not _is_even(loss, noise) or not _is_saturated(loss, abs(outliers.shift) - 4 * unit):
        return math.inf
    return intercept_bias(loss, outliers.fraction, noise)


def _is_even(loss: Loss, unit: float) -> bool:
    """Return whether psi is odd, so that symmetric noise causes no bias."""
    u = torch.tensor([unit, -unit], dtype=torch.float64)
    right, left = loss.psi(u).tolist()
    return bool(right == -left)


def _is_saturated(loss: Loss, u: float) -> bool:
    """Return whether psi at `u` is within 1 % of its limit, relative to the largest psi up to `u`."""
    path = torch.linspace(0, u, 200, dtype=torch.float64)
    value, limit = loss.psi(torch.tensor([u, 1e6 * u], dtype=torch.float64)).tolist()
    return bool(abs(value - limit) <= 0.01 * float(loss.psi(path).abs().max()))


def _step_factor(schedule: Schedule) -> float:
    """Return the ratio of a step to that of mean reduction."""
    return float(schedule.batch_size) if schedule.reduction == "sum" else 1.0


def _number(function: Callable[..., float], *arguments: object) -> float:
    """Return the result of `function`; infinite if linear algebra fails for the rows."""
    try:
        with np.errstate(all="ignore"):
            return function(*arguments)
    except (np.linalg.LinAlgError, ValueError, ArithmeticError):
        return math.inf


def _median(values: Sequence[float] | Floats) -> float:
    return float(nearest_rank(np.asarray(values), 0.5))
