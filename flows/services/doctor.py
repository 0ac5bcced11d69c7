"""What is reachable, in which version, on which schema, and what would fail."""

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import TYPE_CHECKING

import requests
from packaging.requirements import Requirement

from flows.services import site as kept
from flows.services.orchestration import (
    client,
    is_deployed,
    missing_automations,
    missing_deployments,
    workers_online,
)
from flows.services.site import MLFLOW, PREFECT, WORKER, Ledger
from flows.services.stale import lasting_runs, stale_runs
from regress.errors import InputError

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

_NAMED = ("regress", "torch", "prefect", "mlflow")
_LITTLE = 1e9  # bytes of free disk
_AGAIN = "regress up starts it again"


@dataclass(frozen=True)
class Finding:
    """One thing looked at; `text` says what it is, or what is wrong and what helps."""

    what: str
    is_well: bool
    text: str


def examine() -> Iterator[Finding]:
    """Looks at everything; changes nothing."""
    yield _versions()
    yield _disk()
    ledger = kept.read()
    yield _store(None if ledger is None else ledger.site.store)
    if (api := os.environ.get("PREFECT_API_URL")) and (ledger is None or api != ledger.site.prefect_api):
        yield _answer("PREFECT_API_URL", f"{api.rstrip('/')}/health", api, "unset it, or start that server")
    if ledger is None:
        yield Finding("services", False, "none is up, and no deployment can run; regress up starts them")
        return
    site = ledger.site
    yield _service(ledger, PREFECT, f"{site.prefect_api}/health", site.prefect_address, _prefect_schema())
    yield _service(
        ledger, MLFLOW, f"{site.mlflow_here}/health", site.mlflow_address, f"shows {_shown(site.store)}"
    )
    if ledger.alive(WORKER) is None:
        yield Finding(WORKER, False, f"its process died, and no deployment can run; {_AGAIN}")
    if ledger.alive(PREFECT) is not None:
        yield from _orchestration(ledger)


def _versions() -> Finding:
    wrong = []
    for line in requires("regress") or ():
        needed = Requirement(line)
        if needed.marker is not None and not needed.marker.evaluate({"extra": ""}):
            continue
        try:
            installed = version(needed.name)
        except PackageNotFoundError:
            wrong.append(f"{needed.name} is missing")
            continue
        if not needed.specifier.contains(installed, prereleases=True):
            wrong.append(f"{needed.name} is {installed}, expected {needed.specifier}")
    named = ", ".join(f"{name} {version(name)}" for name in _NAMED)
    return Finding("versions", not wrong, "; ".join(wrong) if wrong else named)


def _disk() -> Finding:
    folder = kept.folder()
    free = shutil.disk_usage(folder).free
    if not os.access(folder, os.W_OK):
        return Finding("state", False, f"{folder} cannot be written, set REGRESS_HOME to a folder that can")
    return Finding("state", free > _LITTLE, f"{folder}, {free / 1e9:,.1f} GB free")


def _store(uri: str | None) -> Finding:
    from regress.tracking.schema import examine_store

    try:
        return Finding("store", True, examine_store(uri))
    except InputError as error:
        return Finding("store", False, str(error))


def _shown(store: str) -> str:
    from regress.tracking.store import hide_password

    return hide_password(store)


def _service(ledger: Ledger, name: str, url: str, address: str, more: str) -> Finding:
    if ledger.alive(name) is None:
        return Finding(name, False, f"its process died, see {ledger.processes[name].log}; {_AGAIN}")
    log = ledger.processes[name].log
    return _answer(name, url, f"{address}, {more}", f"its process lives and is deaf, see {log}")


def _answer(what: str, url: str, well: str, otherwise: str) -> Finding:
    try:
        code = requests.get(url, timeout=5).status_code
    except requests.RequestException:
        return Finding(what, False, f"nothing answers at {url}; {otherwise}")
    is_well = code == requests.codes.ok
    return Finding(what, is_well, well if is_well else f"{url} answers {code}; {otherwise}")


def _prefect_schema() -> str:
    """The revision of the server's own database."""
    file = kept.folder() / "prefect" / "prefect.db"
    try:
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
            (revision,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except (sqlite3.Error, TypeError):
        return "its schema cannot be read"
    return f"schema {revision}"


def _orchestration(ledger: Ledger) -> Iterator[Finding]:
    checks: list[Callable[[SyncPrefectClient, Ledger], Iterator[Finding]]] = [_worker, _deployed, _runs]
    try:
        with client(ledger.site) as connected:
            for check in checks:
                yield from check(connected, ledger)
    except Exception as error:  # whatever a server may answer is a finding
        yield Finding(PREFECT, False, f"it does not answer as expected: {error}")


def _worker(connected: "SyncPrefectClient", ledger: Ledger) -> Iterator[Finding]:
    if ledger.alive(WORKER) is None:
        return
    is_online = WORKER in workers_online(connected)
    log = ledger.processes[WORKER].log
    yield Finding(
        WORKER, is_online, "online" if is_online else f"the server does not hear of it, see {log}"
    )


def _deployed(connected: "SyncPrefectClient", ledger: Ledger) -> Iterator[Finding]:
    root = Path(ledger.site.root)
    missing = missing_deployments(connected, root) | missing_automations(connected, root)
    if missing:
        yield Finding(
            "deployments", False, f"missing: {', '.join(sorted(missing))}; regress up deploys them"
        )
    elif not is_deployed(ledger.site):
        yield Finding("deployments", False, "older than what lies here; regress up deploys it again")
    else:
        yield Finding("deployments", True, f"as in {root}")


def _runs(connected: "SyncPrefectClient", ledger: Ledger) -> Iterator[Finding]:
    stale = stale_runs(connected, ledger)
    lasting = lasting_runs(connected)
    for run, reason in stale:
        text = f"{run.name} is {run.state_name}, but {reason}; regress up moves it to Crashed"
        yield Finding("flow run", False, text)
    for run, reason in lasting:
        yield Finding("flow run", False, f"{run.name} is {run.state_name}: {reason}")
    if not stale and not lasting:
        yield Finding("flow runs", True, "none is stale")
