"""Shards: trials of a study that share rows, order and batch size, and are trained together."""

from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from regress.contaminations import Contamination
from regress.fleet import Schedule
from regress.losses import Loss
from regress.numerics import streams
from regress.orders import Order
from regress.study import Study, Trial

Floats = NDArray[np.float64]

_TRIALS = 64  # of a shard, which is logged at once: over a slow connection these take some seconds


@dataclass(frozen=True)
class Shard:
    """Trials of one study that share contamination, order and batch size."""

    trials: tuple[Trial, ...]
    first: int = 0  # position of its first trial in the study

    @property
    def contamination(self) -> Contamination:
        """The contamination of all its trials."""
        return self.trials[0].contamination

    @property
    def order(self) -> Order:
        """The order of all its trials."""
        return self.trials[0].order

    @property
    def losses(self) -> tuple[Loss, ...]:
        """The distinct losses of its trials."""
        return tuple(dict.fromkeys(trial.loss for trial in self.trials))

    @property
    def schedule(self) -> Schedule:
        """How rows become batches, for all its trials."""
        trial = self.trials[0]
        return Schedule(trial.batch_size, trial.reduction, trial.tail)

    @property
    def label(self) -> str:
        """A name for people."""
        trial = self.trials[0]
        return f"{self.contamination} · {self.order} · batch {trial.batch_size}"


def cut_into_shards(study: Study) -> tuple[Shard, ...]:
    """Return all trials of a study, at most 64 to a shard."""

    def shared(trial: Trial) -> tuple[Contamination, Order, int]:
        return trial.contamination, trial.order, trial.batch_size

    shards: list[Shard] = []
    first = 0
    for _, group in groupby(study.trials, key=shared):
        trials = tuple(group)
        shards += [Shard(trials[i : i + _TRIALS], first + i) for i in range(0, len(trials), _TRIALS)]
        first += len(trials)
    return tuple(shards)


def initial_parameters(shard: Shard, indices: range) -> Floats:
    """Return initial parameters (L, R, P): one draw for each replicate, scaled by each trial's sigma."""
    trial = shard.trials[0]
    model = trial.problem.model
    draws = streams.normals_by_replicate(model.draws, trial.seed, "init", indices)
    sigmas = np.array([trial.sigma for trial in shard.trials])[:, None]
    shape = (len(shard.trials), *draws.shape)
    return model.start(np.broadcast_to(sigmas, shape[:2]), np.broadcast_to(draws, shape))
