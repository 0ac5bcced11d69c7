"""Recorded executions, found and read back."""

import csv
import io
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from mlflow.entities import LifecycleStage, Run
from mlflow.exceptions import MlflowException

from regress.errors import InputError
from regress.metrics.table import history_names
from regress.problems import Table
from regress.report.format import RANKINGS, final_metric
from regress.rerun.recorded import Record
from regress.rerun.rows import rows as as_rows
from regress.study import Study
from regress.study.load import validate
from regress.study.trial_filter import Fields, arrange
from regress.tracking.mlflow_internals import MLFLOW_PARENT_RUN_ID
from regress.tracking.record import PROBLEM, TAG_LIMIT
from regress.tracking.store import Store

KIND = "regress.kind"
BASELINE = "regress.baseline"  # of the execution that reruns are held against, where one was pinned
REPRODUCES = "regress.reproduces"  # of a rerun: the execution
VERDICT_AT = "regress.verdict_at"  # of an execution: when it was last rerun
_A_PAGE = 1000  # runs, MLflow's default
_BY_EPOCH = {name + suffix for name in history_names() for suffix in ("", "_q05", "_q95")}


def find_execution(store: Store, run: str) -> Run:
    """The parent run with id `run`, or the newest finished one for `latest`.

    Raises InputError where there is none, or the run is not an execution.
    """
    if run == "latest":
        return _latest(store)
    try:
        found = store.client.get_run(run)
    except MlflowException:
        raise InputError(f"RUN: no run {run!r} in {store.shown}, expected an id or latest") from None
    kind, parent = found.data.tags.get(KIND), found.data.tags.get(MLFLOW_PARENT_RUN_ID)
    if found.info.lifecycle_stage != LifecycleStage.ACTIVE:
        raise InputError(f"RUN: {run} is deleted in {store.shown}")
    if kind == "rerun":
        raise InputError(f"RUN: {run} is a rerun; give the execution, {found.data.tags.get(REPRODUCES)}")
    if kind != "study":
        hint = f"; give its parent run's id, {parent}" if parent else ""
        raise InputError(f"RUN: {run} is not an execution of a study{hint}")
    return found


def executions(store: Store, run: str) -> list[Run]:
    """The one that `find_execution` finds, or each experiment's own for `baseline`."""
    if run != "baseline":
        return [find_execution(store, run)]
    found = [baseline(store, experiment_id) for experiment_id in _experiments(store)]
    pinned = [execution for execution in found if execution is not None]
    if not pinned:
        raise _nothing_finished(store)
    return pinned


def baseline(store: Store, experiment_id: str) -> Run | None:
    """The execution that reruns are held against: the one pinned, else the first that finished."""
    pinned = _finished(store, [experiment_id], f"tags.`{BASELINE}` = 'true'", "end_time DESC")
    return pinned or _finished(store, [experiment_id], "", "end_time ASC")


def pin(store: Store, execution: Run) -> None:
    """Makes a finished execution the baseline of its experiment; raises InputError where it is not."""
    run_id, status = execution.info.run_id, execution.info.status
    if status != "FINISHED":
        raise InputError(f"RUN: {run_id} is {status}, expected an execution that has finished")
    others = store.client.search_runs([execution.info.experiment_id], f"tags.`{BASELINE}` = 'true'")
    for other in others:
        store.client.delete_tag(other.info.run_id, BASELINE)
    store.client.set_tag(run_id, BASELINE, "true")


def record(store: Store, execution: Run) -> Record:
    """What an execution left; raises InputError where that is missing, unreadable or from elsewhere."""
    study = recorded_study(store, execution)
    content = artifact(store, execution, "results.parquet")
    try:
        table = pq.read_table(io.BytesIO(content))
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(execution, "results.parquet", str(error)) from None
    try:
        rows = as_rows(table, study.problem.model.parameters)
    except InputError as error:
        raise _unreadable(execution, "results.parquet", str(error)) from None
    try:
        environment = json.loads(artifact(store, execution, "environment.json"))
    except ValueError as error:
        raise _unreadable(execution, "environment.json", str(error)) from None
    if not isinstance(environment, dict):
        raise _unreadable(execution, "environment.json", "it is not an object")
    tags = execution.data.tags
    environment["code"] = tags.get("regress.code", environment.get("code"))
    return Record(
        execution.info.run_id,
        execution.info.experiment_id,
        study,
        rows,
        environment,
        hours_since(tags.get(VERDICT_AT)),
    )


