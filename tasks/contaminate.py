"""Replace some training rows."""

from prefect import task
from prefect.cache_policies import NO_CACHE

from regress.contaminations import Contamination
from regress.problems import Data, Model


@task(
    name="contaminate",
    task_run_name="contaminate {contamination}",
    description="Replaces training rows by outliers and keeps the mask.",
    cache_policy=NO_CACHE,
)
def contaminate(contamination: Contamination, data: Data, model: Model, seed: int) -> Data:
    return contamination.apply(data, model, seed)
