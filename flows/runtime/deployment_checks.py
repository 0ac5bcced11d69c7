"""Checks for runs submitted through a deployment, which execute on the worker's machine."""

from prefect import runtime

from regress.errors import InputError
from regress.study import Study


def refuse_relative_table(study: Study) -> None:
    """Raise InputError if a deployment's run reads a table whose path is relative."""
    path = study.problem.source_file
    if runtime.deployment.id is not None and path is not None and not path.is_absolute():
        raise InputError(
            f"problem: the table {path} would be looked for in the worker's folder, expected its full path"
        )
