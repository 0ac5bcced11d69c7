"""Prefect around one flow run of the command: imported early, quiet on the screen, drained at the end."""

import gc
import logging
import time
from typing import Any

from tasks.progress import Listener, listening

_DRAIN_SECONDS = 10.0


def start() -> None:
    """Imports the flows, then waits for Prefect's server."""
    gc.disable()  # what is imported stays: looking for garbage in it takes half a second
    try:
        _import()
    finally:
        gc.freeze()
        gc.enable()
    from prefect.client.orchestration import get_client

    from tasks.figure_worker import warm_up

    warm_up()
    with get_client(sync_client=True) as client:
        client.hello()


def _import() -> None:
    from prefect.logging.configuration import setup_logging
    from prefect.logging.handlers import PrefectConsoleHandler

    setup_logging()
    for name in ("", "prefect"):
        for handler in logging.getLogger(name).handlers:
            if isinstance(handler, PrefectConsoleHandler):
                # The screen stays clean: the server keeps every record, the command says what went wrong.
                handler.setLevel(logging.WARNING)
                handler.addFilter(_is_not_prefect_s)
    # The references import theirs when they are needed; here it costs nothing, while the server starts.
    import sklearn.linear_model  # noqa: F401
    import statsmodels.robust.robust_linear_model  # noqa: F401

    import flows.notebook
    import flows.reproduce
    import flows.robustness  # noqa: F401


def _is_not_prefect_s(record: logging.LogRecord) -> bool:
    return not record.name.startswith("prefect")


def run(flow: Any, listener: Listener, *arguments: Any) -> dict[str, Any]:
    """Runs a flow; `listener` hears of its progress."""
    from prefect.exceptions import TerminationSignal
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

    # The heartbeat's thread sleeps a second before it lets a flow end.
    try:
        with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}), listening(listener):
            state = flow(*arguments, return_state=True)
    except TerminationSignal:
        raise KeyboardInterrupt from None
    drain(state.state_details.flow_run_id)
    outcome: dict[str, Any] = state.result()
    return outcome


def drain(flow_run_id: Any) -> None:
    """Waits until the server knows how each task run ended: it learns of them by events, late."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
    from prefect.events.worker import EventsWorker

    EventsWorker.instance().drain()
    only = FlowRunFilter(id=FlowRunFilterId(any_=[flow_run_id]))
    deadline = time.monotonic() + _DRAIN_SECONDS
    with get_client(sync_client=True) as client:
        while time.monotonic() < deadline:
            task_runs = client.read_task_runs(flow_run_filter=only, limit=200)
            if all(task.state is not None and task.state.is_final() for task in task_runs):
                return
            time.sleep(0.05)
