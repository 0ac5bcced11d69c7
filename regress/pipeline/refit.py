"""The best trial of a study, trained again on all rows: the model that is registered."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from regress.comparison import Comparison
from regress.pipeline.steps import evaluate_shard, order_rows, train_shard
from regress.problems import Data, Problem
from regress.problems.columns import Columns
from regress.study import Study, Trial
from regress.study.shards import Shard

Floats = NDArray[np.float64]

_EXAMPLES = 5


@dataclass(frozen=True)
class Refit:
    """A trial trained on all rows: target = features . coefficients + intercept, in the user's units."""

    trial: Trial
    features: tuple[str, ...]
    target: str
    coefficients: tuple[float, ...]
    intercept: float
    example: Floats  # (n, F), the first few rows


def winner(study: Study, comparison: Comparison) -> Trial | None:
    """Return the best trial under `clean`, or under the first contamination of a study without it.

    Contaminations test the losses, whereas the model is meant for the rows as they are. None if all such
    trials diverged.
    """
    chosen = next((c for c in study.contaminations if c.is_clean), study.contaminations[0])
    return next((best.trial for best in comparison.best if best.trial.contamination == chosen), None)


def refit(trial: Trial) -> Refit | None:
    """Return the median over replicates of a trial trained on all rows; None if one of them diverged.

    Each replicate trains on its training and validation rows. Those of a table are the same rows in every
    replicate, in another order and from other initial weights. The median is taken of each parameter in the
    units of training: in the user's units the intercept is an extrapolation to x = 0.
    """
    problem, shard = trial.problem, Shard((trial,))
    rows = _joined(problem.draw(trial.seed, trial.replicates))
    permutations = order_rows(
        trial.order, trial.contamination, rows, problem.model, trial.seed, trial.epochs, trial.batch_size
    )
    trajectory = train_shard(shard, rows, permutations)
    (summary,) = evaluate_shard(shard, rows, rows, trajectory).summaries
    if summary.diverged.any():
        return None
    trained = trajectory.params[-1, 0].double().numpy()
    params = problem.in_user_units(np.median(trained, axis=0)).tolist()
    columns = _columns(problem, rows)
    features = len(columns.features)
    return Refit(
        trial=trial,
        features=columns.features,
        target=columns.target,
        coefficients=tuple(params[:features]),
        intercept=params[features] if len(params) > features else 0.0,
        example=columns.x[:_EXAMPLES],
    )


def _joined(data: Data) -> Data:
    """Return all rows of each replicate, both to train on and to measure on."""
    x = np.concatenate([data.train_x, data.val_x], axis=1)
    y = np.concatenate([data.train_y, data.val_y], axis=1)
    return replace(data, train_x=x, train_y=y, val_x=x, val_y=y, contaminated=np.zeros(y.shape, bool))


def _columns(problem: Problem, rows: Data) -> Columns:
    """Return the columns with the user's names and units, or x1, x2, ... and y for generated rows."""
    if problem.columns is not None:
        return problem.columns
    x = rows.train_x[0]
    return Columns(tuple(f"x{i}" for i in range(1, x.shape[1] + 1)), "y", x, rows.train_y[0])
