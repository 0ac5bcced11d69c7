"""Processes that outlive the command that starts them, and are never taken for others.

A process is itself by its id and its start time. What it starts inherits a mark in its environment, by
which those are found that left its session or lost their parent.
"""

import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

MARK = "REGRESS_SERVICE"
_PATIENCE = 15.0  # seconds between asking and killing


@dataclass(frozen=True)
class Process:
    """One that was started here; `started` in seconds since 1970, `mark` its own and its descendants'."""

    pid: int
    started: float
    mark: str
    log: str

    @property
    def is_alive(self) -> bool:
        try:
            found = psutil.Process(self.pid)
            return abs(found.create_time() - self.started) < 1 and found.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False


def start(
    command: Sequence[str], environment: Mapping[str, str], folder: Path, log: Path, mark: str
) -> Process:
    """Starts `command` in `folder`, in a session of its own, what it says appended to `log`."""
    with log.open("ab") as output:
        popen = subprocess.Popen(
            command,
            cwd=folder,
            env={**environment, MARK: mark},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return Process(popen.pid, psutil.Process(popen.pid).create_time(), mark, str(log))


def hear_signals() -> None:
    """Undoes what a shell does to its background jobs: what is ignored here stays so in what starts here.

    Prefect's worker, deaf to SIGINT, could not be stopped by SIGTERM either.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)


def descendants(process: Process) -> list[psutil.Process]:
    """What `process` has started and is at work, whether it lives itself or not."""
    return [found for found in _marked(process.mark) if found.pid != process.pid]


def stop(*processes: Process) -> None:
    """Asks `processes` to end, then what they left behind; kills what does not."""
    marked = [found for process in processes for found in _marked(process.mark)]
    pids = {process.pid for process in processes}
    _end([found for found in marked if found.pid in pids])
    _end([found for process in processes for found in _marked(process.mark)])


def stop_descendants(process: Process) -> None:
    """Asks what `process` has started to end, and kills what does not."""
    _end(descendants(process))


def _marked(mark: str) -> list[psutil.Process]:
    return [process for process in psutil.process_iter() if _mark(process) == mark]


def _mark(process: psutil.Process) -> str | None:
    with suppress(psutil.Error, OSError):  # somebody else's, or gone
        return process.environ().get(MARK)
    return None


def _end(processes: Sequence[psutil.Process]) -> None:
    for step in (psutil.Process.terminate, psutil.Process.kill):
        _each(processes, step)
        _, processes = psutil.wait_procs(processes, timeout=_PATIENCE)


def _each(processes: Sequence[psutil.Process], step: Callable[[psutil.Process], None]) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            step(process)


def environment(**settings: str) -> dict[str, str]:
    """This process's environment with `settings` over it, and none that lead to another Prefect."""
    elsewhere = ("PREFECT_PROFILE", "PREFECT_UI_URL", MARK)
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in elsewhere and not name.startswith("PREFECT_API_")
    }
    return kept | settings
