"""Trials as MLflow runs: one child of the execution for each trial."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mlflow.entities import Dataset, DatasetInput, InputTag, Metric

from regress.metrics.summary import TrialSummary
from regress.pipeline.steps import EvaluatedShard, RowsDigest
from regress.study import Trial
from regress.tracking.execution import NAME_LIMIT, Execution, log_children, now_in_ms, param_text
from regress.tracking.mlflow_internals import MLFLOW_DATASET_CONTEXT, MLFLOW_SOURCE_NAME, MLFLOW_USER
from regress.tracking.runs import FinishedRun


@dataclass(frozen=True)
class TrialRecord:
    """All that is recorded of a trial."""

    position: int  # of the trial in its study
    summary: TrialSummary
    rows: RowsDigest
    plot: bytes  # PNG


def is_recorded(execution: Execution, evaluated: EvaluatedShard) -> bool:
    """Whether an interrupted attempt has recorded all trials of the shard."""
    return all(trial.digest in execution.recorded for trial in evaluated.shard.trials)


def log_shard(execution: Execution, evaluated: EvaluatedShard, plots: Sequence[bytes]) -> None:
    """Write the trials of a shard as finished child runs, each with its plot, a PNG.

    Raises
    ------
    ServiceLost
        The store cannot be reached, or a disk is full.
    """
    drawn = zip(evaluated.summaries, plots, strict=True)
    log_trials(
        execution,
        [
            TrialRecord(position, summary, evaluated.rows, plot)
            for position, (summary, plot) in enumerate(drawn, evaluated.shard.first)
        ],
    )


def log_trials(execution: Execution, records: Iterable[TrialRecord]) -> None:
    """Write trials as finished child runs; those that are recorded already stay unchanged.

    Raises
    ------
    ServiceLost
        The store cannot be reached, or a disk is full.
    """
    log_children(execution, [_finished_run(execution, record) for record in records])


def trial_params(trial: Trial) -> dict[str, str]:
    """Return a trial's fields as texts of MLflow params."""
    return {name: param_text(value) for name, value in trial.model_dump(mode="json").items()}


def _finished_run(execution: Execution, record: TrialRecord) -> FinishedRun:
    trial, at = record.summary.trial, now_in_ms()
    return FinishedRun(
        name=trial.label[:NAME_LIMIT],
        key=trial.digest,
        parent=execution.run_id,
        user=execution.user,
        start_time=at,
        end_time=at,
        tags={
            MLFLOW_USER: execution.user,
            MLFLOW_SOURCE_NAME: "regress",
            "regress.kind": "trial",
            "regress.trial": trial.digest,
        },
        params=trial_params(trial),
        metrics=_metrics(record.summary, at),
        dataset=_dataset_input(record.rows),
        files={"trial.png": record.plot},
        position=record.position,
    )


def _metrics(summary: TrialSummary, at: int) -> list[Metric]:
    """Return the final metrics, and the histories by epoch; non-finite values are left out.

    MLflow turns infinity into 1.8e308 and nan into 0, and would sort by them.
    """
    epochs = len(summary.histories["train_loss"].median)
    metrics = [Metric(name, value, at, epochs) for name, value in summary.metrics.items()]
    for name, quantiles in summary.histories.items():
        for suffix, values in zip(("", "_q05", "_q95"), quantiles, strict=True):
            metrics += [
                Metric(name + suffix, float(value), at, epoch)
                for epoch, value in enumerate(values, 1)
                if abs(value) != float("inf")
            ]
    return metrics


def _dataset_input(rows: RowsDigest) -> DatasetInput:
    profile = {"rows": rows.rows, "contaminated": rows.contaminated}
    entity = Dataset(
        name=rows.name[:500],
        digest=rows.digest,
        source_type="code",
        source=json.dumps({"tags": {"mlflow.source.name": "regress"}}),
        profile=json.dumps(profile),
    )
    return DatasetInput(entity, [InputTag(MLFLOW_DATASET_CONTEXT, "training")])
