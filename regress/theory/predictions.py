"""What theory says of a study's trials, each number only where its assumptions are met.

The numbers stand beside the measured ones, in MLflow as `theory_...` and in the figures. They are
medians over replicates, and what is not finite is left out.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from regress.contaminations import Clean, Contamination, GrossError, Vertical
from regress.estimators.optimum import target
from regress.fleet import Schedule
from regress.losses import L1, L2, Huber, Loss
from regress.metrics.evaluate import nearest_rank
from regress.numerics.threads import one_thread
from regress.orders import FlipFlop, Order, Sequential, Shuffled, ShuffleOnce, WithReplacement
from regress.pipeline.steps import Evaluated
from regress.problems import Data, Linear, Ohm, Problem
from regress.problems.affine import Affine
from regress.study import Trial
from regress.study.shards import Shard, start
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

_DRAWN = (Shuffled, ShuffleOnce, FlipFlop, WithReplacement, Sequential)  # orders that look at no row
_WIDEST = 16  # parameters; with more, their covariance takes longer than their training
_FAR = 10.0  # times what has to be small beside it


def predict(
    shards: Sequence[Shard], data: Data, clean: Data, permutations: Mapping[Order, Permutations]
) -> dict[str, Theory]:
    """What theory says of each trial, by the trial's digest.

    The shards share contamination and batch size: `data` are their contaminated rows, `clean` what
    these were before, `permutations` (R, E, n) those of each order.
    """
    one_thread()
    trials = [trial for shard in shards for trial in shard.trials]
    problem, contamination = trials[0].problem, shards[0].contamination
    has_squares = any(trial.loss == L2() for trial in trials) and isinstance(problem.model, Affine)
    squares = _squares(shards[0], data, clean) if has_squares else None
    losses = dict.fromkeys(trial.loss for trial in trials)
    biases = {loss: _bias(problem, contamination, loss) for loss in losses}
    found = {}
    for shard in shards:
        least = {} if squares is None else _least_squares(shard, squares, permutations[shard.order])
        epochs = _epochs(shard, clean)
        for trial, to_tolerance in zip(shard.trials, epochs, strict=True):
            theory = {"epochs_to_tolerance": to_tolerance}
            if isinstance(shard.order, _DRAWN):
                theory["bias"] = biases[trial.loss]
            if trial.loss == L2():
                theory |= least.get(trial.lr, {})
            found[trial.digest] = {name: v for name, v in theory.items() if math.isfinite(v)}
    return found


def sharing_rows(shards: Iterable[Shard]) -> dict[tuple[Contamination, int], list[Shard]]:
    """Shards that `predict` takes together, by contamination and batch size."""
    found: dict[tuple[Contamination, int], list[Shard]] = {}
    for shard in shards:
        found.setdefault((shard.contamination, shard.schedule.batch_size), []).append(shard)
    return found


def beside(evaluated: Evaluated, theory: Mapping[str, Theory]) -> Evaluated:
    """What a shard left, and what theory says of its trials."""
    summaries = [replace(summary, theory=theory[summary.trial.digest]) for summary in evaluated.summaries]
    return replace(evaluated, summaries=tuple(summaries))


def draws_equal_batches(trial: Trial) -> bool:
    """Whether every batch is of `batch_size` rows drawn with replacement, as the second moments have it."""
    is_exact = trial.tail == "drop" or trial.problem.train_rows % trial.batch_size == 0
    return is_exact and isinstance(trial.order, WithReplacement)


@dataclass(frozen=True)
class _Squares:
    """Least squares on the rows of R replicates; the edges are medians over them."""

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
    if model.parameters <= _WIDEST:
        mean_square = [_number(mean_square_edge, each, trial.batch_size) for each in z]
        edges["mean_square_edge"] = _median(mean_square)
    return _Squares(
        z=z,
        y=data.train_y,
        fit=model.least_squares(data.train_x, data.train_y),
        w_star=target(trial.problem, L2(), clean),
        edges={name: edge / _summed(shard.schedule) for name, edge in edges.items()},
    )


def _least_squares(shard: Shard, squares: _Squares, permutations: Permutations) -> dict[float, Theory]:
    """What holds for squared loss, by learning rate."""
    lrs = dict.fromkeys(trial.lr for trial in shard.trials if trial.loss == L2())
    found = {lr: dict(squares.edges) for lr in lrs}
    if _is_frozen(shard, permutations):
        visited = permutations[:, 0]
        z = np.take_along_axis(squares.z, visited[..., None], axis=1)
        y = np.take_along_axis(squares.y, visited, axis=1)
        steps = shard.schedule.steps(y.shape[1])
        for lr in lrs:
            error = np.linalg.norm(frozen_order(z, y, steps, lr).limit - squares.w_star, axis=1)
            found[lr]["frozen_error"] = _median(error)
    if draws_equal_batches(shard.trials[0]):
        for lr in lrs:
            found[lr]["stationary_error"] = _stationary_error(squares, lr, shard.schedule)
    return found


def _is_frozen(shard: Shard, permutations: Permutations) -> bool:
    """Whether all epochs and lanes visit the rows in one order; a single epoch shows nothing."""
    is_shared = shard.order.rearrangement(shard.schedule.batch_size) is None
    epochs = permutations.shape[1]
    return is_shared and epochs > 1 and bool((permutations == permutations[:, :1]).all())


def _stationary_error(squares: _Squares, lr: float, schedule: Schedule) -> float:
    """The root mean square distance to w* in the long run; infinite from the mean-square edge on."""
    if squares.fit.shape[1] > _WIDEST:
        return math.inf

    def distance(z: Floats, y: Floats, fit: Floats, w_star: Floats) -> float:
        s = stationary_covariance(z, z @ fit - y, lr * _summed(schedule), schedule.batch_size)
        return math.inf if s is None else math.sqrt(np.trace(s) + np.sum((fit - w_star) ** 2))

    lanes = zip(squares.z, squares.y, squares.fit, squares.w_star, strict=True)
    return _median([_number(distance, *lane) for lane in lanes])


def _epochs(shard: Shard, clean: Data) -> list[float]:
    """Epochs to tolerance of each trial, as the initial scale sets how far away a lane starts.

    For clean rows with standard normal features in an order that looks at no row.
    """
    problem, truth = shard.trials[0].problem, clean.truth
    is_met = isinstance(problem, Linear) and isinstance(shard.contamination, Clean)
    if not (is_met and isinstance(shard.order, _DRAWN)) or truth is None:
        return [math.inf] * len(shard.trials)
    assert isinstance(problem, Linear)
    distances = np.linalg.norm(start(shard, clean.indices) - truth, axis=-1)
    # Under a sum a step is that of a mean with a larger lr; a tail may be less than a step, or more.
    weights = [(cut.stop - cut.start) / divisor for cut, divisor in shard.schedule.steps(clean.rows)]
    summed = _summed(shard.schedule)
    steps = sum(weights) / summed
    return [
        _way(trial, problem, _median(distance), trial.lr * summed, steps)
        for trial, distance in zip(shard.trials, distances, strict=True)
    ]


def _way(trial: Trial, problem: Linear, distance: float, lr: float, steps: float) -> float:
    """Epochs from `distance` to tolerance at the learning rate `lr` of a mean; infinite where unknown."""
    loss, tolerance = trial.loss, trial.tolerance
    settles = 2 * _own_noise(problem, lr, trial.batch_size) <= tolerance
    if loss == L2() and settles:
        return float(l2_epochs(distance, tolerance, lr, steps))
    if loss.is_scaled or not isinstance(loss, L1 | Huber):
        return math.inf
    # The size of psi, and that of u at which it levels off.
    bound, level = (loss.delta, loss.delta) if isinstance(loss, Huber) else (1.0, 0.0)
    step = lr * bound * math.sqrt(problem.model.parameters / trial.batch_size + 2 / math.pi)
    arrives = settles if level > tolerance else max(step, problem.noise) <= tolerance
    if not arrives or distance < _FAR * max(step, level):
        return math.inf
    return float(l1_epochs(distance, tolerance, lr, steps, bound))


def _own_noise(problem: Linear, lr: float, batch_size: int) -> float:
    """The root mean square error that squared loss ends with, for the population, H = I.

    Of least squares itself, and of SGD with replacement about it: reshuffled rows end closer.
    """
    parameters = problem.model.parameters
    edge = normal_mean_square_edge(problem.model.features, batch_size)
    if lr >= edge:
        return math.inf
    wander = lr / (2 * batch_size * (1 - lr / edge))
    return problem.noise * math.sqrt(parameters * (1 / problem.rows + wander))


def _bias(problem: Problem, contamination: Contamination, loss: Loss) -> float:
    """The intercept's asymptotic bias under outliers far to one side; infinite where it is unknown."""
    has_intercept = isinstance(problem, Linear) or (isinstance(problem, Ohm) and problem.intercept)
    if not has_intercept or loss.is_scaled or not isinstance(contamination, Vertical | GrossError):
        return math.inf
    assert isinstance(problem, Linear | Ohm)
    spread = contamination.spread if isinstance(contamination, GrossError) else 0.0
    unit = math.hypot(problem.noise, spread)
    if problem.noise == 0 or abs(contamination.shift) < _FAR * unit:
        return math.inf
    if not _is_even(loss, problem.noise) or not _is_level(loss, abs(contamination.shift) - 4 * unit):
        return math.inf
    return intercept_bias(loss, contamination.fraction, problem.noise)


