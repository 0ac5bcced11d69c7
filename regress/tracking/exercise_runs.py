"""The notebook's exercises as MLflow runs: one child of the execution for each exercise."""

import math
from collections.abc import Mapping, Sequence

from mlflow.entities import Metric

from regress.notebook import Exercise, Row
from regress.tracking.execution import Execution, log_children, now_in_ms
from regress.tracking.mlflow_internals import MLFLOW_SOURCE_NAME, MLFLOW_USER
from regress.tracking.runs import FinishedRun


def log_exercise(
    execution: Execution, exercise: Exercise, rows: Sequence[Row], files: Mapping[str, bytes]
) -> None:
    """Write an exercise as a run: its fits as params, quantiles as metrics, figures as artifacts.

    Raises
    ------
    ServiceLost
        The store cannot be reached, or a disk is full.
    """
    at = now_in_ms()
    run = FinishedRun(
        name=exercise.name,
        key=exercise.name,
        parent=execution.run_id,
        user=execution.user,
        start_time=at,
        end_time=at,
        tags={MLFLOW_USER: execution.user, MLFLOW_SOURCE_NAME: "regress", "regress.kind": "exercise"},
        params={
            _key(fit.label): f"{fit.trial.label} epochs={fit.trial.epochs}"
            f" reduction={fit.trial.reduction} tail={fit.trial.tail}"
            for fit in exercise.fits
        },
        metrics=[metric for row in rows for metric in _metrics(row, at)],
        dataset=None,
        files=files,
    )
    log_children(execution, [run])


def _metrics(row: Row, at: int) -> list[Metric]:
    values = {
        "notebook": row.notebook,
        "q0005": row.q0005,
        "median": row.median,
        "q9995": row.q9995,
        "nonfinite_fraction": row.nonfinite_fraction,
        "inside": None if row.inside is None else float(row.inside),
    }
    return [
        Metric(f"{_key(row.fit)}/{_key(row.quantity)}/{name}", value, at, 0)
        for name, value in values.items()
        if value is not None and math.isfinite(value)
    ]


def _key(text: str) -> str:
    """Return `text` without characters that MLflow refuses in names."""
    return text.replace(",", "").replace("−", "minus")
