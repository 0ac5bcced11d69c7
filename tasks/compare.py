"""Compare all trials."""

from prefect import task
from prefect.cache_policies import NO_CACHE

from regress.pipeline import run

compare = task(
    name="compare",
    task_run_name="compare the trials of {study.name}",
    description="Winners, divergence, order effects, reference estimators, published fits.",
    cache_policy=NO_CACHE,
)(run.compare_study)
