"""Record a study in MLflow."""

from collections.abc import Mapping

from prefect import task
from prefect.cache_policies import NO_CACHE

from regress.pipeline.steps import EvaluatedShard
from regress.study import Study
from regress.study.shards import Shard
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
    left = find_unfinished(store, study) if resume else None
    return (
        begin_execution(store, study, user, tags)
        if left is None
        else resume_execution(store, left, user, tags)
    )


@task(
    name="track",
    task_run_name="track {shard.label}",
    description="One finished MLflow run a trial: params, histories, metrics, plot, data set.",
    cache_policy=NO_CACHE,
)
def track(execution: Execution, shard: Shard, evaluated: EvaluatedShard, plots: tuple[bytes, ...]) -> None:
    records = [
        TrialRecord(place, summary, evaluated.rows, plot)
        for place, (summary, plot) in enumerate(zip(evaluated.summaries, plots, strict=True), shard.first)
    ]
    log_trials(execution, records)
    advance("trials", len(shard.trials))
