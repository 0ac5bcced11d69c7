"""The steps of a study as pure functions: generate, contaminate, order, train, evaluate."""

from dataclasses import dataclass
from hashlib import sha256

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from regress.contaminations import Contamination
from regress.estimators.optimum import scales, target
from regress.fleet import Lane, Trajectory, train
from regress.metrics.evaluate import ShardMetrics, evaluate
from regress.metrics.measurement import Measurement
from regress.metrics.results import shard_table
from regress.metrics.summary import TrialSummary, summarise
from regress.orders import Order
from regress.pipeline.checkpoint import CheckpointFolder
from regress.problems import Data, Model, Problem
from regress.study.shards import Shard, initial_parameters

Permutations = NDArray[np.intp]


@dataclass(frozen=True)
class RowsDigest:
    """The training rows of all replicates, by their content; counts are of one replicate."""

    name: str
    digest: str
    rows: int
    contaminated: int


@dataclass(frozen=True)
class EvaluatedShard:
    """A trained shard: summaries in the order of its trials, and its rows of results.parquet."""

    shard: Shard
    summaries: tuple[TrialSummary, ...]
    table: pa.Table
    rows: RowsDigest


def generate(problem: Problem, seed: int, replicates: int) -> Data:
    """Draw the clean training and validation rows of every replicate."""
    return problem.draw(seed, replicates)


def contaminate(contamination: Contamination, data: Data, model: Model, seed: int) -> Data:
    """Replace training rows by outliers and mark them."""
    return contamination.apply(data, model, seed)


def order_rows(
    order: Order,
    contamination: Contamination,
    data: Data,
    model: Model,
    seed: int,
    epochs: int,
    batch_size: int,
) -> Permutations:
    """Return the order (R, E, n) in which each epoch visits the rows; `contamination` names the rows."""
    return order.permutations(data, model, seed, epochs, batch_size)


def train_shard(shard: Shard, data: Data, permutations: Permutations) -> Trajectory:
    """Train the shard's models on contaminated `data` in the order `permutations` (R, E, n)."""
    trial = shard.trials[0]
    model = trial.problem.model
    rows = model.table(data.train_x, data.train_y, getattr(torch, trial.dtype))
    lanes = [Lane(trial.loss, trial.lr) for trial in shard.trials]
    return train(
        model,
        rows,
        permutations,
        initial_parameters(shard, data.indices),
        lanes,
        shard.schedule,
        shard.order.rearrangement(trial.batch_size),
        scales(trial.problem, shard.losses, data),
    )


def evaluate_shard(
    shard: Shard,
    data: Data,
    clean: Data,
    trajectory: Trajectory,
    checkpoints: CheckpointFolder | None = None,
) -> EvaluatedShard:
    """Evaluate a shard trained on contaminated `data`; `clean` are the rows before contamination.

    Its metrics are kept in `checkpoints`, if given.
    """
    metrics = measure_shard(shard, data, clean, trajectory)
    if checkpoints is not None:
        checkpoints.save(shard, metrics)
    return summarise_shard(shard, data, metrics)


def measure_shard(shard: Shard, data: Data, clean: Data, trajectory: Trajectory) -> ShardMetrics:
    """Return the shard's metrics on contaminated `data`; `clean` are the rows before contamination."""
    trial = shard.trials[0]
    return evaluate(
        Measurement(
            problem=trial.problem,
            data=data,
            targets={loss: target(trial.problem, loss, clean) for loss in shard.losses},
            scales=scales(trial.problem, shard.losses, data),
            losses=[trial.loss for trial in shard.trials],
            start=initial_parameters(shard, data.indices),
            trajectory=trajectory,
            steps_per_epoch=len(shard.schedule.steps(data.rows)),
            tolerance=trial.tolerance,
        )
    )


def summarise_shard(shard: Shard, data: Data, metrics: ShardMetrics) -> EvaluatedShard:
    """Summarise a shard, `metrics` being those on contaminated `data`."""
    trial = shard.trials[0]
    return EvaluatedShard(
        shard=shard,
        summaries=summarise(trial.problem, shard.trials, metrics),
        table=shard_table(trial.problem, shard.trials, metrics),
        rows=RowsDigest(
            name=f"{trial.problem} {shard.contamination}",
            digest=sha256(data.train_x.tobytes() + data.train_y.tobytes()).hexdigest()[:16],
            rows=data.rows,
            contaminated=int(data.contaminated[0].sum()),
        ),
    )
