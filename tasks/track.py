"""Record a study in MLflow."""

from prefect import task
from prefect.cache_policies import NO_CACHE

from regress.pipeline.steps import EvaluatedShard
from regress.tracking import execution, trial_runs
from regress.tracking.execution import Execution
from tasks.progress import advance

open_execution = task(
    name="open execution",
    task_run_name="open execution of {study.name}",
    description="Creates the execution's parent run, before anything runs side by side.",
    cache_policy=NO_CACHE,
)(execution.open_execution)


@task(
    name="track",
    task_run_name="track {evaluated.shard.label}",
    description="One finished MLflow run a trial: params, histories, metrics, plot, data set.",
    cache_policy=NO_CACHE,
)
def track(execution: Execution, evaluated: EvaluatedShard, plots: tuple[bytes, ...]) -> None:
    """Record the trials of a shard, each with its figure."""
    trial_runs.log_shard(execution, evaluated, plots)
    advance("trials", len(plots))
