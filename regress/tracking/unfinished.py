"""Executions that were started and have not finished."""

from mlflow.entities import Run

from regress.errors import InputError
from regress.study import Study
from regress.tracking.environment import code_digest
from regress.tracking.lease import read_lease
from regress.tracking.mlflow_internals import MLFLOW_PARENT_RUN_ID
from regress.tracking.runs import KEY
from regress.tracking.store import Store


def find_unfinished(store: Store, study: Study) -> Run | None:
    """Return the newest unfinished execution of the same study by the same code that no process runs.

    None where every execution has finished.

    Raises
    ------
    InputError
        All unfinished executions were started by other code, or are running.
    """
    experiment = store.client.get_experiment_by_name(study.name)
    if experiment is None:
        return None
    unfinished = store.client.search_runs(
        [experiment.experiment_id],
        f"tags.`regress.kind` = 'study' and tags.`regress.study` = '{study.digest}'"
        " and attributes.status != 'FINISHED'",
        order_by=["attributes.start_time DESC"],
    )
    same_code = [run for run in unfinished if run.data.tags.get("regress.code") == code_digest()]
    resumable = [run for run in same_code if not _is_running(run)]
    if resumable:
        return resumable[0]
    if same_code:
        run_id = same_code[0].info.run_id
        raise InputError(
            f"--resume: the execution {run_id} is still running; without --resume a new one starts"
        )
    if unfinished:
        run_id, code = unfinished[0].info.run_id, unfinished[0].data.tags.get("regress.code")
        raise InputError(
            f"--resume: the execution {run_id} was started by other code ({code}, this is {code_digest()});"
            " without --resume a new one starts"
        )
    return None


def _is_running(run: Run) -> bool:
    lease = read_lease(run)
    return lease is not None and lease.is_alive


def finished_children(store: Store, experiment_id: str, parent: str) -> frozenset[str]:
    """Return the keys of an execution's finished child runs; delete the unfinished ones."""
    # All are read before any is deleted, which would move the others to earlier pages.
    children = list(store.search_runs([experiment_id], f"tags.`{MLFLOW_PARENT_RUN_ID}` = '{parent}'"))
    for run in children:
        if run.info.status != "FINISHED":
            store.client.delete_run(run.info.run_id)
    return frozenset(run.data.tags[KEY] for run in children if run.info.status == "FINISHED")
