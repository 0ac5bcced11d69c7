"""Everything that deployments need, brought up on this machine; what is up already stays."""

import importlib.util
import secrets
import socket
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path

import requests

from flows.services import site as kept
from flows.services.orchestration import (
    AUTOMATIONS,
    DEPLOYMENTS,
    apply_automations,
    client,
    deploy,
    ensure_pool,
    workers_online,
)
from flows.services.process import environment, hear_signals, start, stop
from flows.services.site import MLFLOW, POOL, PREFECT, WORKER, Ledger, Site
from flows.services.stale import mend
from regress.errors import InputError, ServiceLost

_PATIENCE = 180.0  # seconds: a first start makes its database, on a busy machine
_HOSTS = "localhost,localhost:*,127.0.0.1,127.0.0.1:*"  # that MLflow's server answers to

Say = Callable[[str, str], None]  # a service, and what became of it


@dataclass(frozen=True)
class Options:
    """What was asked for; None where nothing was."""

    host: str | None = None
    prefect_port: int | None = None
    mlflow_port: int | None = None
    login: str | None = None


def bring_up(options: Options, notify_url: str | None, say: Say) -> None:
    """Starts what is not up, all at the same time; returns once everything answers.

    Raises InputError where it cannot be had as asked for, and stops again what was started until then;
    ServiceLost where a service does not start.
    """
    hear_signals()
    with kept.alone():
        ledger = _ledger(options)
        new = {name for name in (PREFECT, MLFLOW, WORKER) if ledger.alive(name) is None}
        _check_ports(ledger.site, new)
        try:
            _serve(ledger, new, notify_url, say)
        except InputError:
            stop(*(process for name, process in ledger.processes.items() if name in new))
            if not ledger.any_alive:
                kept.forget()
            raise
    say("logs", str(kept.log(WORKER).parent))
    say("terminal", f"export PREFECT_API_URL={ledger.site.prefect_api}")


def _serve(ledger: Ledger, new: set[str], notify_url: str | None, say: Say) -> None:
    site = ledger.site
    if PREFECT in new:
        _start(ledger, PREFECT, _prefect_command(site), prefect_settings(site))
    if MLFLOW in new:
        _open(site.store)
        _start(ledger, MLFLOW, _mlflow_command(site), _mlflow_settings(site))
    _await(ledger, PREFECT, lambda: _answers(f"{site.prefect_api}/health"))
    say(PREFECT, f"{site.prefect_address}, {_became(PREFECT in new)}")
    with client(site) as connected:
        ensure_pool(connected)
        if crashed := mend(ledger):
            say("flow runs", f"{crashed} without a process moved to Crashed")
        if WORKER in new:
            _start(ledger, WORKER, _worker_command(), worker_settings(site))
        is_new = deploy(site, connected, environment(**prefect_settings(site)))
        say("deployments", "deployed" if is_new else "as they were")
        apply_automations(connected, Path(site.root), notify_url)
        _await(ledger, MLFLOW, lambda: _answers(f"{site.mlflow_here}/health"))
        say(MLFLOW, f"{site.mlflow_address}, {_became(MLFLOW in new)}")
        _await(ledger, WORKER, lambda: WORKER in workers_online(connected))
        say(WORKER, _became(WORKER in new))


def _became(is_new: bool) -> str:
    return "started" if is_new else "already running"


def _ledger(options: Options) -> Ledger:
    """What is up, with its choices, or a new one with these."""
    before = kept.read()
    if before is not None and before.any_alive:
        for name, asked in asdict(options).items():
            if asked is not None and asked != getattr(before.site, name):
                raise InputError(
                    f"--{name.replace('_', '-')}: what is up was started with another; regress down first"
                )
        return before
    root = Path.cwd()
    for file in (DEPLOYMENTS, AUTOMATIONS):
        if not (root / file).exists():
            raise InputError(f"up: there is no {file} in {root}, expected the root of the repository")
    if options.login is not None and importlib.util.find_spec("flask_wtf") is None:
        raise InputError("--login: MLflow's login needs Flask-WTF, expected pip install 'regress[login]'")
    asked = {name: value for name, value in asdict(options).items() if value is not None}
    return Ledger(Site(root=str(root), store=_store_uri(), **asked), {})


def _store_uri() -> str:
    from regress.tracking.store import database_uri

    return database_uri()


def _open(uri: str) -> None:
    """Makes a fresh store, so that no two servers do at once."""
    from regress.tracking.store import open_store

    open_store(uri)


