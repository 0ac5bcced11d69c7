"""Where the services listen, which store they show and where their files are."""

import ipaddress
import socket
from dataclasses import dataclass, field
from pathlib import Path

from regress.errors import InputError
from regress.home import home

PREFECT, MLFLOW, WORKER = "prefect", "mlflow", "worker"
POOL = "regress"
PREFECT_PORT, MLFLOW_PORT = 4200, 5000
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class ServiceSettings:
    """The choices of `up`, which hold as long as any service runs.

    Raises InputError for a host or login that cannot be used.
    """

    working_folder: str  # where `up` was started: flow runs work there
    store: str  # the URI of a database
    host: str = LOOPBACK
    prefect_port: int = PREFECT_PORT
    mlflow_port: int = MLFLOW_PORT
    login: str | None = field(default=None, repr=False)  # user:password of both servers

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
        """Prefect's address as shown to users."""
        return f"http://{self._shown_host}:{self.prefect_port}"

    @property
    def mlflow_address(self) -> str:
        """MLflow's address as shown to users."""
        return f"http://{self._shown_host}:{self.mlflow_port}"

    @property
    def prefect_api(self) -> str:
        """Prefect's API as reached from this machine."""
        return f"http://{self._local_host}:{self.prefect_port}/api"

    @property
    def mlflow_local_address(self) -> str:
        """MLflow's server as reached from this machine."""
        return f"http://{self._local_host}:{self.mlflow_port}"

    @property
    def artifacts(self) -> Path:
        """The folder of artifacts, the one that MLflow chooses for a process in the working folder."""
        return Path(self.working_folder, "mlruns")

    @property
    def _shown_host(self) -> str:
        return socket.gethostname() if _is_any_address(self.host) else self.host

    @property
    def _local_host(self) -> str:
        return LOOPBACK if _is_any_address(self.host) else self.host


def is_loopback(host: str) -> bool:
    """Return whether only this machine can connect to what listens at `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_any_address(host: str) -> bool:
    return host == "0.0.0.0"


def services_folder() -> Path:
    """Return the folder of the services' files, readable by its owner alone because logins are in it."""
    path = home().resolve() / "services"
    path.mkdir(mode=0o700, exist_ok=True)
    return path


def log_file(name: str) -> Path:
    """Return the log file of the service `name`."""
    folder = services_folder() / "logs"
    folder.mkdir(exist_ok=True)
    return folder / f"{name}.log"
