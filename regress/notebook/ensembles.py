"""Ensembles of the notebook's exercises, and where each printed number lies in its ensemble.

The notebook trained each model once, hence a number that it printed is one draw. Here the same exercise is
trained with thousands of seeds, and the number must lie between the ensemble's 0.05 % and 99.95 %
quantiles.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from regress.fleet import Trajectory, mean_loss
from regress.notebook.exercises import BASE, HIGH, LAST_BATCH, LOW, NAN, Exercise
from regress.orders import Shuffled
from regress.pipeline.run import train_alone
from regress.problems import Data
from regress.study import Trial
from regress.study.shards import Shard

Floats = NDArray[np.float64]

BLOCK = 500  # replicates trained at once
CURVES = 100  # replicates of the first block whose losses are recorded by epoch


@dataclass(frozen=True)
class Row:
    """One printed number and its ensemble; `inside` is None where the notebook printed nothing."""

    exercise: str
    fit: str
    quantity: str
    notebook: float | None
    q0005: float
    median: float
    q9995: float
    nonfinite_fraction: float
    inside: bool | None

    def as_json(self) -> dict[str, Any]:
        """Return the row; the notebook's nan, which JSON does not have, as text."""
        is_nan = self.notebook is not None and math.isnan(self.notebook)
        return asdict(self) | ({"notebook": "nan"} if is_nan else {})

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> "Row":
        """Return the row that `as_json` wrote."""
        values = {field.name: row[field.name] for field in fields(cls)}
        return cls(**{**values, "notebook": NAN if row["notebook"] == "nan" else row["notebook"]})


@dataclass(frozen=True)
class Trained:
    """Final parameters (R, P) of each trial, and losses by epoch (E, CURVES) of the first block."""

    params: dict[Trial, Floats]
    losses: dict[Trial, Floats]


def distinct_trials(exercises: Sequence[Exercise], *, companions: bool) -> tuple[Trial, ...]:
    """Return each trial of the exercises' fits once, with or without those of companions."""
    fits = [fit for exercise in exercises for fit in exercise.fits]
    return tuple(dict.fromkeys(fit.trial for fit in fits if companions or not fit.is_companion))


def train_block(trials: Sequence[Trial], first: int, replicates: int) -> Trained:
    """Train replicates first, ..., first + replicates - 1 of each trial."""
    problems = dict.fromkeys(trial.problem for trial in trials)
    # Nothing is measured on the validation rows.
    data = {problem: problem.with_least_validation().draw(0, replicates, first) for problem in problems}
    max_epochs = max(trial.epochs for trial in trials)
    # All problems have 1,000 rows, hence share one set of permutations.
    problem, rows = next(iter(data.items()))
    order = Shuffled().permutations(rows, problem.model, 0, max_epochs, trials[0].batch_size)
    params: dict[Trial, Floats] = {}
    losses: dict[Trial, Floats] = {}
    for shard in _shards(trials):
        first_trial = shard.trials[0]
        rows, trajectory = train_alone(
            shard, data[first_trial.problem], permutations=order[:, : first_trial.epochs]
        )
        final = trajectory.params[-1].to(torch.float64).numpy()
        for lane, trial in enumerate(shard.trials):
            params[trial] = trial.problem.in_user_units(final[lane])
        if first == 0:
            losses |= _losses_by_epoch(shard, rows, trajectory)
    return Trained(params, losses)


def join_blocks(blocks: Sequence[Trained]) -> Trained:
    """Return all replicates of the blocks, in their order."""
    params = {
        trial: np.concatenate([block.params[trial] for block in blocks if trial in block.params])
        for trial in blocks[0].params
    }
    return Trained(params, blocks[0].losses)


def locate_exercises(exercises: Sequence[Exercise], trained: Trained) -> tuple[Row, ...]:
    """Return a row for every quantity of every fit."""
    rows = []
    for exercise in exercises:
        for fit in (fit for fit in exercise.fits if not fit.is_companion):
            measured = fit.measured(trained.params[fit.trial])
            for i, quantity in enumerate(fit.quantities):
                printed = fit.printed[i] if fit.printed else None
                rows.append(locate(exercise.name, fit.label, quantity, printed, measured[:, i]))
    return tuple(rows)


def locate_last_batch() -> Row:
    """Return the row of the last batch's size, which the notebook printed as 8."""
    exercise, fit, quantity, printed = LAST_BATCH
    trial = BASE.trial
    (last_batch, _) = Shard((trial,)).schedule.steps(trial.problem.train_rows)[-1]
    return locate(exercise, fit, quantity, printed, np.full(1, float(last_batch.stop - last_batch.start)))


def locate(exercise: str, fit: str, quantity: str, printed: float | None, ensemble: Floats) -> Row:
    """Return where the printed number lies in its ensemble (R,).

    Quantiles are nearest ranks of the finite values. A printed nan is inside if between 0.05 % and
    99.95 % of the ensemble is not finite.
    """
    finite = np.sort(ensemble[np.isfinite(ensemble)])
    nonfinite = 1 - len(finite) / len(ensemble)
    low, median, high = (_nearest_rank(finite, q) for q in (LOW, 0.5, HIGH))
    inside = None
    if printed is not None:
        inside = LOW <= nonfinite <= HIGH if math.isnan(printed) else bool(low <= printed <= high)
    return Row(exercise, fit, quantity, printed, low, median, high, nonfinite, inside)


def _nearest_rank(ascending: Floats, q: float) -> float:
    """Return the quantile `q`; nan of no values."""
    if not len(ascending):
        return NAN
    return float(ascending[max(math.ceil(q * len(ascending)) - 1, 0)])


def _shards(trials: Sequence[Trial]) -> Iterator[Shard]:
    """Yield shards of the trials that share rows and schedule."""
    groups: dict[tuple[Any, ...], list[Trial]] = {}
    for trial in trials:
        key = trial.problem, trial.contamination, trial.reduction, trial.tail, trial.epochs
        groups.setdefault(key, []).append(trial)
    for group in groups.values():
        yield Shard(tuple(group))


def _losses_by_epoch(shard: Shard, data: Data, trajectory: Trajectory) -> dict[Trial, Floats]:
    """Return the training losses (E, R) of each trial's first replicates."""
    trial = shard.trials[0]
    replicates = slice(min(CURVES, data.replicates))
    table = trial.problem.model.table(data.train_x[replicates], data.train_y[replicates], torch.float64)
    params = trajectory.params[:, :, replicates].to(torch.float64).numpy()
    losses = mean_loss(trial.problem.model, table, [t.loss for t in shard.trials], params)
    return {trial: losses[:, lane] for lane, trial in enumerate(shard.trials)}
