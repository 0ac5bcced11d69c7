"""The steps of a study, as pure functions."""

from dataclasses import dataclass
from hashlib import sha256

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from regress.estimators.optimum import scales, target
from regress.fleet import Lane, Trajectory, train
from regress.metrics.evaluate import ShardMetrics, evaluate
from regress.metrics.measurement import Measurement
from regress.metrics.results import shard_table
from regress.metrics.summary import TrialSummary, summarise
from regress.problems import Data
from regress.study.shards import Shard, initial_parameters

Floats = NDArray[np.float64]


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


def train_shard(shard: Shard, data: Data, permutations: NDArray[np.intp]) -> Trajectory:
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


def evaluate_shard(shard: Shard, data: Data, clean: Data, trajectory: Trajectory) -> EvaluatedShard:
    """Evaluate a shard trained on contaminated `data`; `clean` are the rows before contamination."""
    return summarise_shard(shard, data, measure_shard(shard, data, clean, trajectory))


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
