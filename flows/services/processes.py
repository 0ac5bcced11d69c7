"""Processes that outlive the command that starts them and are never confused with others.

A process is identified by its id and start time. What it starts inherits a mark in its environment, which
finds descendants that left its session or lost their parent.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

MARK = "REGRESS_SERVICE"
_LAUNCHER = Path(__file__).with_name("launcher.py")
_GRACE_SECONDS = 15.0  # between SIGTERM and SIGKILL


@dataclass(frozen=True)
class ServiceProcess:
    """A process that was started here.

    `start_time` is in seconds since 1970; `mark` is in its environment and its descendants'.
    """

    pid: int
    start_time: float
    mark: str
    log: str

    @property
    def is_running(self) -> bool:
        """Whether the process runs; another one that was given its id later does not count."""
        try:
            process = psutil.Process(self.pid)
            is_same = abs(process.create_time() - self.start_time) < 1
            return is_same and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False


def start_process(
    arguments: Sequence[str], environment: Mapping[str, str], folder: Path, log: Path, mark: str
) -> ServiceProcess:
    """Start `python -m ARGUMENTS` in `folder` and a session of its own, its output appended to `log`."""
    with log.open("ab") as output:
        popen = subprocess.Popen(
            [sys.executable, "-P", str(_LAUNCHER), *arguments],
            cwd=folder,
            env={**environment, MARK: mark},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return ServiceProcess(popen.pid, psutil.Process(popen.pid).create_time(), mark, str(log))


def descendants(process: ServiceProcess) -> list[psutil.Process]:
    """Return the running processes started by `process`, which itself may have ended."""
    return [marked for marked in _marked_processes(process.mark) if marked.pid != process.pid]


def stop_processes(*processes: ServiceProcess) -> None:
    """Terminate `processes`, then what they left behind; kill what does not end."""
    pids = {process.pid for process in processes}
    marks = {process.mark for process in processes}
    _terminate([marked for mark in marks for marked in _marked_processes(mark) if marked.pid in pids])
    _terminate([marked for mark in marks for marked in _marked_processes(mark)])


def stop_descendants(process: ServiceProcess) -> None:
    """Terminate what `process` has started and kill what does not end."""
    _terminate(descendants(process))


def child_environment(**settings: str) -> dict[str, str]:
    """Return this process's environment with `settings`, without variables that name another Prefect."""
    removed = ("PREFECT_PROFILE", "PREFECT_UI_URL", MARK)
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name not in removed and not name.startswith("PREFECT_API_")
    }
    return inherited | settings


def _marked_processes(mark: str) -> list[psutil.Process]:
    return [process for process in psutil.process_iter() if _mark(process) == mark]


def _mark(process: psutil.Process) -> str | None:
    with suppress(psutil.Error, OSError):  # another user's process, or one that ended
        return process.environ().get(MARK)
    return None


def _terminate(processes: Sequence[psutil.Process]) -> None:
    for step in (psutil.Process.terminate, psutil.Process.kill):
        _apply(processes, step)
        _, processes = psutil.wait_procs(processes, timeout=_GRACE_SECONDS)


def _apply(processes: Sequence[psutil.Process], step: Callable[[psutil.Process], None]) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            step(process)
