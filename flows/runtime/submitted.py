"""What a flow run must hold to that somebody submitted: it runs where the worker is, not where they are."""

from prefect import runtime

from regress.errors import InputError
from regress.study import Study


def refuse_relative_table(study: Study) -> None:
    """Raises InputError where a deployment is given a table by a path that is relative to some folder."""
    path = study.problem.source_file
    if runtime.deployment.id is not None and path is not None and not path.is_absolute():
        raise InputError(
            f"problem: the table {path} would be looked for in the worker's folder, expected its full path"
        )
