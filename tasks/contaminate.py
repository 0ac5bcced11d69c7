"""Replace some training rows."""

from prefect import task
from prefect.cache_policies import NO_CACHE

from regress.pipeline import steps

contaminate = task(
    name="contaminate",
    task_run_name="contaminate {contamination}",
    description="Replaces training rows by outliers and keeps the mask.",
    cache_policy=NO_CACHE,
)(steps.contaminate)
