"""Diagnose the installation: versions, disk, store, servers, worker, deployments and flow runs."""

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from typing import TYPE_CHECKING

import requests
from packaging.requirements import Requirement

from flows.runtime.shown_command import shown_command
from flows.services.automations import missing_automations
from flows.services.deployments import is_up_to_date, missing_deployments
from flows.services.prefect_server import online_workers, prefect_client
from flows.services.settings import MLFLOW, PREFECT, WORKER, services_folder
from flows.services.stale_runs import long_runs, stale_runs
from flows.services.state import ServiceState, read_state
from regress.errors import InputError

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

_SHOWN_VERSIONS = ("regress", "torch", "prefect", "mlflow")
_MIN_FREE_BYTES = 1e9


@dataclass(frozen=True)
class Finding:
    """The result of one check: what was checked, whether it works, its state or what is wrong and helps."""

    subject: str
    ok: bool
    text: str


def diagnose() -> Iterator[Finding]:
    """Check everything; change nothing."""
    yield _check_versions()
    yield _check_disk()
    state = read_state()
    yield _check_store(None if state is None else state.settings.store)
    api = os.environ.get("PREFECT_API_URL")
    if api and (state is None or api != state.settings.prefect_api):
        hint = "unset the variable, or start that server"
        yield _check_address("PREFECT_API_URL", f"{api.rstrip('/')}/health", api, hint)
    if state is None:
        yield Finding(
            "services", False, f"none is running, and no deployment can run; {_up('starts them')}"
        )
        return
    yield from _check_services(state)


def _check_services(state: ServiceState) -> Iterator[Finding]:
    settings = state.settings
    text = f"{settings.prefect_address}, {_prefect_schema()}"
    yield _check_service(state, PREFECT, f"{settings.prefect_api}/health", text)
    text = f"{settings.mlflow_address}, shows {_shown_store(settings.store)}"
    yield _check_service(state, MLFLOW, f"{settings.mlflow_local_address}/health", text)
    if state.running(WORKER) is None:
        text = f"its process died, and no deployment can run; {_up('starts it again')}"
        yield Finding(WORKER, False, text)
    if state.running(PREFECT) is not None:
        yield from _check_orchestration(state)


def _up(effect: str) -> str:
    """Return what `regress up` would do, as a hint."""
    return f"{shown_command('regress')} up {effect}"


def _check_versions() -> Finding:
    problems = []
    for line in requires("regress") or ():
        requirement = Requirement(line)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            installed = version(requirement.name)
        except PackageNotFoundError:
            problems.append(f"{requirement.name} is missing")
            continue
        if not requirement.specifier.contains(installed, prereleases=True):
            problems.append(f"{requirement.name} is {installed}, expected {requirement.specifier}")
    shown = ", ".join(f"{name} {version(name)}" for name in _SHOWN_VERSIONS)
    return Finding("versions", not problems, "; ".join(problems) if problems else shown)


def _check_disk() -> Finding:
    folder = services_folder()
    free = shutil.disk_usage(folder).free
    if not os.access(folder, os.W_OK):
        text = f"{folder} is not writable, set REGRESS_HOME to a folder that is"
        return Finding("disk", False, text)
    return Finding("disk", free > _MIN_FREE_BYTES, f"{folder}, {free / 1e9:,.1f} GB free")


def _check_store(uri: str | None) -> Finding:
    from regress.tracking.schema import examine_store

    try:
        return Finding("store", True, examine_store(uri))
    except InputError as error:
        return Finding("store", False, str(error))


def _shown_store(uri: str) -> str:
    from regress.tracking.store import hide_password

    return hide_password(uri)


def _check_service(state: ServiceState, name: str, url: str, text: str) -> Finding:
    log = state.processes[name].log
    if state.running(name) is None:
        return Finding(name, False, f"its process died, see {log}; {_up('starts it again')}")
    return _check_address(name, url, text, f"its process runs but does not answer, see {log}")


def _check_address(subject: str, url: str, text: str, hint: str) -> Finding:
    try:
        status = requests.get(url, timeout=5).status_code
    except requests.RequestException:
        return Finding(subject, False, f"nothing answers at {url}; {hint}")
    ok = status == requests.codes.ok
    return Finding(subject, ok, text if ok else f"{url} answers {status}; {hint}")


def _prefect_schema() -> str:
    """Return the schema revision of the Prefect server's database."""
    file = services_folder() / "prefect" / "prefect.db"
    try:
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
            (revision,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except (sqlite3.Error, TypeError):
        return "its schema cannot be read"
    return f"schema {revision}"


def _check_orchestration(state: ServiceState) -> Iterator[Finding]:
    checks: list[Callable[[SyncPrefectClient, ServiceState], Iterator[Finding]]] = [
        _check_worker,
        _check_deployments,
        _check_flow_runs,
    ]
    try:
        with prefect_client(state.settings) as client:
            for check in checks:
                yield from check(client, state)
    except Exception as error:  # any unexpected answer of the server is a finding
        yield Finding(PREFECT, False, f"it does not answer as expected: {error}")


def _check_worker(client: "SyncPrefectClient", state: ServiceState) -> Iterator[Finding]:
    if state.running(WORKER) is None:
        return
    ok = WORKER in online_workers(client)
    log = state.processes[WORKER].log
    yield Finding(WORKER, ok, "online" if ok else f"it does not contact the server, see {log}")


def _check_deployments(client: "SyncPrefectClient", state: ServiceState) -> Iterator[Finding]:
    missing = missing_deployments(client) | missing_automations(client)
    if missing:
        text = f"missing: {', '.join(sorted(missing))}; {_up('deploys them')}"
        yield Finding("deployments", False, text)
    elif not is_up_to_date(state.settings):
        text = f"older than the installed flows and studies; {_up('deploys them again')}"
        yield Finding("deployments", False, text)
    else:
        yield Finding("deployments", True, f"up to date, run in {state.settings.working_folder}")


def _check_flow_runs(client: "SyncPrefectClient", state: ServiceState) -> Iterator[Finding]:
    stale = stale_runs(client, state)
    long = long_runs(client)
    for run, reason in stale:
        text = f"{run.name} is {run.state_name}, but {reason}; {_up('moves it to Crashed')}"
        yield Finding("flow run", False, text)
    for run, reason in long:
        yield Finding("flow run", False, f"{run.name} is {run.state_name}: {reason}")
    if not stale and not long:
        yield Finding("flow runs", True, "none is stale")
