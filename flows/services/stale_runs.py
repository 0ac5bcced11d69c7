"""Flow runs that the server shows as running although no process runs them; each would hold its slot."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from flows.services.prefect_server import online_workers, prefect_client
from flows.services.processes import descendants
from flows.services.settings import POOL, WORKER
from flows.services.state import ServiceState

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun

_LONG = timedelta(days=1)
_START_TIME = timedelta(minutes=1)  # at most, from the worker's taking a run to the start of its process


def stale_runs(client: "SyncPrefectClient", state: ServiceState) -> "list[tuple[FlowRun, str]]":
    """Return the runs of our worker that have no process, each with the reason to think so.

    If workers of other machines share the pool, a run's machine is unknown, and no run counts as stale.
    """
    if online_workers(client) - {WORKER}:
        return []
    start_time = _START_TIME if state.running(WORKER) else timedelta(0)
    worker = state.processes.get(WORKER)
    pids = {str(process.pid) for process in descendants(worker)} if worker else set()
    stale = []
    for run in _unfinished_runs(client):
        if run.work_pool_name != POOL or run.infrastructure_pid in pids:
            continue
        if run.infrastructure_pid is not None:
            stale.append((run, f"its process {run.infrastructure_pid} is gone"))
        elif _time_in_state(run) >= start_time:
            stale.append((run, "no process was started for it"))
    return stale


def long_runs(client: "SyncPrefectClient") -> "list[tuple[FlowRun, str]]":
    """Return the runs from outside the pool, e.g. a terminal, that have been running for a day."""
    return [
        (run, f"it has been running for {_time_in_state(run).days} days, if its process still exists")
        for run in _unfinished_runs(client)
        if run.work_pool_name != POOL and _time_in_state(run) > _LONG
    ]


def crash_stale_runs(state: ServiceState) -> int:
    """Move stale runs to Crashed, which frees their slots; return how many there were."""
    from flows.runtime.states import mark_crashed

    with prefect_client(state.settings) as client:
        stale = stale_runs(client, state)
        for run, reason in stale:
            mark_crashed(str(run.id), f"Found by regress: {reason}.")
    return len(stale)


def _unfinished_runs(client: "SyncPrefectClient") -> "list[FlowRun]":
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterState, FlowRunFilterStateType
    from prefect.client.schemas.objects import StateType

    types = FlowRunFilterStateType(any_=[StateType.PENDING, StateType.RUNNING, StateType.CANCELLING])
    return client.read_flow_runs(flow_run_filter=FlowRunFilter(state=FlowRunFilterState(type=types)))


def _time_in_state(run: "FlowRun") -> timedelta:
    now = datetime.now(UTC)
    return now - run.state.timestamp if run.state is not None else timedelta(0)
