"""Search for recorded executions: by run id, the newest, the baseline."""

from mlflow.entities import LifecycleStage, Run
from mlflow.exceptions import MlflowException

from regress.errors import InputError
from regress.tracking.mlflow_internals import MLFLOW_PARENT_RUN_ID
from regress.tracking.read import KIND, REPRODUCES
from regress.tracking.store import Store

BASELINE = "regress.baseline"  # tag of the pinned execution that reruns are compared with


def find_execution(store: Store, run: str) -> Run:
    """Return the execution with run id `run`, or the newest finished one for `latest`.

    Raises
    ------
    InputError
        There is none, it is deleted, or the run is not an execution of a study.
    """
    if run == "latest":
        return _latest(store)
    try:
        execution = store.client.get_run(run)
    except MlflowException:
        raise InputError(f"RUN: no run {run!r} in {store.display_uri}, expected an id or latest") from None
    tags = execution.data.tags
    kind, parent = tags.get(KIND), tags.get(MLFLOW_PARENT_RUN_ID)
    if execution.info.lifecycle_stage != LifecycleStage.ACTIVE:
        raise InputError(f"RUN: {run} is deleted in {store.display_uri}")
    if kind == "rerun":
        raise InputError(f"RUN: {run} is a rerun; give the execution, {tags.get(REPRODUCES)}")
    if kind != "study":
        hint = f"; give its parent run's id, {parent}" if parent else ""
        raise InputError(f"RUN: {run} is not an execution of a study{hint}")
    return execution


def find_executions(store: Store, run: str) -> list[Run]:
    """Return the execution that `find_execution` finds; for `baseline` those of all experiments.

    Raises
    ------
    InputError
        There is none, or the run is not an execution of a study.
    """
    if run != "baseline":
        return [find_execution(store, run)]
    baselines = [find_baseline(store, experiment_id) for experiment_id in _experiment_ids(store)]
    executions = [execution for execution in baselines if execution is not None]
    if not executions:
        raise _nothing_finished(store)
    return executions


def find_baseline(store: Store, experiment_id: str) -> Run | None:
    """Return the execution that reruns are compared with: the pinned one, else the first that finished.

    None where none has finished.
    """
    pinned = _first_finished(store, [experiment_id], f"tags.`{BASELINE}` = 'true'", "end_time DESC")
    return pinned or _first_finished(store, [experiment_id], "", "end_time ASC")


def pin_baseline(store: Store, execution: Run) -> None:
    """Make a finished execution the baseline of its experiment.

    Raises
    ------
    InputError
        The execution has not finished.
    """
    run_id, status = execution.info.run_id, execution.info.status
    if status != "FINISHED":
        raise InputError(f"RUN: {run_id} is {status}, expected an execution that has finished")
    pinned = store.client.search_runs([execution.info.experiment_id], f"tags.`{BASELINE}` = 'true'")
    for baseline in pinned:
        store.client.delete_tag(baseline.info.run_id, BASELINE)
    store.client.set_tag(run_id, BASELINE, "true")


def _latest(store: Store) -> Run:
    execution = _first_finished(store, _experiment_ids(store), "", "start_time DESC")
    if execution is None:
        raise _nothing_finished(store)
    return execution


def _first_finished(store: Store, experiment_ids: list[str], condition: str, order: str) -> Run | None:
    """Return the first finished execution by `order`; None without one."""
    conditions = [f"tags.`{KIND}` = 'study'", "attributes.status = 'FINISHED'", *filter(None, [condition])]
    runs = store.client.search_runs(
        experiment_ids, " and ".join(conditions), max_results=1, order_by=[f"attributes.{order}"]
    )
    return runs[0] if runs else None


def _experiment_ids(store: Store) -> list[str]:
    return [experiment.experiment_id for experiment in store.search_experiments()]


def _nothing_finished(store: Store) -> InputError:
    return InputError(f"RUN: {store.display_uri} holds no finished execution; start with regress run")
