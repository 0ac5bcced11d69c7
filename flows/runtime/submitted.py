"""What a flow run must hold to that somebody submitted: it runs where the worker is, not where they are."""

from pathlib import Path

from prefect import runtime

from regress.errors import InputError
from regress.problems import Table
from regress.study import Study


def refuse_relative_table(study: Study) -> None:
    """Raises InputError where a deployment is given a table by a path that is relative to some folder."""
    if runtime.deployment.id is None or not isinstance(study.problem, Table):
        return
    path = study.problem.path
    if path is not None and not Path(path).expanduser().is_absolute():
        raise InputError(
            f"problem: the table {path} would be looked for in the worker's folder, expected its full path"
        )
