"""Executions and trials as MLflow runs: one parent, one child a trial."""

import json
import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import yaml
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, Run

from regress.metrics.summary import TrialSummary
from regress.pipeline.steps import RowsDigest
from regress.study import Study, Trial
from regress.tracking.environment import code_digest, environment, git_state, uncommitted
from regress.tracking.mlflow_internals import (
    MLFLOW_DATASET_CONTEXT,
    MLFLOW_GIT_COMMIT,
    MLFLOW_SOURCE_NAME,
    MLFLOW_USER,
)
from regress.tracking.retry import retry_on_disconnect
from regress.tracking.runs import FinishedRun, put
from regress.tracking.store import Store, experiment
from regress.tracking.unfinished import finished_children

FLOW_RUN = "prefect.flow_run_id"  # the tag that names the flow run that made an execution
PROBLEM = "regress.problem"  # the tag that holds what an execution's rows were made of
_PARAM_LIMIT = 6000  # characters; MLflow refuses more
NAME_LIMIT = 250  # characters of a run's name
TAG_LIMIT = 8000  # characters of a tag's value


@dataclass(frozen=True)
class Execution:
    """One run of a study, being recorded."""

    store: Store
    experiment_id: str
    run_id: str
    user: str
    recorded: frozenset[str] = frozenset()  # keys of the child runs that an interrupted attempt has left
    interrupted: str | None = None  # the Prefect flow run of that attempt

    @property
    def address(self) -> str:
        return self.store.run_address(self.experiment_id, self.run_id)


@dataclass(frozen=True)
class TrialRecord:
    """All that one trial leaves in MLflow."""

    place: int  # of the trial in its study
    summary: TrialSummary
    rows: RowsDigest
    plot: bytes  # PNG


def begin(store: Store, study: Study, user: str, tags: Mapping[str, str]) -> Execution:
    """Opens the parent run of an execution."""
    identity = {"regress.study": study.digest, PROBLEM: study.problem.identity[:TAG_LIMIT]}
    return open_parent(store, study.name, "study", user, {**identity, **tags})


@retry_on_disconnect
def resume_execution(store: Store, run: Run, user: str, tags: Mapping[str, str]) -> Execution:
    """Returns an unfinished execution to RUNNING; child runs that are not finished are deleted."""
    experiment_id, run_id = run.info.experiment_id, run.info.run_id
    for name, value in tags.items():
        store.client.set_tag(run_id, name, value)
    store.client.update_run(run_id, status="RUNNING")
    recorded = finished_children(store, experiment_id, run_id)
    interrupted = run.data.tags.get(FLOW_RUN)
    return Execution(store, experiment_id, run_id, user, recorded, interrupted)


@retry_on_disconnect
def describe(execution: Execution, study: Study) -> None:
    """Gives the parent run the study's fields, and the study and the environment as artifacts."""
    fields = study.model_dump(mode="json", exclude={"name"})
    params = [Param(name, param_text(value)) for name, value in fields.items()]
    execution.store.client.log_batch(execution.run_id, params=params)
    difference = uncommitted()
    attach(
        execution,
        {
            "study.yaml": study_yaml(study).encode(),
            **environment_file(),
            **({"uncommitted.diff": difference} if difference else {}),
        },
    )


@retry_on_disconnect
def open_parent(store: Store, name: str, kind: str, user: str, tags: Mapping[str, str]) -> Execution:
    """Opens a parent run in the experiment `name`."""
    return open_run(store, experiment(store, name), name, kind, user, tags)


def open_run(
    store: Store, experiment_id: str, name: str, kind: str, user: str, tags: Mapping[str, str]
) -> Execution:
    """Opens a run, called `name` and the time, that says by which code it is made."""
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
            **({MLFLOW_GIT_COMMIT: git["commit"]} if git else {}),
            **({"regress.git_dirty": str(git["dirty"]).lower()} if git else {}),
            **tags,
        },
    )
    return Execution(store, experiment_id, run.info.run_id, user)


def log_trials(execution: Execution, records: Iterable[TrialRecord]) -> None:
    """Writes trials as finished child runs, their plots before their rows; those already there stay."""
    log_children(execution, [_finished_run(execution, record) for record in records])


def log_children(execution: Execution, runs: Iterable[FinishedRun]) -> None:
    """Writes finished child runs; those that an interrupted attempt has left stay as they are."""
    missing = [run for run in runs if run.key not in execution.recorded]
    if missing:
        execution.store.write(execution.experiment_id, missing)


@retry_on_disconnect
def attach(execution: Execution, files: Mapping[str, bytes]) -> None:
    """Artifacts of the parent run, by their paths inside it."""
    with tempfile.TemporaryDirectory() as folder:
        put(folder, files)
        execution.store.client.log_artifacts(execution.run_id, folder)


@retry_on_disconnect
def finish(execution: Execution, metrics: Mapping[str, float]) -> None:
    """Closes the parent run, FINISHED."""
    client, run_id, at = execution.store.client, execution.run_id, now()
    known = client.get_run(run_id).data.metrics
    logged = [Metric(name, value, at, 0) for name, value in metrics.items() if name not in known]
    client.log_batch(run_id, metrics=logged)
    client.set_terminated(run_id, "FINISHED")
    execution.store.settle()


def stop(execution: Execution, status: Literal["FAILED", "KILLED"]) -> None:
    """Closes the parent run before its time."""
    execution.store.client.set_terminated(execution.run_id, status)


def environment_file() -> dict[str, bytes]:
    """`environment.json`: what this process runs on."""
    return {"environment.json": json.dumps(environment(), indent=1).encode()}


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
        place=record.place,
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
