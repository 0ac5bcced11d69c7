"""Checks for runs submitted through a deployment, which execute on the worker's machine."""

from pathlib import Path

from prefect import runtime

from regress.errors import InputError
from regress.problems import Table
from regress.study import Study


def refuse_relative_table(study: Study) -> None:
    """Raise InputError if a deployment's run reads a table whose path is relative."""
    if runtime.deployment.id is None or not isinstance(study.problem, Table):
        return
    path = study.problem.path
    if path is not None and not Path(path).expanduser().is_absolute():
        raise InputError(
            f"problem: the table {path} would be looked for in the worker's folder, expected its full path"
        )
