"""Draw the clean rows."""

from prefect import task
from prefect.cache_policies import NO_CACHE

from regress.pipeline import steps

generate = task(
    name="generate",
    task_run_name="generate {problem}",
    description="Draws the clean training and validation rows of every replicate.",
    cache_policy=NO_CACHE,
)(steps.generate)
