"""Sends the steps of a study to Prefect: each is a task run."""

from collections.abc import Callable
from typing import Any, TypeVar

from prefect import Task
from prefect.futures import PrefectFuture
from prefect.utilities.annotations import quote

from regress.pipeline.submit import Pending
from tasks.compare import compare
from tasks.contaminate import contaminate
from tasks.evaluate import evaluate, restore
from tasks.fit_references import fit_references
from tasks.generate import generate
from tasks.order import order
from tasks.predict import predict
from tasks.train import train

T = TypeVar("T")

_TASKS: dict[Callable[..., Any], Task[..., Any]] = {
    step_task.fn: step_task
    for step_task in (
        generate,
        contaminate,
        order,
        train,
        evaluate,
        restore,
        predict,
        fit_references,
        compare,
    )
}


def submit_task(step: Callable[..., T], /, *arguments: Any) -> Pending[T]:
    """Submit the step's task to the flow's task runner.

    Prefect searches every argument for futures, field by field; what is quoted is passed as it is.
    """
    quoted = (value if isinstance(value, PrefectFuture) else quote(value) for value in arguments)
    future: Pending[T] = _TASKS[step].submit(*quoted)
    return future
