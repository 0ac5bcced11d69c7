"""Retrains a study from its fields alone: no cache, no checkpoint, no other file of the execution."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from regress.pipeline.run import run_shard
from regress.pipeline.steps import EvaluatedShard
from regress.problems import Data
from regress.rerun.rows import Rows, parse_rows
from regress.study import Dtype, Study
from regress.study.shards import Shard

# Philox is keyed by the seed: any other seed gives other streams. The control `seed + 1` needs another one.
_SEED_OFFSET = 2**63


@dataclass(frozen=True)
class Perturbation:
    """The identity; subclasses change the training data on purpose."""

    def __call__(self, data: Data) -> Data:
        """Return the perturbed data."""
        return data


UNPERTURBED = Perturbation()


@dataclass(frozen=True)
class OneRowPerturbation(Perturbation):
    """Multiplies the features of one training row of each replicate, the farthest out, by `factor`."""

    factor: float

    def __call__(self, data: Data) -> Data:
        """Return the perturbed data."""
        x = data.train_x.copy()
        farthest = np.abs(x).max(axis=-1).argmax(axis=-1)
        x[np.arange(len(x)), farthest] *= self.factor
        return replace(data, train_x=x)


@dataclass(frozen=True)
class RoundingPerturbation(Perturbation):
    """Multiplies every feature by 1 + eps of `dtype`, as much as another order of additions may change."""

    dtype: Dtype

    def __call__(self, data: Data) -> Data:
        """Return the perturbed data."""
        return replace(data, train_x=data.train_x * (1 + float(np.finfo(self.dtype).eps)))


def retrain(shard: Shard, clean: Data, perturbation: Perturbation = UNPERTURBED) -> EvaluatedShard:
    """Train and evaluate `shard` on the problem's rows `clean`, perturbed after contamination."""
    return run_shard(shard, clean, perturbation)


def with_fresh_seed(study: Study, replicates: int) -> Study:
    """Return the study with an independent seed, the same for every rerun, and `replicates` replicates."""
    return study.model_copy(update={"seed": (study.seed + _SEED_OFFSET) % 2**64, "replicates": replicates})


def with_next_seed(study: Study) -> Study:
    """Return the study with its seed plus 1."""
    return study.model_copy(update={"seed": (study.seed + 1) % 2**64})


def scale_lrs(study: Study, factor: float) -> Study:
    """Return the study with every learning rate multiplied by `factor`."""
    return study.model_copy(update={"lrs": tuple(lr * factor for lr in study.lrs)})


def collect_rows(
    study: Study, evaluated: Sequence[EvaluatedShard], changed_study: Study | None = None
) -> Rows:
    """Return the rows of evaluated shards of `study`.

    If the shards are those of a `changed_study`, its trials get the digests of `study`'s trials.
    """
    rows = parse_rows(
        pa.concat_tables([shard.table for shard in evaluated]), study.problem.model.parameters
    )
    if changed_study is None:
        return rows
    pairs = zip(changed_study.trials, study.trials, strict=True)
    digests = {changed.digest: original.digest for changed, original in pairs}
    return replace(rows, keys=rows.keys.assign(trial=rows.keys.trial.map(digests)))
