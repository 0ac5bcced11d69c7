"""Flow runs that a server takes for running, and nobody runs: they would hold their slot for ever."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from flows.runtime.states import mark_crashed
from flows.services.orchestration import client, workers_online
from flows.services.process import descendants
from flows.services.site import POOL, WORKER, Ledger

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun

_LONG = timedelta(days=1)
_SETTLING = timedelta(minutes=1)  # between a worker's taking a run and its process


def stale_runs(connected: "SyncPrefectClient", ledger: Ledger) -> "list[tuple[FlowRun, str]]":
    """The runs of our worker that have no process, and why we think so.

    Where workers of other machines share the pool nobody can tell whose a run is: then none is stale.
    """
    if workers_online(connected) - {WORKER}:
        return []
    settling = _SETTLING if ledger.alive(WORKER) else timedelta(0)
    worker = ledger.processes.get(WORKER)
    pids = {str(process.pid) for process in descendants(worker)} if worker else set()
    stale = []
    for run in _unfinished(connected):
        if run.work_pool_name != POOL or run.infrastructure_pid in pids:
            continue
        if run.infrastructure_pid is not None:
            stale.append((run, f"its process {run.infrastructure_pid} is gone"))
        elif _age(run) >= settling:
            stale.append((run, "no process was started for it"))
    return stale


def lasting_runs(connected: "SyncPrefectClient") -> "list[tuple[FlowRun, str]]":
    """The runs from elsewhere, a terminal say, that have been at work for a day."""
    return [
        (run, f"it has been at work for {_age(run).days} days, if its process lives")
        for run in _unfinished(connected)
        if run.work_pool_name != POOL and _age(run) > _LONG
    ]


def mend(ledger: Ledger) -> int:
    """Moves stale runs to Crashed, which frees their slots; how many there were."""
    with client(ledger.site) as connected:
        stale = stale_runs(connected, ledger)
        for run, reason in stale:
            mark_crashed(str(run.id), f"Found by regress: {reason}.")
    return len(stale)


def _unfinished(connected: "SyncPrefectClient") -> "list[FlowRun]":
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterState, FlowRunFilterStateType
    from prefect.client.schemas.objects import StateType

    kinds = FlowRunFilterStateType(any_=[StateType.PENDING, StateType.RUNNING, StateType.CANCELLING])
    return connected.read_flow_runs(flow_run_filter=FlowRunFilter(state=FlowRunFilterState(type=kinds)))


def _age(run: "FlowRun") -> timedelta:
    now = datetime.now(UTC)
    return now - run.state.timestamp if run.state is not None else timedelta(0)
