"""Draw the clean rows."""

from prefect import task
from prefect.cache_policies import NO_CACHE

from regress.problems import Data, Problem


@task(
    name="generate",
    task_run_name="generate {problem}",
    description="Draws the clean training and validation rows of every replicate.",
    cache_policy=NO_CACHE,
)
def generate(problem: Problem, seed: int, replicates: int) -> Data:
    return problem.draw(seed, replicates)