def _check_ports(site: Site, new: set[str]) -> None:
    ports = {PREFECT: site.prefect_port, MLFLOW: site.mlflow_port}
    for name in (PREFECT, MLFLOW):
        if name in new and (reason := occupied(site.host, ports[name])):
            raise InputError(
                f"--{name}-port: nothing can listen at {site.host}:{ports[name]} ({reason}), expected a"
                " free port"
            )


def occupied(host: str, port: int) -> str | None:
    """Why nothing can listen there; None where something can."""
    with closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return error.strerror or str(error)
    return None


def _start(ledger: Ledger, name: str, command: list[str], settings: Mapping[str, str]) -> None:
    mark = f"{name} {kept.folder()}"
    command = [sys.executable, "-m", *command]
    ledger.put(name, start(command, environment(**settings), Path(ledger.site.root), kept.log(name), mark))


def _prefect_command(site: Site) -> list[str]:
    return ["prefect", "server", "start", "--host", site.host, "--port", str(site.prefect_port)]


def prefect_settings(site: Site) -> dict[str, str]:
    """For the server, and for whoever talks to it from here."""
    settings = {
        "PREFECT_HOME": str(kept.folder() / "prefect"),
        "PREFECT_API_URL": site.prefect_api,
        "PREFECT_UI_URL": site.prefect_address,
        "PREFECT_SERVER_UI_API_URL": f"{site.prefect_address}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",  # it locks the database
        "DO_NOT_TRACK": "1",
    }
    if site.login is not None:
        settings |= {"PREFECT_SERVER_API_AUTH_STRING": site.login, "PREFECT_API_AUTH_STRING": site.login}
    return settings


def _mlflow_command(site: Site) -> list[str]:
    command = ["mlflow", "server", "--host", site.host, "--port", str(site.mlflow_port), "--workers", "1"]
    command += ["--no-serve-artifacts", "--default-artifact-root", str(site.artifacts)]
    if not kept.is_loopback(site.host):
        names = f"{site.host},{site.host}:*,{socket.gethostname()},{socket.gethostname()}:*"
        command += ["--allowed-hosts", f"{_HOSTS},{names}"]
    return command if site.login is None else [*command, "--app-name", "basic-auth"]


def _mlflow_settings(site: Site) -> dict[str, str]:
    settings = {
        "MLFLOW_BACKEND_STORE_URI": site.store,  # not among the arguments, which everybody may list
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # its processes outlive the server
    }
    if site.login is None:
        return settings
    user, _, password = site.login.partition(":")
    # MLflow keeps the first password of a user: another login has a file of its own.
    users = kept.folder() / f"users-{sha256(site.login.encode()).hexdigest()[:8]}.db"
    ini = kept.folder() / "basic_auth.ini"
    ini.write_text(f"[mlflow]\ndefault_permission = READ\ndatabase_uri = sqlite:///{users}\n")
    return settings | {
        "MLFLOW_AUTH_CONFIG_PATH": str(ini),
        "MLFLOW_AUTH_ADMIN_USERNAME": user,
        "MLFLOW_AUTH_ADMIN_PASSWORD": password,
        "MLFLOW_FLASK_SERVER_SECRET_KEY": secrets.token_hex(32),
    }


def _worker_command() -> list[str]:
    return ["prefect", "worker", "start", "--pool", POOL, "--type", "process", "--name", WORKER]


def worker_settings(site: Site) -> dict[str, str]:
    """For the worker and its flow runs, which write to the database and link to the server over it."""
    return prefect_settings(site) | {
        "MLFLOW_TRACKING_URI": site.store,
        "REGRESS_MLFLOW_UI": site.mlflow_address,
        "REGRESS_HOME": str(kept.folder().parent),
        "PREFECT_WORKER_QUERY_SECONDS": "1",
        "PREFECT_LOGGING_EXTRA_LOGGERS": "regress",
    }


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).ok
    except requests.RequestException:
        return False


def _await(ledger: Ledger, name: str, is_ready: Callable[[], bool]) -> None:
    process = ledger.processes[name]
    deadline = time.monotonic() + _PATIENCE
    while not is_ready():
        if not process.is_alive:
            raise ServiceLost(f"{name} ended while it started, see {process.log}")
        if time.monotonic() > deadline:
            raise ServiceLost(f"{name} is not ready after {_PATIENCE:.0f} s, see {process.log}")
        time.sleep(0.1)
