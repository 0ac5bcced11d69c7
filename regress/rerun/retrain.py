"""A study trained again from its fields alone: no cache, no spool, nothing that an execution has left."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from regress.pipeline.run import run_shard
from regress.pipeline.steps import EvaluatedShard
from regress.problems import Data
from regress.rerun.rows import Rows, rows
from regress.study import Dtype, Study
from regress.study.shards import Shard

# Philox is keyed by the seed: any other one opens other streams. This one is nobody's with_next_seed.
_FRESH = 2**63


@dataclass(frozen=True)
class Perturbation:
    """Returns its data as they are; others change something on purpose."""

    def __call__(self, data: Data) -> Data:
        return data


UNPERTURBED = Perturbation()


@dataclass(frozen=True)
class OneRowPerturbation(Perturbation):
    """The features of one training row of each replicate, the one farthest out, times `factor`."""

    factor: float

    def __call__(self, data: Data) -> Data:
        x = data.train_x.copy()
        farthest = np.abs(x).max(axis=-1).argmax(axis=-1)
        x[np.arange(len(x)), farthest] *= self.factor
        return replace(data, train_x=x)


@dataclass(frozen=True)
class RoundingPerturbation(Perturbation):
    """Every feature off by one rounding of `dtype`: what another order of additions might do."""

    dtype: Dtype

    def __call__(self, data: Data) -> Data:
        return replace(data, train_x=data.train_x * (1 + float(np.finfo(self.dtype).eps)))


def retrain(shard: Shard, clean: Data, alter: Perturbation = UNPERTURBED) -> EvaluatedShard:
    """What `shard` leaves; `clean` are its problem's rows, `alter` is done to the contaminated ones."""
    return run_shard(shard, clean, alter)


def with_seed(study: Study, replicates: int) -> Study:
    """The same study under another seed."""
    return study.model_copy(update={"seed": (study.seed + _FRESH) % 2**64, "replicates": replicates})


def with_next_seed(study: Study) -> Study:
    """The same study under the next seed."""
    return study.model_copy(update={"seed": (study.seed + 1) % 2**64})


def faster(study: Study, factor: float) -> Study:
    """The same study with every learning rate times `factor`."""
    return study.model_copy(update={"lrs": tuple(lr * factor for lr in study.lrs)})


def results(study: Study, evaluated: Sequence[EvaluatedShard], changed: Study | None = None) -> Rows:
    """The rows of shards of `study`; those of a `changed` one go under the digests of `study`'s trials."""
    found = rows(pa.concat_tables([shard.table for shard in evaluated]), study.problem.model.parameters)
    if changed is None:
        return found
    pairs = zip(changed.trials, study.trials, strict=True)
    names = {theirs.digest: ours.digest for theirs, ours in pairs}
    return replace(found, keys=found.keys.assign(trial=found.keys.trial.map(names)))
