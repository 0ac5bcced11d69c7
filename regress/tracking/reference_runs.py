"""References as MLflow runs: one child of the execution for each estimator and contamination."""

from collections.abc import Iterable

import pandas as pd
from mlflow.entities import Metric

from regress.estimators.references import Reference
from regress.tracking.execution import NAME_LIMIT, TAG_LIMIT, Execution, log_children, now_in_ms, param_text
from regress.tracking.mlflow_internals import MLFLOW_SOURCE_NAME, MLFLOW_USER
from regress.tracking.runs import FinishedRun


def log_references(execution: Execution, references: Iterable[Reference]) -> None:
    """Write references as finished child runs with the fits of all replicates as an artifact.

    Raises
    ------
    ServiceLost
        The store cannot be reached, or a disk is full.
    """
    log_children(execution, [_finished_run(execution, reference) for reference in references])


def _finished_run(execution: Execution, reference: Reference) -> FinishedRun:
    at = now_in_ms()
    name, contamination = reference.estimator.name, str(reference.contamination)
    failures = sorted({failure for failure in reference.failures if failure is not None})
    return FinishedRun(
        name=f"{name} {contamination}"[:NAME_LIMIT],
        key=f"reference/{name}/{contamination}",
        parent=execution.run_id,
        user=execution.user,
        start_time=at,
        end_time=at,
        tags={
            MLFLOW_USER: execution.user,
            MLFLOW_SOURCE_NAME: "regress",
            "regress.kind": "reference",
            **({"regress.failures": "; ".join(failures)[:TAG_LIMIT]} if failures else {}),
        },
        params={
            "estimator": name,
            "library": reference.estimator.library,
            "contamination": contamination,
            "problem": param_text(reference.problem),
        },
        metrics=[Metric(key, value, at, 0) for key, value in reference.metrics.items()],
        dataset=None,
        files={"fits.csv": _fits(reference).to_csv(index_label="replicate").encode()},
    )


def _fits(reference: Reference) -> pd.DataFrame:
    """Return a row for each replicate: estimate in the user's units, metrics, and why a fit failed."""
    names = [f"coef_{name}" for name in reference.problem.parameter_names]
    return pd.DataFrame(
        {
            **dict(zip(names, reference.user_params.T, strict=True)),
            "scale": reference.scale,
            **reference.finals,
            "failure": reference.failures,
        }
    )
