"""Measure a shard."""

from prefect import task
from prefect.cache_policies import NO_CACHE

from regress.fleet import Trajectory
from regress.problems import Data
from regress.shards import Evaluated, Shard, evaluate_shard


@task(
    name="evaluate",
    task_run_name="evaluate {shard.label}",
    description="Losses, parameter error and divergence of every lane, in float64.",
    cache_policy=NO_CACHE,
)
def evaluate(shard: Shard, data: Data, clean: Data, trajectory: Trajectory) -> Evaluated:
    return evaluate_shard(shard, data, clean, trajectory)