def _is_even(loss: Loss, unit: float) -> bool:
    """Whether w* is what the loss fits to symmetric noise."""
    u = torch.tensor([unit, -unit], dtype=torch.float64)
    right, left = loss.psi(u).tolist()
    return bool(right == -left)


def _is_level(loss: Loss, u: float) -> bool:
    """Whether psi has come to its limit at `u`, to 1 % of the largest that it is on the way there."""
    way = torch.linspace(0, u, 200, dtype=torch.float64)
    here, limit = loss.psi(torch.tensor([u, 1e6 * u], dtype=torch.float64)).tolist()
    return bool(abs(here - limit) <= 0.01 * float(loss.psi(way).abs().max()))


def _summed(schedule: Schedule) -> float:
    """How many times the mean's step a step is."""
    return float(schedule.batch_size) if schedule.reduction == "sum" else 1.0


def _number(function: Callable[..., float], *arguments: object) -> float:
    """What `function` finds; infinite where rows are such that linear algebra gives up."""
    try:
        with np.errstate(all="ignore"):
            return function(*arguments)
    except (np.linalg.LinAlgError, ValueError, ArithmeticError):
        return math.inf


def _median(values: Sequence[float] | Floats) -> float:
    return float(nearest_rank(np.asarray(values), 0.5))
