"""What differs in runs submitted through a deployment: they have a process on the worker's machine."""

from prefect import runtime

from regress.errors import InputError
from regress.study import Study
from tasks.figure_worker import figure_worker


def is_deployed() -> bool:
    """Whether the current flow run was submitted through a deployment."""
    return runtime.deployment.id is not None


def refuse_relative_table(study: Study) -> None:
    """Raise InputError if a deployment's run reads a table whose path is relative."""
    path = study.problem.source_file
    if is_deployed() and path is not None and not path.is_absolute():
        raise InputError(
            f"problem: the table {path} would be looked for in the worker's folder, expected its full path"
        )


def start_deployment_worker() -> None:
    """Start the second process for figures in a deployment's run, whose process is Prefect's own."""
    if is_deployed():
        figure_worker.start()
