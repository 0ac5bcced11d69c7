"""Recorded executions, found and read back."""

import csv
import gc
import io
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from regress.errors import InputError
from regress.headline import RANKINGS, final_metric
from regress.summary import HISTORIES
from regress.tracking.store import Store
from regress.where import Fields, arrange

_A_PAGE = 1000  # runs, MLflow's default
_BY_EPOCH = {name + suffix for name in HISTORIES for suffix in ("", "_q05", "_q95")}


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
    if found.data.tags.get("regress.kind") != "study":
        raise InputError(f"RUN: {run} is not an execution of a study; give its parent run's id")
    return found


def comparison(store: Store, execution: Run) -> dict[str, Any]:
    """The outcome that `regress run` left, as in its --json; raises InputError where it is missing."""
    run_id = execution.info.run_id
    try:
        with TemporaryDirectory() as folder:
            file = store.client.download_artifacts(run_id, "comparison.json", folder)
            content = json.loads(Path(file).read_text())
    except (MlflowException, OSError, ValueError):
        state = execution.info.status
        raise InputError(f"RUN: {run_id} ({state}) has no readable comparison.json") from None
    return {
        "study_run_id": run_id,
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
    with _no_collection():
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


@contextmanager
def _no_collection() -> Iterator[None]:
    """MLflow makes some fifty objects a run, and the collector looks at all of them again and again."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _latest(store: Store) -> Run:
    experiments = [found.experiment_id for found in store.client.search_experiments()]
    runs = store.client.search_runs(
        experiments,
        "tags.`regress.kind` = 'study' and attributes.status = 'FINISHED'",
        max_results=1,
        order_by=["attributes.start_time DESC"],
    )
    if not runs:
        raise InputError(f"RUN: {store.shown} holds no finished execution; start with regress run")
    return runs[0]
