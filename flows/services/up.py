"""Start everything that deployments need on this machine; running services are left alone."""

import importlib.util
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import requests

from flows.runtime.ports import port_conflict
from flows.runtime.shown_command import shown_command
from flows.services.automations import apply_automations
from flows.services.command_lines import (
    mlflow_arguments,
    mlflow_environment,
    prefect_arguments,
    prefect_environment,
    worker_arguments,
    worker_environment,
)
from flows.services.deployments import deploy_all
from flows.services.prefect_server import ensure_work_pool, online_workers, prefect_client
from flows.services.processes import child_environment, start_process, stop_processes
from flows.services.settings import MLFLOW, PREFECT, WORKER, ServiceSettings, log_file, services_folder
from flows.services.stale_runs import crash_stale_runs
from flows.services.state import ServiceState, delete_state, exclusive_access, read_state
from regress.errors import InputError, ServiceLost

_READY_SECONDS = 180.0  # a first start creates its database, perhaps on a busy machine

Report = Callable[[str, str], None]  # called with a service's name and its new status


@dataclass(frozen=True)
class Options:
    """The options of `up`; None where one was not given."""

    host: str | None = None
    prefect_port: int | None = None
    mlflow_port: int | None = None
    login: str | None = None


def start_services(options: Options, notify_url: str | None, report: Report) -> None:
    """Start the services that do not run, all at the same time, and deploy; return when all are ready.

    Raises InputError if the options cannot be met, after stopping what it has started, and ServiceLost if a
    service does not start.
    """
    with exclusive_access():
        state = _state(options)
        new = {name for name in (PREFECT, MLFLOW, WORKER) if state.running(name) is None}
        _check_ports(state.settings, new)
        try:
            _start_new(state, new, notify_url, report)
        except InputError:
            stop_processes(*(process for name, process in state.processes.items() if name in new))
            if not state.any_running:
                delete_state()
            raise
    report("logs", str(log_file(WORKER).parent))
    report("terminal", f"export PREFECT_API_URL={state.settings.prefect_api}")


def _start_new(state: ServiceState, new: set[str], notify_url: str | None, report: Report) -> None:
    settings = state.settings
    if PREFECT in new:
        _start(state, PREFECT, prefect_arguments(settings), prefect_environment(settings))
    if MLFLOW in new:
        _create_store(settings.store)
        _start(state, MLFLOW, mlflow_arguments(settings), mlflow_environment(settings))
    _await(state, PREFECT, lambda: _is_healthy(f"{settings.prefect_api}/health"))
    report(PREFECT, f"{settings.prefect_address}, {_status(PREFECT in new)}")
    with prefect_client(settings) as client:
        ensure_work_pool(client)
        if crashed := crash_stale_runs(state):
            report("flow runs", f"{crashed} without a process moved to Crashed")
        if WORKER in new:
            _start(state, WORKER, worker_arguments(), worker_environment(settings))
        has_changed = deploy_all(settings, client, child_environment(**prefect_environment(settings)))
        report("deployments", "deployed" if has_changed else "unchanged")
        apply_automations(client, notify_url)
        _await(state, MLFLOW, lambda: _is_healthy(f"{settings.mlflow_local_address}/health"))
        report(MLFLOW, f"{settings.mlflow_address}, {_status(MLFLOW in new)}")
        _await(state, WORKER, lambda: WORKER in online_workers(client))
        report(WORKER, _status(WORKER in new))


def _status(is_new: bool) -> str:
    return "started" if is_new else "already running"


def _state(options: Options) -> ServiceState:
    """Return the running services with their settings, or none with the settings of `options`."""
    given = {name: value for name, value in asdict(options).items() if value is not None}
    state = read_state()
    if state is not None and state.any_running:
        for name, value in given.items():
            if value != getattr(state.settings, name):
                raise InputError(
                    f"--{name.replace('_', '-')}: the running services were started with another value,"
                    f" expected {shown_command('regress')} down first"
                )
        return state
    if options.login is not None and importlib.util.find_spec("flask_wtf") is None:
        raise InputError("--login: MLflow's login needs Flask-WTF, expected pip install 'regress[login]'")
    return ServiceState(ServiceSettings(working_folder=str(Path.cwd()), store=_store_uri(), **given), {})


def _store_uri() -> str:
    from regress.tracking.store import database_uri

    return database_uri()


def _create_store(uri: str) -> None:
    """Create a store that does not exist yet, before two servers try to at once."""
    from regress.tracking.store import open_store

    open_store(uri)


def _check_ports(settings: ServiceSettings, new: set[str]) -> None:
    ports = {PREFECT: settings.prefect_port, MLFLOW: settings.mlflow_port}
    for name, port in ports.items():
        if name in new and (reason := port_conflict(settings.host, port)):
            raise InputError(
                f"--{name}-port: nothing can listen at {settings.host}:{port} ({reason}),"
                " expected a free port"
            )


def _start(state: ServiceState, name: str, arguments: list[str], variables: dict[str, str]) -> None:
    mark = f"{name} {services_folder()}"
    folder = Path(state.settings.working_folder)
    state.add(name, start_process(arguments, child_environment(**variables), folder, log_file(name), mark))


def _is_healthy(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).ok
    except requests.RequestException:
        return False


def _await(state: ServiceState, name: str, is_ready: Callable[[], bool]) -> None:
    """Wait until the service is ready; raise ServiceLost if it ends or takes too long."""
    process = state.processes[name]
    deadline = time.monotonic() + _READY_SECONDS
    while not is_ready():
        if not process.is_running:
            raise ServiceLost(f"{name} ended while it started, see {process.log}")
        if time.monotonic() > deadline:
            raise ServiceLost(f"{name} is not ready after {_READY_SECONDS:.0f} s, see {process.log}")
        time.sleep(0.1)
