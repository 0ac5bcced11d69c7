"""Executions as MLflow runs: a parent run that is opened, written to, and closed."""

import json
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import yaml
from mlflow.entities import Metric, Param, Run

from regress.errors import ServiceLost
from regress.study import Study
from regress.tracking.environment import code_digest, environment, git_state, uncommitted_diff
from regress.tracking.mlflow_internals import (
    MLFLOW_GIT_COMMIT,
    MLFLOW_SOURCE_NAME,
    MLFLOW_USER,
)
from regress.tracking.retry import retry_on_disconnect
from regress.tracking.runs import FinishedRun, write_files
from regress.tracking.store import Store, get_or_create_experiment
from regress.tracking.unfinished import finished_children

FLOW_RUN = "prefect.flow_run_id"  # tag with the id of the flow run that made an execution
PROBLEM = "regress.problem"  # tag with the identity of an execution's problem and its data
_PARAM_LIMIT = 6000  # characters; MLflow refuses more
NAME_LIMIT = 250  # characters of a run's name
TAG_LIMIT = 8000  # characters of a tag's value


@dataclass(frozen=True)
class Execution:
    """A parent run that is being recorded: of a study, a rerun or the notebook."""

    store: Store
    experiment_id: str
    run_id: str
    user: str
    recorded: frozenset[str] = frozenset()  # keys of the child runs of an interrupted attempt
    interrupted: str | None = None  # the Prefect flow run of that attempt

    @property
    def address(self) -> str:
        return self.store.run_address(self.experiment_id, self.run_id)


def open_execution(
    store: Store, study: Study, user: str, tags: Mapping[str, str], unfinished: Run | None
) -> Execution:
    """Resume an unfinished execution of the study, or begin one where there is none.

    Raises
    ------
    InputError
        The study's experiment is deleted or not writable.
    ServiceLost
        The store cannot be reached, or a disk is full.
    """
    if unfinished is None:
        return begin_execution(store, study, user, tags)
    return resume_execution(store, unfinished, user, tags)


def begin_execution(store: Store, study: Study, user: str, tags: Mapping[str, str]) -> Execution:
    """Start the parent run of an execution.

    Raises
    ------
    InputError
        The study's experiment is deleted or not writable.
    ServiceLost
        The store cannot be reached, or a disk is full.
    """
    identity = {"regress.study": study.digest, PROBLEM: study.problem.identity[:TAG_LIMIT]}
    return open_parent(store, study.name, "study", user, {**identity, **tags})


@retry_on_disconnect
def resume_execution(store: Store, run: Run, user: str, tags: Mapping[str, str]) -> Execution:
    """Set an unfinished execution to RUNNING again and delete its unfinished child runs.

    Raises
    ------
    ServiceLost
        The store cannot be reached, or a disk is full.
    """
    experiment_id, run_id = run.info.experiment_id, run.info.run_id
    for name, value in tags.items():
        store.client.set_tag(run_id, name, value)
    store.client.update_run(run_id, status="RUNNING")
    recorded = finished_children(store, experiment_id, run_id)
    interrupted = run.data.tags.get(FLOW_RUN)
    return Execution(store, experiment_id, run_id, user, recorded, interrupted)


@retry_on_disconnect
def log_study(execution: Execution, study: Study) -> None:
    """Record the study's fields as params of the parent run, study and environment as artifacts.

    Raises
    ------
    ServiceLost
        The store cannot be reached, or a disk is full.
    """
    fields = study.model_dump(mode="json", exclude={"name"})
    params = [Param(name, param_text(value)) for name, value in fields.items()]
    execution.store.client.log_batch(execution.run_id, params=params)
    difference = uncommitted_diff()
    log_files(
        execution,
        {
            "study.yaml": study_yaml(study).encode(),
            **environment_file(),
            **({"uncommitted.diff": difference} if difference else {}),
        },
    )


@retry_on_disconnect
def open_parent(store: Store, name: str, kind: str, user: str, tags: Mapping[str, str]) -> Execution:
    """Start a parent run in the experiment `name`, which is created where it is missing.

    Raises
    ------
    InputError
        The experiment is deleted or not writable.
    ServiceLost
        The store cannot be reached, or a disk is full.
    """
    return open_run(store, get_or_create_experiment(store, name), name, kind, user, tags)


def open_run(
    store: Store, experiment_id: str, name: str, kind: str, user: str, tags: Mapping[str, str]
) -> Execution:
    """Start a run named `name` and the time, with tags on the code that makes it."""
    git = git_state() or {}
    run = store.client.create_run(
        experiment_id,
        start_time=now_in_ms(),
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


def log_children(execution: Execution, runs: Iterable[FinishedRun]) -> None:
    """Write finished child runs, except those that an interrupted attempt recorded.

    Raises
    ------
    ServiceLost
        The store cannot be reached, or a disk is full.
    """
    missing = [run for run in runs if run.key not in execution.recorded]
    if missing:
        execution.store.write(execution.experiment_id, missing)


@retry_on_disconnect
def log_files(execution: Execution, files: Mapping[str, bytes]) -> None:
    """Write artifacts of the parent run, by their paths inside it.

    Raises
    ------
    ServiceLost
        The store cannot be reached, or a disk is full.
    """
    with tempfile.TemporaryDirectory() as folder:
        write_files(folder, files)
        execution.store.client.log_artifacts(execution.run_id, folder)


@retry_on_disconnect
def finish_execution(execution: Execution, metrics: Mapping[str, float]) -> None:
    """Record metrics of the parent run and close it, FINISHED.

    Raises
    ------
    ServiceLost
        The store cannot be reached, or a disk is full.
    """
    client, run_id, at = execution.store.client, execution.run_id, now_in_ms()
    recorded = client.get_run(run_id).data.metrics  # a call that is repeated may have logged them
    logged = [Metric(name, value, at, 0) for name, value in metrics.items() if name not in recorded]
    client.log_batch(run_id, metrics=logged)
    client.set_terminated(run_id, "FINISHED")
    execution.store.refresh_statistics()


def abort_execution(execution: Execution, status: Literal["FAILED", "KILLED"]) -> None:
    """Close the parent run of an execution that did not finish."""
    execution.store.client.set_terminated(execution.run_id, status)


@contextmanager
def aborted_on_error(
    execution: Execution, interrupts: tuple[type[BaseException], ...] = (KeyboardInterrupt,)
) -> Iterator[None]:
    """Close the parent run if the block raises: KILLED for one of `interrupts`, else FAILED.

    A lost service leaves it RUNNING, because the store cannot be told.
    """
    try:
        yield
    except ServiceLost:
        raise
    except interrupts:
        abort_execution(execution, "KILLED")
        raise
    except BaseException:
        abort_execution(execution, "FAILED")
        raise


def environment_file() -> dict[str, bytes]:
    """Return the file `environment.json` on the environment of this process."""
    return {"environment.json": json.dumps(environment(), indent=1).encode()}


def study_yaml(study: Study) -> str:
    """Return the study with all fields as YAML that `regress run` reads."""
    return yaml.safe_dump(study.model_dump(mode="json"), sort_keys=False, width=100)


def param_text(value: Any) -> str:
    """Return a field as the text of an MLflow param, lists joined by commas, cut off at MLflow's limit."""
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= _PARAM_LIMIT else text[: _PARAM_LIMIT - 1] + "…"


def now_in_ms() -> int:
    """Return the time in milliseconds since 1970."""
    return int(time.time() * 1000)
