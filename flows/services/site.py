"""Where the services listen and keep their files, and what of them has been started."""

import ipaddress
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from filelock import FileLock

from flows.services.process import Process
from regress.errors import InputError
from regress.home import home

PREFECT, MLFLOW, WORKER = "prefect", "mlflow", "worker"
POOL = "regress"
PREFECT_PORT, MLFLOW_PORT = 4200, 5000
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Site:
    """The choices that hold while anything of it is up."""

    root: str  # the folder of prefect.yaml, in which flows run
    store: str  # the URI of a database
    host: str = LOOPBACK
    prefect_port: int = PREFECT_PORT
    mlflow_port: int = MLFLOW_PORT
    login: str | None = field(default=None, repr=False)  # user:password, of both servers

    def __post_init__(self) -> None:
        if ":" in self.host:
            raise InputError(f"--host: {self.host} is not an IPv4 address or a name")
        if self.login is not None and not all(self.login.partition(":")):
            raise InputError("--login: expected USER:PASSWORD")
        if self.login is None and not is_loopback(self.host):
            raise InputError(
                f"--host: {self.host} is open to other machines, expected a password for both servers:"
                " --login USER:PASSWORD or REGRESS_LOGIN"
            )

    @property
    def prefect_address(self) -> str:
        """Where people find Prefect's pages."""
        return f"http://{self._shown_host}:{self.prefect_port}"

    @property
    def mlflow_address(self) -> str:
        """Where people find MLflow's pages."""
        return f"http://{self._shown_host}:{self.mlflow_port}"

    @property
    def prefect_api(self) -> str:
        """Where this machine finds Prefect's API."""
        return f"http://{self._near_host}:{self.prefect_port}/api"

    @property
    def mlflow_here(self) -> str:
        """Where this machine finds the MLflow server."""
        return f"http://{self._near_host}:{self.mlflow_port}"

    @property
    def artifacts(self) -> Path:
        """Where a process in `root` that writes to the store puts files: MLflow's own choice."""
        return Path(self.root, "mlruns")

    @property
    def _shown_host(self) -> str:
        return socket.gethostname() if is_any(self.host) else self.host

    @property
    def _near_host(self) -> str:
        return LOOPBACK if is_any(self.host) else self.host


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens at `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_any(host: str) -> bool:
    """Whether `host` stands for every address of this machine."""
    return host == "0.0.0.0"


def folder() -> Path:
    """Where the services keep everything; only its owner may look, for a login lies there."""
    path = home().resolve() / "services"
    path.mkdir(mode=0o700, exist_ok=True)
    return path


def log(name: str) -> Path:
    """The file in which the service `name` says what it does."""
    path = folder() / "logs"
    path.mkdir(exist_ok=True)
    return path / f"{name}.log"


@contextmanager
def alone() -> Iterator[None]:
    """One `up` or `down` at a time: the others wait."""
    with FileLock(folder() / "lock"):
        yield


class Ledger:
    """What has been started, and with which choices; on disk before anything else happens."""

    def __init__(self, site: Site, processes: dict[str, Process]) -> None:
        self.site = site
        self.processes = processes

    def alive(self, name: str) -> Process | None:
        """The service `name` where it is at work."""
        process = self.processes.get(name)
        return process if process is not None and process.is_alive else None

    @property
    def any_alive(self) -> bool:
        return any(process.is_alive for process in self.processes.values())

    def put(self, name: str, process: Process) -> None:
        self.processes[name] = process
        processes = {name: asdict(process) for name, process in self.processes.items()}
        beside = _file().with_suffix(".new")
        beside.touch(mode=0o600)
        beside.write_text(json.dumps({"site": asdict(self.site), "processes": processes}, indent=1))
        beside.replace(_file())


def read() -> Ledger | None:
    """What an earlier `up` has started; None where there was none, or a `down` after it."""
    try:
        content = json.loads(_file().read_text())
    except FileNotFoundError:
        return None
    processes = {name: Process(**fields) for name, fields in content["processes"].items()}
    return Ledger(Site(**content["site"]), processes)


def forget() -> None:
    """After everything has been stopped."""
    _file().unlink(missing_ok=True)


def _file() -> Path:
    return folder() / "state.json"
