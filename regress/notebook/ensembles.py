"""Ensembles of the notebook's exercises: thousands of seeds, and where each printed number lies among them.

The notebook trained each model once. A number that it printed is one draw; here the same exercise is
trained with thousands of seeds, and the number must lie between the ensemble's .05 % and 99.95 %
quantiles. Set-ups and printed numbers are those of the d2l book's exercises 3.4 to 3.7 as they were run.
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
from regress.problems import Data, Problem
from regress.study import Trial
from regress.study.shards import Shard

Floats = NDArray[np.float64]

BLOCK = 500  # replicates trained at once
CURVES = 100  # replicates of the first block whose losses are recorded by epoch


@dataclass(frozen=True)
class Row:
    """One printed number in its ensemble; `inside` is None where the notebook printed nothing."""

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
    """Every trial once, however many fits ask for it; companions only where they are wanted."""
    fits = [fit for exercise in exercises for fit in exercise.fits]
    return tuple(dict.fromkeys(fit.trial for fit in fits if companions or not fit.is_companion))


def train_block(trials: Sequence[Trial], first: int, replicates: int) -> Trained:
    """Trains replicates first .. first + replicates - 1 of each trial."""
    data = {p: _train_rows(p).draw(0, replicates, first) for p in dict.fromkeys(t.problem for t in trials)}
    longest = max(trial.epochs for trial in trials)
    some = next(iter(data.values()))
    # Every problem here has 1,000 rows: one set of permutations serves all.
    order = Shuffled().permutations(some, next(iter(data)).model, 0, longest, trials[0].batch_size)
    params: dict[Trial, Floats] = {}
    losses: dict[Trial, Floats] = {}
    for shard in _shards(trials):
        trial = shard.trials[0]
        rows, trajectory = train_alone(shard, data[trial.problem], permutations=order[:, : trial.epochs])
        final = trajectory.params[-1].to(torch.float64).numpy()
        for lane, own in enumerate(shard.trials):
            params[own] = own.problem.in_user_units(final[lane])
        if first == 0:
            losses |= _losses(shard, rows, trajectory)
    return Trained(params, losses)


def _train_rows(problem: Problem) -> Problem:
    """The problem with as few validation rows as it may have: nothing here is measured on them."""
    return problem.with_least_validation()


def joined(blocks: Sequence[Trained]) -> Trained:
    """The blocks' replicates one after another."""
    params = {
        trial: np.concatenate([block.params[trial] for block in blocks if trial in block.params])
        for trial in blocks[0].params
    }
    return Trained(params, blocks[0].losses)


def rows(exercises: Sequence[Exercise], trained: Trained) -> tuple[Row, ...]:
    """Every quantity of every fit in its ensemble."""
    found = []
    for exercise in exercises:
        for fit in (fit for fit in exercise.fits if not fit.is_companion):
            measured = fit.measured(trained.params[fit.trial])
            for i, quantity in enumerate(fit.quantities):
                printed = fit.printed[i] if fit.printed else None
                found.append(row(exercise.name, fit.label, quantity, printed, measured[:, i]))
    return tuple(found)


def last_batch_row() -> Row:
    """The batch of 8 that the notebook found at each epoch's end."""
    exercise, fit, quantity, printed = LAST_BATCH
    trial = BASE.trial
    (cut, _) = Shard((trial,)).schedule.steps(trial.problem.train_rows)[-1]
    return row(exercise, fit, quantity, printed, np.full(1, float(cut.stop - cut.start)))


def row(exercise: str, fit: str, quantity: str, printed: float | None, ensemble: Floats) -> Row:
    """One quantity in its ensemble (R,); quantiles by nearest rank over the finite values.

    A printed nan is inside when between .05 % and 99.95 % of the ensemble is not finite.
    """
    finite = np.sort(ensemble[np.isfinite(ensemble)])
    gone = 1 - len(finite) / len(ensemble)
    low, median, high = (_rank(finite, q) for q in (LOW, 0.5, HIGH))
    inside = None
    if printed is not None:
        inside = LOW <= gone <= HIGH if math.isnan(printed) else bool(low <= printed <= high)
    return Row(exercise, fit, quantity, printed, low, median, high, gone, inside)


def _rank(ordered: Floats, q: float) -> float:
    if not len(ordered):
        return NAN
    return float(ordered[max(math.ceil(q * len(ordered)) - 1, 0)])


def _shards(trials: Sequence[Trial]) -> Iterator[Shard]:
    """Trials that share rows, order and schedule, trained together."""
    groups: dict[tuple[Any, ...], list[Trial]] = {}
    for trial in trials:
        key = trial.problem, trial.contamination, trial.reduction, trial.tail, trial.epochs
        groups.setdefault(key, []).append(trial)
    for group in groups.values():
        yield Shard(tuple(group))


def _losses(shard: Shard, data: Data, trajectory: Trajectory) -> dict[Trial, Floats]:
    trial = shard.trials[0]
    few = slice(min(CURVES, data.replicates))
    table = trial.problem.model.table(data.train_x[few], data.train_y[few], torch.float64)
    params = trajectory.params[:, :, few].to(torch.float64).numpy()
    losses = mean_loss(trial.problem.model, table, [t.loss for t in shard.trials], params)
    return {own: losses[:, lane] for lane, own in enumerate(shard.trials)}
