"""Train a shard."""

import numpy as np
from numpy.typing import NDArray
from prefect import task
from prefect.cache_policies import NO_CACHE

from regress.fleet import Trajectory
from regress.pipeline.steps import train_shard
from regress.problems import Data
from regress.study.shards import Shard
from tasks.progress import advance


@task(
    name="train",
    task_run_name="train {shard.label}",
    description="Trains every lane of a shard in one fleet.",
    cache_policy=NO_CACHE,
)
def train(shard: Shard, data: Data, permutations: NDArray[np.intp]) -> Trajectory:
    trajectory = train_shard(shard, data, permutations)
    advance("lanes", len(shard.trials) * data.replicates)
    return trajectory
