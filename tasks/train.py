"""Train a shard."""

from prefect import task
from prefect.cache_policies import NO_CACHE

from regress.pipeline import steps

train = task(
    name="train",
    task_run_name="train {shard.label}",
    description="Trains every model of a shard at once.",
    cache_policy=NO_CACHE,
)(steps.train_shard)
