"""Executions and trials as MLflow runs: one parent, one child a trial."""

import json
import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param
from mlflow.utils.mlflow_tags import (
    MLFLOW_DATASET_CONTEXT,
    MLFLOW_PARENT_RUN_ID,
    MLFLOW_SOURCE_NAME,
    MLFLOW_USER,
)

from regress.shards import RowsDigest
from regress.study import Study, Trial
from regress.summary import TrialSummary
from regress.tracking.environment import code_digest, environment, git_state
from regress.tracking.store import Store, experiment

_PARAM_LIMIT = 6000  # characters; MLflow refuses more
_METRICS_A_REQUEST = 1000


@dataclass(frozen=True)
class Execution:
    """One run of a study, being recorded."""

    store: Store
    experiment_id: str
    run_id: str
    user: str

    @property
    def address(self) -> str:
        return self.store.run_address(self.experiment_id, self.run_id)


@dataclass(frozen=True)
class TrialRecord:
    """All that one trial leaves in MLflow."""

    summary: TrialSummary
    rows: RowsDigest
    plot: bytes  # PNG


def begin(store: Store, study: Study, user: str, tags: Mapping[str, str]) -> Execution:
    """Opens the parent run of an execution, with the study and the environment as artifacts."""
    experiment_id = experiment(store, study.name)
    git = git_state() or {}
    run = store.client.create_run(
        experiment_id,
        start_time=_now(),
        run_name=f"{study.name} {time.strftime('%Y-%m-%d %H:%M:%S')}",
        tags={
            MLFLOW_USER: user,
            MLFLOW_SOURCE_NAME: "regress",
            "regress.kind": "study",
            "regress.study": study.digest,
            "regress.code": code_digest(),
            **({"mlflow.source.git.commit": git["commit"]} if git else {}),
            **({"regress.git_dirty": str(git["dirty"]).lower()} if git else {}),
            **tags,
        },
    )
    execution = Execution(store, experiment_id, run.info.run_id, user)
    fields = study.model_dump(mode="json", exclude={"name"})
    params = [Param(name, _param(value)) for name, value in fields.items()]
    store.client.log_batch(execution.run_id, params=params)
    attach(
        execution,
        {
            "study.yaml": study_yaml(study).encode(),
            "environment.json": json.dumps(environment(), indent=1).encode(),
        },
    )
    return execution


def log_trials(execution: Execution, records: Iterable[TrialRecord]) -> int:
    """Writes trials as finished child runs, each with its plot before its rows; how many."""
    count = 0
    for record in records:
        _log_trial(execution, record)
        count += 1
    return count


def attach(execution: Execution, files: Mapping[str, bytes]) -> None:
    """Artifacts of the parent run, by their paths inside it."""
    _upload(execution, execution.run_id, files)


def finish(execution: Execution, metrics: Mapping[str, float]) -> None:
    """Closes the parent run, FINISHED."""
    now = _now()
    logged = [Metric(name, value, now, 0) for name, value in metrics.items()]
    execution.store.client.log_batch(execution.run_id, metrics=logged)
    execution.store.client.set_terminated(execution.run_id, "FINISHED")


def fail(execution: Execution) -> None:
    """Closes the parent run, FAILED."""
    execution.store.client.set_terminated(execution.run_id, "FAILED")


def study_yaml(study: Study) -> str:
    """The study with every field, as YAML that `regress run` takes."""
    return yaml.safe_dump(study.model_dump(mode="json"), sort_keys=False, width=100)


def trial_params(trial: Trial) -> dict[str, str]:
    """A trial's fields as MLflow params, in the one text form."""
    return {name: _param(value) for name, value in trial.model_dump(mode="json").items()}


def _log_trial(execution: Execution, record: TrialRecord) -> None:
    client, trial, now = execution.store.client, record.summary.trial, _now()
    run_id = client.create_run(
        execution.experiment_id,
        start_time=now,
        run_name=trial.label[:250],
        tags={
            MLFLOW_USER: execution.user,
            MLFLOW_SOURCE_NAME: "regress",
            MLFLOW_PARENT_RUN_ID: execution.run_id,
            "regress.kind": "trial",
            "regress.trial": trial.digest,
        },
    ).info.run_id
    _upload(execution, run_id, {"trial.png": record.plot})
    client.log_inputs(run_id, [_dataset_input(record.rows)])
    metrics = _metrics(record.summary, now)
    params = [Param(name, value) for name, value in trial_params(trial).items()]
    for first in range(0, len(metrics), _METRICS_A_REQUEST):
        client.log_batch(run_id, metrics=metrics[first : first + _METRICS_A_REQUEST])
    client.log_batch(run_id, params=params)
    client.set_terminated(run_id, "FINISHED")


def _metrics(summary: TrialSummary, now: int) -> list[Metric]:
    """Final metrics, and histories by epoch; what is not finite is left out, never replaced.

    MLflow turns infinity into 1.8e308 and nan into 0, and would rank by them.
    """
    epochs = len(summary.histories["train_loss"].median)
    metrics = [Metric(name, value, now, epochs) for name, value in summary.metrics.items()]
    for name, quantiles in summary.histories.items():
        for suffix, values in zip(("", "_q05", "_q95"), quantiles, strict=True):
            metrics += [
                Metric(name + suffix, float(value), now, epoch)
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


def _upload(execution: Execution, run_id: str, files: Mapping[str, bytes]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            file = Path(folder, name)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        execution.store.client.log_artifacts(run_id, folder)


def _param(value: Any) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= _PARAM_LIMIT else text[: _PARAM_LIMIT - 1] + "…"


def _now() -> int:
    return int(time.time() * 1000)


