"""Measure a shard."""

from prefect import task
from prefect.cache_policies import NO_CACHE

from regress.fleet import Trajectory
from regress.metrics.evaluate import ShardMetrics
from regress.pipeline.checkpoint import CheckpointFolder
from regress.pipeline.steps import EvaluatedShard, measure_shard, summarise_shard
from regress.problems import Data
from regress.study.shards import Shard
from tasks.progress import advance


@task(
    name="evaluate",
    task_run_name="evaluate {shard.label}",
    description="Losses, parameter error and divergence of every lane, in float64.",
    cache_policy=NO_CACHE,
)
def evaluate(
    shard: Shard, data: Data, clean: Data, trajectory: Trajectory, spool: CheckpointFolder
) -> EvaluatedShard:
    outcome = measure_shard(shard, data, clean, trajectory)
    spool.save(shard, outcome)
    return summarise_shard(shard, data, outcome)


@task(
    name="restore",
    task_run_name="restore {shard.label}",
    description="What an interrupted attempt has trained already.",
    cache_policy=NO_CACHE,
)
def restore(shard: Shard, data: Data, outcome: ShardMetrics) -> EvaluatedShard:
    advance("lanes", len(shard.trials) * data.replicates)
    return summarise_shard(shard, data, outcome)