def recorded_study(store: Store, execution: Run) -> Study:
    """The study of an execution, from its study.yaml; raises InputError where it cannot be run here.

    A table is checked against the digest of the rows that were trained on.
    """
    run_id = execution.info.run_id
    try:
        fields = yaml.safe_load(artifact(store, execution, "study.yaml"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise _unreadable(execution, "study.yaml", str(error)) from None
    if not isinstance(fields, dict):
        raise _unreadable(execution, "study.yaml", "it is not a mapping of fields to values")
    if newer := [str(name) for name in fields if name not in Study.model_fields]:
        raise InputError(f"RUN: {run_id} was recorded by a newer version: its study has {', '.join(newer)}")
    try:
        study = validate(fields)
    except InputError as error:
        raise InputError(f"RUN: the study of {run_id} cannot be run here: {error}") from None
    recorded = execution.data.tags.get(PROBLEM)
    if isinstance(study.problem, Table) and recorded not in (None, study.problem.identity[:TAG_LIMIT]):
        source = study.problem.path or study.problem.dataset
        raise InputError(
            f"RUN: the table {source} has changed since {run_id} was recorded:"
            f" then {recorded}, now {study.problem.identity}"
        )
    return study


def artifact(store: Store, execution: Run, name: str) -> bytes:
    """An artifact of an execution; raises InputError where it is missing."""
    try:
        with TemporaryDirectory() as folder:
            return Path(store.client.download_artifacts(execution.info.run_id, name, folder)).read_bytes()
    except (MlflowException, OSError):
        raise InputError(f"RUN: {_shown(execution)} has no readable {name}") from None


def hours_since(moment: str | None) -> float | None:
    """Hours since a time in ISO 8601; None where there is none."""
    try:
        return (
            (datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds() / 3600 if moment else None
        )
    except (ValueError, TypeError):
        return None


def comparison(store: Store, execution: Run) -> dict[str, Any]:
    """The outcome that `regress run` left, as in its --json; raises InputError where it is missing."""
    try:
        content = json.loads(artifact(store, execution, "comparison.json"))
    except ValueError:
        raise InputError(f"RUN: {_shown(execution)} has no readable comparison.json") from None
    return {
        "study_run_id": execution.info.run_id,
        "experiment_id": execution.info.experiment_id,
        "tracking_uri": store.uri,
        **content,
    }


def trials(store: Store, execution: Run) -> list[Fields]:
    """What each trial of an execution recorded, the best first: `run_id`, its params, its final metrics.

    A history's last value is left out: it may be from the last epoch that was still finite. Raises
    InputError where no trial was recorded.
    """
    parent, experiment_id = execution.info.run_id, execution.info.experiment_id
    filter_string = f"tags.`mlflow.parentRunId` = '{parent}' and tags.`regress.kind` = 'trial'"
    rows: list[Fields] = []
    page = None
    while page is None or page:
        found = store.client.search_runs(
            [experiment_id], filter_string, max_results=_A_PAGE, page_token=page
        )
        rows += map(_fields, found)
        page = found.token or ""
    if not rows:
        raise InputError(f"RUN: {parent} ({execution.info.status}) has no trials")
    known = {name for row in rows for name in row}
    ranking = next((metric for metric in map(final_metric, RANKINGS) if metric in known), None)
    return arrange(rows, ranking) if ranking else rows


def as_csv(rows: Sequence[Fields]) -> str:
    """One line a trial: its run, its params, its final metrics; empty where one was not finite."""
    texts = dict.fromkeys(name for row in rows for name, value in row.items() if isinstance(value, str))
    numbers = sorted({name for row in rows for name in row} - texts.keys())
    text = io.StringIO()
    writer = csv.DictWriter(text, [*texts, *numbers], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _fields(run: Run) -> Fields:
    finals = {name: value for name, value in run.data.metrics.items() if name not in _BY_EPOCH}
    return {"run_id": run.info.run_id, **run.data.params, **dict(sorted(finals.items()))}


def _latest(store: Store) -> Run:
    found = _finished(store, _experiments(store), "", "start_time DESC")
    if found is None:
        raise _nothing_finished(store)
    return found


def _finished(store: Store, experiments: list[str], condition: str, order: str) -> Run | None:
    """The first finished execution by `order`, if there is one."""
    conditions = [f"tags.`{KIND}` = 'study'", "attributes.status = 'FINISHED'", *filter(None, [condition])]
    runs = store.client.search_runs(
        experiments, " and ".join(conditions), max_results=1, order_by=[f"attributes.{order}"]
    )
    return runs[0] if runs else None


def _experiments(store: Store) -> list[str]:
    found: list[str] = []
    page = None
    while page is None or page:
        experiments = store.client.search_experiments(page_token=page)
        found += [experiment.experiment_id for experiment in experiments]
        page = experiments.token or ""
    return found


def _nothing_finished(store: Store) -> InputError:
    return InputError(f"RUN: {store.shown} holds no finished execution; start with regress run")


def _shown(execution: Run) -> str:
    return f"{execution.info.run_id} ({execution.info.status})"


def _unreadable(execution: Run, name: str, reason: str) -> InputError:
    first = (reason.strip().splitlines() or ["no reason given"])[0].rstrip(".")
    return InputError(f"RUN: the {name} of {_shown(execution)} cannot be read: {first}")
