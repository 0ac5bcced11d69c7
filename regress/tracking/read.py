"""Recorded executions, found and read back."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from regress.errors import InputError
from regress.tracking.store import Store


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
