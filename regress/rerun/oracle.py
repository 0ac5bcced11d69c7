"""The oracle: what mathematics and other people's fits say of a study, checked where it applies.

Nothing is compared with the record here: these claims hold, or the trainer, the theory or a library is
wrong. All are deterministic and take well under a second.
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

_CLOSE = 1e-8  # of the fit's size: float64 SGD ends some 1e-11 from its limit
_SHRUNK = 1e-12  # what is left of the way to the limit when a lane counts as converged
_STEPS = 5000  # until then, or the lane is not tried
_SIDE = 0.02  # how far below and above the edge of stability a lane is started


@dataclass(frozen=True)
class OracleCheck:
    """Something that must be so, and by how much of what is allowed it is not: above 1 it fails."""

    claim: str
    off: float
    detail: str

    @property
    def holds(self) -> bool:
        return self.off <= 1


def claims(study: Study) -> tuple[OracleCheck, ...]:
    """What applies to a study; nothing where no assumption is met."""
    return (*_published(study), *_least_squares(study))


def _published(study: Study) -> Iterator[OracleCheck]:
    for check in check_published_fits(study.problem):
        published = check.published
        yield OracleCheck(
            f"published fit: {published.fit}",
            check.deviation / published.tolerance,
            f"{check.library} is {check.deviation:.1g} off {published.source},"
            f" {published.tolerance:g} allowed",
        )


def _least_squares(study: Study) -> Iterator[OracleCheck]:
    """Of squared loss on an affine model, in float64, on the first rows that are well-conditioned."""
    model = study.problem.model
    if not model.is_linear or not any(loss.is_squared for loss in study.losses):
        return
    clean = study.problem.draw(study.seed, 1)
    every = {c: c.apply(clean, model, study.seed) for c in study.contaminations}
    found: dict[str, OracleCheck] = {}
    for data in every.values():
        if "edge" not in found:
            found |= _full_batch(model, data, min(study.batch_sizes))
    for trial in study.trials:
        if "frozen" not in found and trial.loss.is_squared:
            found |= _frozen(model, trial, every[trial.contamination])
    yield from found.values()


def _full_batch(model: Model, data: Data, batch_size: int) -> dict[str, OracleCheck]:
    """Steps of all rows end at ordinary least squares, and are stable up to 2 / lambda_max, no further."""
    z, y = _rows(model, data)
    n = len(y)
    values, vectors = np.linalg.eigh(z.T @ z / n)
    edge = mean_edge(z.T @ z / n)
    steps = _until(1 - values[0] * edge / 2)
    if steps is None or steps > _STEPS:
        return {}
    fit = model.least_squares(data.train_x[0], data.train_y[0])
    schedule, every = Schedule(n, "mean", "weight"), np.arange(n)

    def descend(lr: float, start: Floats, steps: int) -> Floats:
        return _descend(model, data, np.tile(every, (steps, 1)), start, lr, schedule)

    ended = descend(edge / 2, np.zeros_like(fit), steps)
    away = max(1.0, float(np.abs(fit).max()))
    kicked = fit + away * vectors[:, -1]
    below, above = (
        float(np.linalg.norm(descend(edge * (1 + side), kicked, 100) - fit)) / away
        for side in (-_SIDE, _SIDE)
    )
    stable = below < 1 < above and mean_square_edge(z, batch_size) <= edge * (1 + 1e-9)
    return {
        "ols": _claim("full batches end at ordinary least squares", ended, fit, f"{steps} steps"),
        "edge": OracleCheck(
            "full batches are stable up to 2 / λ_max",
            0.0 if stable else np.inf,
            f"at lr {edge:.4g} ± {_SIDE:.0%} an error of 1 becomes {below:.2g} and {above:.3g} in 100"
            f" steps; the mean-square edge at batch {batch_size} is not above it",
        ),
    }


def _frozen(model: Model, trial: Trial, data: Data) -> dict[str, OracleCheck]:
    """A lane under an order that is the same every epoch ends where the product of its steps says."""
    shard = Shard((trial,))
    if trial.order.rearrangement(trial.batch_size) is not None:
        return {}
    order = trial.order.permutations(data, model, trial.seed, 2, trial.batch_size)[0]
    if (order[0] != order[1]).any():
        return {}
    z, y = _rows(model, data)
    steps = shard.schedule.steps(len(y))
    limit = frozen_order(z[order[0]], y[order[0]], steps, trial.lr)
    epochs = _until(float(limit.rate))
    if epochs is None or epochs * len(steps) > _STEPS:
        return {}
    ended = _descend(
        model, data, np.tile(order[0], (epochs, 1)), np.zeros_like(limit.limit), trial.lr, shard.schedule
    )
    return {
        "frozen": _claim(
            "a frozen order ends at the fixed point of its epoch",
            ended,
            limit.limit,
            f"{trial.label}, {epochs} epochs",
        )
    }


def _descend(
    model: Model, data: Data, order: NDArray[np.intp], start: Floats, lr: float, schedule: Schedule
) -> Floats:
    """Where the fleet's only lane ends, on the first replicate in the order (E, n), from `start` (P,)."""
    rows = model.table(data.train_x[:1], data.train_y[:1], torch.float64)
    lane = Lane(L2(), lr)
    return train(model, rows, order[None], start[None, None], [lane], schedule).params[-1, 0, 0].numpy()


def _rows(model: Model, data: Data) -> tuple[Floats, Floats]:
    """z (n, P) and y (n,) of the first replicate."""
    rows = model.table(data.train_x[:1], data.train_y[:1], torch.float64)[0].numpy()
    return np.ascontiguousarray(rows[:, :-1]), -rows[:, -1]


def _until(rate: float) -> int | None:
    """After how many times a factor of `rate` leaves nothing of 1; None where it never does."""
    size = abs(rate)
    return None if not size < 1 else 1 if size < _SHRUNK else int(log(_SHRUNK) / log(size)) + 1


def _claim(claim: str, ended: Floats, expected: Floats, detail: str) -> OracleCheck:
    size = max(1.0, float(np.abs(expected).max()))
    off = float(np.abs(ended - expected).max()) / size
    return OracleCheck(
        claim, off / _CLOSE if np.isfinite(off) else np.inf, f"{off:.1g} off, {_CLOSE:g} allowed; {detail}"
    )
