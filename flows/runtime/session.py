"""One flow run of the command: libraries imported early, a clean screen, states complete at the end."""

import logging
import time
from typing import Any
from uuid import UUID

from tasks.progress import Listener, listening

_TASK_STATES_SECONDS = 10.0


def start_session() -> None:
    """Import the flows, then wait for Prefect's server.

    Changes logging, as Prefect itself does when a flow starts, and nothing else of the process.
    """
    from flows.runtime.prefect_internals import setup_logging

    setup_logging()
    _quiet_console()
    _import_flows()
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        client.hello()


def _quiet_console() -> None:
    """Keep Prefect's records off the screen; its server stores all of them."""
    from flows.runtime.prefect_internals import PrefectConsoleHandler

    for name in ("", "prefect"):
        for handler in logging.getLogger(name).handlers:
            if isinstance(handler, PrefectConsoleHandler):
                handler.setLevel(logging.WARNING)
                handler.addFilter(_is_not_from_prefect)


def _is_not_from_prefect(record: logging.LogRecord) -> bool:
    return not record.name.startswith("prefect")


def _import_flows() -> None:
    # The references import these when they need them; imported here, it overlaps the server's start.
    import sklearn.linear_model  # noqa: F401
    import statsmodels.robust.robust_linear_model  # noqa: F401

    import flows.notebook
    import flows.reproduce
    import flows.robustness  # noqa: F401


def run_flow(flow: Any, listener: Listener, *arguments: Any) -> dict[str, Any]:
    """Run a flow and return its result; `listener` is told of its progress.

    Raises KeyboardInterrupt if the run is interrupted or terminated.
    """
    from prefect.exceptions import TerminationSignal
    from prefect.settings import temporary_settings

    from flows.runtime.prefect_internals import PREFECT_FLOWS_HEARTBEAT_FREQUENCY

    no_heartbeat = {PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}
    try:
        with temporary_settings(no_heartbeat), listening(listener):
            state = flow(*arguments, return_state=True)
    except TerminationSignal:
        raise KeyboardInterrupt from None
    await_task_states(state.state_details.flow_run_id)
    outcome: dict[str, Any] = state.result()
    return outcome


def await_task_states(flow_run_id: UUID) -> None:
    """Wait until the server has each task run's final state, which it learns from late events."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

    from flows.runtime.prefect_internals import EventsWorker

    EventsWorker.instance().drain()
    this_run = FlowRunFilter(id=FlowRunFilterId(any_=[flow_run_id]))
    deadline = time.monotonic() + _TASK_STATES_SECONDS
    with get_client(sync_client=True) as client:
        while time.monotonic() < deadline:
            task_runs = client.read_task_runs(flow_run_filter=this_run, limit=200)
            if all(task_run.state is not None and task_run.state.is_final() for task_run in task_runs):
                return
            time.sleep(0.05)
