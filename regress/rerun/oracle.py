"""Oracle checks: theory and published fits that must hold for a study, independent of its record.

If a check fails, the trainer, the theory or a library is wrong. All checks are deterministic and take well
under a second.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import log

import numpy as np
import torch
from numpy.typing import NDArray

from regress.estimators.published import check_published_fits
from regress.fleet import Lane, Schedule, train
from regress.losses import L2
from regress.problems import Data, Model
from regress.study import Study, Trial
from regress.study.shards import Shard
from regress.theory import frozen_order, mean_edge, mean_square_edge

Floats = NDArray[np.float64]

_TOLERANCE = 1e-8  # relative to the fit's size: float64 SGD ends within some 1e-11 of its limit
_CONVERGED = 1e-12  # fraction of the initial distance to the limit at which a model counts as converged
_MAX_STEPS = 5000  # until convergence; slower models are not checked
_EDGE_OFFSET = 0.02  # relative distance of the tested learning rates from the edge of stability


@dataclass(frozen=True)
class OracleCheck:
    """A statement that must hold, and the deviation from it in units of the allowed one."""

    statement: str
    deviation: float
    detail: str

    @property
    def holds(self) -> bool:
        """Whether the deviation is allowed."""
        return self.deviation <= 1


def check_oracles(study: Study) -> tuple[OracleCheck, ...]:
    """Run the checks whose assumptions the study meets."""
    return (*_check_published_fits(study), *_check_least_squares(study))


def _check_published_fits(study: Study) -> Iterator[OracleCheck]:
    for check in check_published_fits(study.problem):
        published = check.published
        yield OracleCheck(
            f"published fit: {published.fit}",
            check.deviation / published.tolerance,
            f"{check.library} deviates by {check.deviation:.1g} from {published.source},"
            f" {published.tolerance:g} allowed",
        )


def _check_least_squares(study: Study) -> Iterator[OracleCheck]:
    """Check squared loss on a linear model in float64, each time on the first rows that allow it."""
    model = study.problem.model
    if not model.is_linear or not any(loss.is_squared for loss in study.losses):
        return
    clean = study.problem.draw(study.seed, 1)
    contaminated = {c: c.apply(clean, model, study.seed) for c in study.contaminations}
    for data in contaminated.values():
        if checks := _check_full_batch(model, data, min(study.batch_sizes)):
            yield from checks
            break
    for trial in study.trials:
        if trial.loss.is_squared and (
            check := _check_frozen_order(model, trial, contaminated[trial.contamination])
        ):
            yield check
            break


def _check_full_batch(model: Model, data: Data, batch_size: int) -> tuple[OracleCheck, ...]:
    """Check that full-batch descent ends at ordinary least squares and is stable up to 2 / lambda_max."""
    z, y = _design_and_target(model, data)
    n = len(y)
    eigenvalues, eigenvectors = np.linalg.eigh(z.T @ z / n)
    edge = mean_edge(z.T @ z / n)
    steps = _steps_to_converge(1 - eigenvalues[0] * edge / 2)
    if steps is None or steps > _MAX_STEPS:
        return ()
    fit = model.least_squares(data.train_x[0], data.train_y[0])
    schedule = Schedule(n, "mean", "weight")

    def descend(lr: float, start: Floats, steps: int) -> Floats:
        return _train_one(model, data, np.tile(np.arange(n), (steps, 1)), start, lr, schedule)

    final = descend(edge / 2, np.zeros_like(fit), steps)
    distance = max(1.0, float(np.abs(fit).max()))
    start = fit + distance * eigenvectors[:, -1]
    below, above = (
        float(np.linalg.norm(descend(edge * (1 + offset), start, 100) - fit)) / distance
        for offset in (-_EDGE_OFFSET, _EDGE_OFFSET)
    )
    is_edge = below < 1 < above and mean_square_edge(z, batch_size) <= edge * (1 + 1e-9)
    return (
        _compare_fit("full batches end at ordinary least squares", final, fit, f"{steps} steps"),
        OracleCheck(
            "full batches are stable up to 2 / λ_max",
            0.0 if is_edge else np.inf,
            f"at lr {edge:.4g} ± {_EDGE_OFFSET:.0%} an error of 1 becomes {below:.2g} and {above:.3g} in"
            f" 100 steps; the mean-square edge at batch size {batch_size} must not exceed this lr",
        ),
    )


def _check_frozen_order(model: Model, trial: Trial, data: Data) -> OracleCheck | None:
    """Check that under an order that every epoch repeats a model ends at the fixed point of its epoch.

    None if the order does not repeat or convergence takes too long.
    """
    shard = Shard((trial,))
    if trial.order.rearrangement(trial.batch_size) is not None:
        return None
    order = trial.order.permutations(data, model, trial.seed, 2, trial.batch_size)[0]
    if (order[0] != order[1]).any():
        return None
    z, y = _design_and_target(model, data)
    steps = shard.schedule.steps(len(y))
    limit = frozen_order(z[order[0]], y[order[0]], steps, trial.lr)
    epochs = _steps_to_converge(float(limit.rate))
    if epochs is None or epochs * len(steps) > _MAX_STEPS:
        return None
    start = np.zeros_like(limit.limit)
    final = _train_one(model, data, np.tile(order[0], (epochs, 1)), start, trial.lr, shard.schedule)
    statement = "a frozen order ends at the fixed point of its epoch"
    return _compare_fit(statement, final, limit.limit, f"{trial.label}, {epochs} epochs")


def _train_one(
    model: Model, data: Data, order: NDArray[np.intp], start: Floats, lr: float, schedule: Schedule
) -> Floats:
    """Return the final parameters (P,) of one model on the first replicate, order (E, n), start (P,)."""
    rows = model.table(data.train_x[:1], data.train_y[:1], torch.float64)
    lane = Lane(L2(), lr)
    return train(model, rows, order[None], start[None, None], [lane], schedule).params[-1, 0, 0].numpy()


def _design_and_target(model: Model, data: Data) -> tuple[Floats, Floats]:
    """Return z (n, P) and y (n,) of the first replicate."""
    rows = model.table(data.train_x[:1], data.train_y[:1], torch.float64)[0].numpy()
    return np.ascontiguousarray(rows[:, :-1]), -rows[:, -1]


def _steps_to_converge(rate: float) -> int | None:
    """Return how many factors of `rate` shrink 1 to `_CONVERGED`; None if they never do."""
    size = abs(rate)
    return None if not size < 1 else 1 if size < _CONVERGED else int(log(_CONVERGED) / log(size)) + 1


def _compare_fit(statement: str, final: Floats, expected: Floats, detail: str) -> OracleCheck:
    size = max(1.0, float(np.abs(expected).max()))
    deviation = float(np.abs(final - expected).max()) / size
    return OracleCheck(
        statement,
        deviation / _TOLERANCE if np.isfinite(deviation) else np.inf,
        f"deviation {deviation:.1g}, {_TOLERANCE:g} allowed; {detail}",
    )
