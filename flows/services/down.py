"""Stop what `up` has started and nothing else; flow runs first, so that they can record their end."""

from collections.abc import Callable

from flows.services.processes import stop_descendants, stop_processes
from flows.services.settings import PREFECT, WORKER
from flows.services.stale_runs import crash_stale_runs
from flows.services.state import ServiceState, delete_state, exclusive_access, read_state

Report = Callable[[str, str], None]  # called with a service's name and its new status


def stop_services(report: Report) -> None:
    """Stop every service and delete the record of them; the results stay."""
    with exclusive_access():
        state = read_state()
        if state is None:
            report("services", "none is running")
            return
        if worker := state.processes.get(WORKER):
            stop_descendants(worker)  # if the worker ended first, its runs would stay Running forever
            stop_processes(worker)
            _crash_stale_runs(state, report)
        stop_processes(*state.processes.values())
        delete_state()
        for name in state.processes:
            report(name, "stopped")


def _crash_stale_runs(state: ServiceState, report: Report) -> None:
    if state.running(PREFECT) is None:
        return
    try:
        crash_stale_runs(state)
    except Exception as error:  # an unusable server must be stopped all the same
        report("flow runs", f"could not be checked: {error}")
