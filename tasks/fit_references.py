"""Fit reference estimators to the trials' rows, and record them."""

from collections.abc import Sequence

from prefect import task
from prefect.cache_policies import NO_CACHE

from regress.contaminations import Contamination
from regress.estimators import references
from regress.estimators.references import Reference
from regress.tracking.execution import Execution
from regress.tracking.reference_runs import log_references

fit_references = task(
    name="fit references",
    task_run_name="fit references {contamination}",
    description="Fits reference estimators to the rows that the trials train on.",
    cache_policy=NO_CACHE,
)(references.fit_references)


@task(
    name="track references",
    task_run_name="track {contamination} · references",
    description="One finished MLflow run an estimator: params, metrics, each replicate's fit.",
    cache_policy=NO_CACHE,
)
def track_references(
    execution: Execution, contamination: Contamination, fitted: Sequence[Reference]
) -> None:
    """Record the reference estimators of one contamination."""
    log_references(execution, fitted)
