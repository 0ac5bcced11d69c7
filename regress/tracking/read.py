"""Search and reading of recorded executions."""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlparse

import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from regress.errors import InputError
from regress.metrics.summary import QUANTILES
from regress.metrics.table import METRICS, history_names
from regress.report.outcome import Outcome
from regress.rerun.recorded import RecordedExecution
from regress.rerun.rows import parse_rows
from regress.study import Study
from regress.study.trial_filter import Fields, sort_trials
from regress.tracking.execution import PROBLEM, TAG_LIMIT
from regress.tracking.mlflow_internals import MLFLOW_PARENT_RUN_ID, local_artifact_folder
from regress.tracking.store import Store

KIND = "regress.kind"
REPRODUCES = "regress.reproduces"  # tag of a rerun with the id of the execution
VERDICT_AT = "regress.verdict_at"  # tag of an execution with the time of its last rerun


def read_record(store: Store, execution: Run) -> RecordedExecution:
    """Return the study, the rows of results and the environment of an execution.

    Raises
    ------
    InputError
        One of them is missing or unreadable, or the study cannot be run here.
    """
    study = read_study(store, execution)
    content = read_artifact(store, execution, "results.parquet")
    try:
        table = pq.read_table(io.BytesIO(content))
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(execution, "results.parquet", str(error)) from None
    try:
        rows = parse_rows(table, study.problem.model.parameters)
    except InputError as error:
        raise _unreadable(execution, "results.parquet", str(error)) from None
    try:
        environment = json.loads(read_artifact(store, execution, "environment.json"))
    except ValueError as error:
        raise _unreadable(execution, "environment.json", str(error)) from None
    if not isinstance(environment, dict):
        raise _unreadable(execution, "environment.json", "it is not an object")
    tags = execution.data.tags
    environment["code"] = tags.get("regress.code", environment.get("code"))
    return RecordedExecution(
        execution.info.run_id,
        execution.info.experiment_id,
        study,
        rows,
        environment,
        hours_since(tags.get(VERDICT_AT)),
    )


def read_study(store: Store, execution: Run) -> Study:
    """Return the study of an execution from its study.yaml.

    Raises
    ------
    InputError
        It is missing or unreadable, cannot be run here, or its table has changed since.
    """
    run_id = execution.info.run_id
    try:
        fields = yaml.safe_load(read_artifact(store, execution, "study.yaml"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise _unreadable(execution, "study.yaml", str(error)) from None
    if not isinstance(fields, dict):
        raise _unreadable(execution, "study.yaml", "it is not a mapping of fields to values")
    if newer := [str(name) for name in fields if name not in Study.model_fields]:
        raise InputError(f"RUN: {run_id} was recorded by a newer version: its study has {', '.join(newer)}")
    try:
        study = Study(**fields)
    except InputError as error:
        raise InputError(f"RUN: the study of {run_id} cannot be run here: {error}") from None
    recorded = execution.data.tags.get(PROBLEM)
    source = study.problem.source
    if source is not None and recorded not in (None, study.problem.identity[:TAG_LIMIT]):
        raise InputError(
            f"RUN: the table {source} has changed since {run_id} was recorded:"
            f" then {recorded}, now {study.problem.identity}"
        )
    return study


def read_artifact(store: Store, execution: Run, name: str) -> bytes:
    """Return an artifact of an execution.

    Raises
    ------
    InputError
        It is missing or cannot be read.
    """
    location = execution.info.artifact_uri
    try:
        if urlparse(location).scheme in ("", "file") and (folder := local_artifact_folder(location)):
            return (Path(folder) / name).read_bytes()  # MLflow would copy it, with a progress bar
        with TemporaryDirectory() as copied:
            return Path(store.client.download_artifacts(execution.info.run_id, name, copied)).read_bytes()
    except (MlflowException, OSError):
        raise InputError(f"RUN: {_run_and_status(execution)} has no readable {name}") from None


def hours_since(moment: str | None) -> float | None:
    """Return the hours since a time in ISO 8601; None without a valid time."""
    try:
        return (
            (datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds() / 3600 if moment else None
        )
    except (ValueError, TypeError):
        return None


def read_outcome(store: Store, execution: Run) -> Outcome:
    """Return the outcome of an execution.

    Raises
    ------
    InputError
        It is missing or unreadable.
    """
    try:
        return Outcome.from_json(json.loads(read_artifact(store, execution, "comparison.json")))
    except (ValueError, KeyError, TypeError):
        raise InputError(f"RUN: {_run_and_status(execution)} has no readable comparison.json") from None


def read_trials(store: Store, execution: Run) -> list[Fields]:
    """Return `run_id`, params and final metrics of each trial of an execution, the best first.

    Histories are left out: their last value may be from the last epoch before they became non-finite.

    Raises
    ------
    InputError
        No trial was recorded.
    """
    rows = [_fields(run) for run in read_trial_runs(store, execution)]
    if not rows:
        raise InputError(f"RUN: {_run_and_status(execution)} has no trials")
    names = {name for row in rows for name in row}
    rankings = [metric.final_name for metric in METRICS.values() if metric.ranks]
    ranking = next((name for name in reversed(rankings) if name in names), None)
    return sort_trials(rows, ranking) if ranking else rows


def read_trial_runs(store: Store, execution: Run) -> Iterator[Run]:
    """Yield the run of each trial of an execution."""
    return store.search_runs(
        [execution.info.experiment_id],
        f"tags.`{MLFLOW_PARENT_RUN_ID}` = '{execution.info.run_id}' and tags.`{KIND}` = 'trial'",
    )


def trials_as_csv(rows: Sequence[Fields]) -> str:
    """Return CSV with a line for each trial: run, params and final metrics, empty where not finite."""
    texts = dict.fromkeys(name for row in rows for name, value in row.items() if isinstance(value, str))
    numbers = sorted({name for row in rows for name in row} - texts.keys())
    text = io.StringIO()
    writer = csv.DictWriter(text, [*texts, *numbers], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _fields(run: Run) -> Fields:
    histories = {name + suffix for name in history_names() for suffix in QUANTILES}
    finals = {name: value for name, value in run.data.metrics.items() if name not in histories}
    return {"run_id": run.info.run_id, **run.data.params, **dict(sorted(finals.items()))}


def _run_and_status(execution: Run) -> str:
    return f"{execution.info.run_id} ({execution.info.status})"


def _unreadable(execution: Run, name: str, reason: str) -> InputError:
    first_line = (reason.strip().splitlines() or ["no reason given"])[0].rstrip(".")
    return InputError(f"RUN: the {name} of {_run_and_status(execution)} cannot be read: {first_line}")
