"""Measure a shard."""

from prefect import task
from prefect.cache_policies import NO_CACHE

from regress.pipeline import steps

evaluate = task(
    name="evaluate",
    task_run_name="evaluate {shard.label}",
    description="Losses, parameter error and divergence of every model, in float64.",
    cache_policy=NO_CACHE,
)(steps.evaluate_shard)

restore = task(
    name="restore",
    task_run_name="restore {shard.label}",
    description="Reads what an interrupted attempt has trained already.",
    cache_policy=NO_CACHE,
)(steps.summarise_shard)
