"""Record a study in MLflow."""

from collections.abc import Mapping

from prefect import task
from prefect.cache_policies import NO_CACHE

from regress.pipeline.steps import EvaluatedShard
from regress.study import Study
from regress.tracking.record import Execution, TrialRecord, begin_execution, log_trials, resume_execution
from regress.tracking.store import Store
from regress.tracking.unfinished import find_unfinished
from tasks.progress import advance


@task(
    name="open execution",
    task_run_name="open execution of {study.name}",
    description="Creates the execution's parent run, before anything runs side by side.",
    cache_policy=NO_CACHE,
)
def open_execution(
    store: Store, study: Study, user: str, tags: Mapping[str, str], resume: bool
) -> Execution:
    """Open a new execution, or resume the newest one that is unfinished."""
    unfinished = find_unfinished(store, study) if resume else None
    if unfinished is None:
        return begin_execution(store, study, user, tags)
    return resume_execution(store, unfinished, user, tags)


@task(
    name="track",
    task_run_name="track {evaluated.shard.label}",
    description="One finished MLflow run a trial: params, histories, metrics, plot, data set.",
    cache_policy=NO_CACHE,
)
def track(execution: Execution, evaluated: EvaluatedShard, plots: tuple[bytes, ...]) -> None:
    positions = range(evaluated.shard.first, evaluated.shard.first + len(plots))
    records = [
        TrialRecord(position, summary, evaluated.rows, plot)
        for position, summary, plot in zip(positions, evaluated.summaries, plots, strict=True)
    ]
    log_trials(execution, records)
    advance("trials", len(records))
