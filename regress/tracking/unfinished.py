"""Executions that were begun and not finished."""

from mlflow.entities import Run

from regress.errors import InputError
from regress.study import Study
from regress.tracking.environment import code_digest
from regress.tracking.lease import lease
from regress.tracking.runs import KEY
from regress.tracking.store import Store

_PAGE = 1000


def unfinished(store: Store, study: Study) -> Run | None:
    """The newest unfinished execution of the same study by the same code that nobody is at work on.

    None where every execution is finished. Raises InputError where those left belong to another code, or
    are being worked on.
    """
    found = store.client.get_experiment_by_name(study.name)
    if found is None:
        return None
    runs = store.client.search_runs(
        [found.experiment_id],
        f"tags.`regress.kind` = 'study' and tags.`regress.study` = '{study.digest}'"
        " and attributes.status != 'FINISHED'",
        order_by=["attributes.start_time DESC"],
    )
    mine = [run for run in runs if run.data.tags.get("regress.code") == code_digest()]
    free = [run for run in mine if (held := lease(run)) is None or not held.is_alive]
    if free:
        return free[0]
    if mine:
        run_id = mine[0].info.run_id
        raise InputError(
            f"--resume: the execution {run_id} is still at work; without --resume a new one starts"
        )
    if runs:
        run_id, code = runs[0].info.run_id, runs[0].data.tags.get("regress.code")
        raise InputError(
            f"--resume: the execution {run_id} was begun by other code ({code}, this is {code_digest()});"
            " without --resume a new one starts"
        )
    return None


def finished_children(store: Store, experiment_id: str, parent: str) -> frozenset[str]:
    """Keys of the finished child runs of an execution; those that are not finished are deleted."""
    keys, token = set(), None
    while True:
        page = store.client.search_runs(
            [experiment_id],
            f"tags.`mlflow.parentRunId` = '{parent}'",
            max_results=_PAGE,
            page_token=token,
        )
        for run in page:
            if run.info.status == "FINISHED":
                keys.add(run.data.tags[KEY])
            else:
                store.client.delete_run(run.info.run_id)
        if not (token := page.token):
            return frozenset(keys)
