"""Fit the field's own estimators to the trials' rows, and record them."""

from collections.abc import Sequence

from prefect import task
from prefect.cache_policies import NO_CACHE

from regress.contaminations import Contamination
from regress.estimators.references import Reference, references
from regress.problems import Data, Problem
from regress.tracking.record import Execution
from regress.tracking.reference_runs import log_references


@task(
    name="refer",
    task_run_name="refer {contamination}",
    description="Fits the field's own estimators to the rows that the trials train on.",
    cache_policy=NO_CACHE,
)
def fit_references(
    problem: Problem, contamination: Contamination, data: Data, clean: Data
) -> tuple[Reference, ...]:
    return references(problem, contamination, data, clean)


@task(
    name="track references",
    task_run_name="track {contamination} · references",
    description="One finished MLflow run an estimator: params, metrics, each replicate's fit.",
    cache_policy=NO_CACHE,
)
def track_references(
    execution: Execution, contamination: Contamination, fitted: Sequence[Reference]
) -> None:
    log_references(execution, fitted)
