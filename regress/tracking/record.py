"""Executions and trials as MLflow runs: one parent, one child a trial."""

import json
import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import yaml
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param
from mlflow.utils.mlflow_tags import (
    MLFLOW_DATASET_CONTEXT,
    MLFLOW_SOURCE_NAME,
    MLFLOW_USER,
)

from regress.shards import RowsDigest
from regress.study import Study, Trial
from regress.summary import TrialSummary
from regress.tracking.environment import code_digest, environment, git_state
from regress.tracking.runs import FinishedRun, put
from regress.tracking.store import Store, experiment

_PARAM_LIMIT = 6000  # characters; MLflow refuses more
NAME_LIMIT = 250  # characters of a run's name


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
    fields = study.model_dump(mode="json", exclude={"name"})
    execution = open_parent(store, study.name, "study", user, {"regress.study": study.digest, **tags})
    params = [Param(name, param_text(value)) for name, value in fields.items()]
    store.client.log_batch(execution.run_id, params=params)
    attach(execution, {"study.yaml": study_yaml(study).encode()})
    return execution


def open_parent(store: Store, name: str, kind: str, user: str, tags: Mapping[str, str]) -> Execution:
    """Opens a parent run in the experiment `name`; what it runs on is tagged and attached."""
    experiment_id = experiment(store, name)
    git = git_state() or {}
    run = store.client.create_run(
        experiment_id,
        start_time=now(),
        run_name=f"{name} {time.strftime('%Y-%m-%d %H:%M:%S')}",
        tags={
            MLFLOW_USER: user,
            MLFLOW_SOURCE_NAME: "regress",
            "regress.kind": kind,
            "regress.code": code_digest(),
            **({"mlflow.source.git.commit": git["commit"]} if git else {}),
            **({"regress.git_dirty": str(git["dirty"]).lower()} if git else {}),
            **tags,
        },
    )
    execution = Execution(store, experiment_id, run.info.run_id, user)
    attach(execution, {"environment.json": json.dumps(environment(), indent=1).encode()})
    return execution


def log_trials(execution: Execution, records: Iterable[TrialRecord]) -> None:
    """Writes trials as finished child runs, their plots before their rows."""
    execution.store.write(execution.experiment_id, [_finished_run(execution, record) for record in records])


def attach(execution: Execution, files: Mapping[str, bytes]) -> None:
    """Artifacts of the parent run, by their paths inside it."""
    with tempfile.TemporaryDirectory() as folder:
        put(folder, files)
        execution.store.client.log_artifacts(execution.run_id, folder)


def finish(execution: Execution, metrics: Mapping[str, float]) -> None:
    """Closes the parent run, FINISHED."""
    at = now()
    logged = [Metric(name, value, at, 0) for name, value in metrics.items()]
    execution.store.client.log_batch(execution.run_id, metrics=logged)
    execution.store.client.set_terminated(execution.run_id, "FINISHED")
    execution.store.settle()


def fail(execution: Execution) -> None:
    """Closes the parent run, FAILED."""
    execution.store.client.set_terminated(execution.run_id, "FAILED")


def study_yaml(study: Study) -> str:
    """The study with every field, as YAML that `regress run` takes."""
    return yaml.safe_dump(study.model_dump(mode="json"), sort_keys=False, width=100)


def trial_params(trial: Trial) -> dict[str, str]:
    """A trial's fields as MLflow params, in the one text form."""
    return {name: param_text(value) for name, value in trial.model_dump(mode="json").items()}


def _finished_run(execution: Execution, record: TrialRecord) -> FinishedRun:
    trial, at = record.summary.trial, now()
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
    )


def _metrics(summary: TrialSummary, at: int) -> list[Metric]:
    """Final metrics, and histories by epoch; what is not finite is left out, never replaced.

    MLflow turns infinity into 1.8e308 and nan into 0, and would rank by them.
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


def param_text(value: Any) -> str:
    """A field as MLflow param: a list with commas, cut off where MLflow would refuse it."""
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= _PARAM_LIMIT else text[: _PARAM_LIMIT - 1] + "…"


def now() -> int:
    """Milliseconds since 1970."""
    return int(time.time() * 1000)
