"""Steps of a command that change the process it runs in."""

from collections.abc import Callable
from dataclasses import dataclass


def _do_nothing() -> None:
    pass


def _start_session() -> None:
    from flows.runtime.session import start_session

    start_session()


@dataclass(frozen=True)
class ProcessHooks:
    """What a command does to its process before a flow runs.

    By default, for a program that calls `execute`, nothing but what Prefect does itself; `main` owns its
    process and adds a temporary server, found through environment variables, a second process for figures
    and a paused collector.
    """

    start_server: Callable[[], None] = _do_nothing
    start_session: Callable[[], None] = _start_session


def owned_process() -> ProcessHooks:
    """Return the hooks for a process that belongs to the command alone."""
    from flows.runtime.process_settings import permanent_objects
    from flows.runtime.temporary_server import start_temporary_server
    from tasks.figure_worker import figure_worker

    def start_session() -> None:
        figure_worker.start()
        with permanent_objects():
            _start_session()

    return ProcessHooks(start_temporary_server, start_session)
