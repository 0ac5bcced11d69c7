"""How a study is cut: the trials of a shard share rows, order and batch size, and are trained together."""

from dataclasses import dataclass
from hashlib import sha256
from itertools import groupby

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from regress import streams
from regress.baselines import scales, target
from regress.contamination import Contamination
from regress.fleet import Lane, Schedule, Trajectory, train
from regress.losses import Loss
from regress.metrics import Outcome, evaluate
from regress.orders import Order
from regress.problems import Data
from regress.results import shard_table
from regress.study import Study, Trial
from regress.summary import TrialSummary, summarise

Floats = NDArray[np.float64]

_TRIALS = 64  # a shard is logged as one; this many take some seconds over a slow connection


@dataclass(frozen=True)
class Shard:
    """Trials of one study that share contamination, order and batch size."""

    trials: tuple[Trial, ...]
    first: int = 0  # the place of its first trial in the study

    @property
    def contamination(self) -> Contamination:
        return self.trials[0].contamination

    @property
    def order(self) -> Order:
        return self.trials[0].order

    @property
    def losses(self) -> tuple[Loss, ...]:
        """Each loss once."""
        return tuple(dict.fromkeys(trial.loss for trial in self.trials))

    @property
    def schedule(self) -> Schedule:
        trial = self.trials[0]
        return Schedule(trial.batch_size, trial.reduction, trial.tail)

    @property
    def label(self) -> str:
        trial = self.trials[0]
        return f"{self.contamination} · {self.order} · batch {trial.batch_size}"


@dataclass(frozen=True)
class RowsDigest:
    """The training rows of all replicates, by their content; counts are of one replicate."""

    name: str
    digest: str
    rows: int
    contaminated: int


@dataclass(frozen=True)
class Evaluated:
    """What a shard leaves: summaries in the order of its trials, and its rows of results.parquet."""

    summaries: tuple[TrialSummary, ...]
    table: pa.Table
    rows: RowsDigest


def shards(study: Study) -> tuple[Shard, ...]:
    """All trials of a study, at most 64 to a shard."""

    def stream(trial: Trial) -> tuple[Contamination, Order, int]:
        return trial.contamination, trial.order, trial.batch_size

    cut: list[Shard] = []
    first = 0
    for _, group in groupby(study.trials(), key=stream):
        trials = tuple(group)
        cut += [Shard(trials[i : i + _TRIALS], first + i) for i in range(0, len(trials), _TRIALS)]
        first += len(trials)
    return tuple(cut)


def start(shard: Shard, indices: range) -> Floats:
    """Initial parameters (L, R, P): one draw for each replicate, scaled by each trial's sigma."""
    trial = shard.trials[0]
    model = trial.problem.model
    draws = streams.normals_by_replicate(model.draws, trial.seed, "init", indices)
    sigmas = np.array([trial.sigma for trial in shard.trials])[:, None]
    shape = (len(shard.trials), *draws.shape)
    return model.start(np.broadcast_to(sigmas, shape[:2]), np.broadcast_to(draws, shape))


def train_shard(shard: Shard, data: Data, permutations: NDArray[np.intp]) -> Trajectory:
    """The shard's lanes, trained on contaminated `data` in the order `permutations` (R, E, n)."""
    trial = shard.trials[0]
    model = trial.problem.model
    rows = model.table(data.train_x, data.train_y, getattr(torch, trial.dtype))
    lanes = [Lane(trial.loss, trial.lr) for trial in shard.trials]
    return train(
        model,
        rows,
        permutations,
        start(shard, data.indices),
        lanes,
        shard.schedule,
        shard.order.rearrangement(trial.batch_size),
        scales(trial.problem, shard.losses, data),
    )


def evaluate_shard(shard: Shard, data: Data, clean: Data, trajectory: Trajectory) -> Evaluated:
    """What the shard leaves, trained on contaminated `data`; `clean` is what it was before."""
    return summarise_shard(shard, data, measure_shard(shard, data, clean, trajectory))


def measure_shard(shard: Shard, data: Data, clean: Data, trajectory: Trajectory) -> Outcome:
    """The shard's metrics on contaminated `data`; `clean` is what it was before."""
    trial = shard.trials[0]
    losses = [trial.loss for trial in shard.trials]
    return evaluate(
        trial.problem,
        data,
        {loss: target(trial.problem, loss, clean) for loss in shard.losses},
        scales(trial.problem, shard.losses, data),
        losses,
        start(shard, data.indices),
        trajectory,
        len(shard.schedule.steps(data.rows)),
        trial.tolerance,
    )


def summarise_shard(shard: Shard, data: Data, outcome: Outcome) -> Evaluated:
    """What the shard leaves, `outcome` being its metrics on contaminated `data`."""
    trial = shard.trials[0]
    return Evaluated(
        summaries=summarise(trial.problem, shard.trials, outcome),
        table=shard_table(trial.problem, shard.trials, outcome),
        rows=RowsDigest(
            name=f"{trial.problem} {shard.contamination}",
            digest=sha256(data.train_x.tobytes() + data.train_y.tobytes()).hexdigest()[:16],
            rows=data.rows,
            contaminated=int(data.contaminated[0].sum()),
        ),
    )
