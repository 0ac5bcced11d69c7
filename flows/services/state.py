"""Which services have been started and with which settings, stored in state.json."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from filelock import FileLock

from flows.services.processes import ServiceProcess
from flows.services.settings import ServiceSettings, services_folder


class ServiceState:
    """The settings and processes of the started services; each change is written to disk at once."""

    def __init__(self, settings: ServiceSettings, processes: dict[str, ServiceProcess]) -> None:
        self.settings = settings
        self.processes = processes

    def running(self, name: str) -> ServiceProcess | None:
        """Return the process of the service `name` if it runs."""
        process = self.processes.get(name)
        return process if process is not None and process.is_running else None

    @property
    def any_running(self) -> bool:
        """Whether any service runs."""
        return any(process.is_running for process in self.processes.values())

    def add(self, name: str, process: ServiceProcess) -> None:
        """Record the process of the service `name`."""
        self.processes[name] = process
        processes = {name: asdict(process) for name, process in self.processes.items()}
        new_file = _file().with_suffix(".new")
        new_file.touch(mode=0o600)
        new_file.write_text(
            json.dumps({"settings": asdict(self.settings), "processes": processes}, indent=1)
        )
        new_file.replace(_file())


def read_state() -> ServiceState | None:
    """Return what the last `up` started, or None if there was none or `down` followed it."""
    try:
        content = json.loads(_file().read_text())
    except FileNotFoundError:
        return None
    processes = {name: ServiceProcess(**fields) for name, fields in content["processes"].items()}
    return ServiceState(ServiceSettings(**content["settings"]), processes)


def delete_state() -> None:
    """Delete the record, once every service has been stopped."""
    _file().unlink(missing_ok=True)


@contextmanager
def exclusive_access() -> Iterator[None]:
    """Let one `up` or `down` work at a time; others wait."""
    with FileLock(services_folder() / "lock"):
        yield


def _file() -> Path:
    return services_folder() / "state.json"
