"""A second process that draws figures, because matplotlib holds the interpreter's lock.

Only this project's entry points start it: a spawned process imports the main module of its parent, which
need not be guarded in a caller's script. Where it was not started, figures are drawn in this process.
"""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import wait
from typing import Any, Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Drawing(Generic[T]):
    """A figure that is being drawn in the worker, or will be drawn here."""

    draw: Callable[..., T]
    arguments: tuple[Any, ...]
    future: Future[T] | None  # None: drawn here

    def result(self) -> T:
        """Wait for the drawing; what the worker could not do is done here, and raises what it raises."""
        if self.future is not None:
            try:
                return self.future.result()
            except Exception:
                # The worker was killed, or cannot import what the arguments are made of.
                pass
        return self.draw(*self.arguments)


class FigureWorker:
    """The worker process, once it is started, and the last drawing that it was given."""

    def __init__(self) -> None:
        self._executor: ProcessPoolExecutor | None = None
        self._last: Future[Any] | None = None

    def start(self) -> None:
        """Start the process, which imports matplotlib meanwhile; do nothing where there is one core."""
        if self._executor is None and _available_cores() > 1:
            _start_silent_tracker()
            spawn = multiprocessing.get_context("spawn")
            self._executor = ProcessPoolExecutor(1, mp_context=spawn, initializer=_watch_parent)
            self.submit(_import_plots)

    def stop(self) -> None:
        """Wait for the drawings that were submitted and end the process."""
        if self._executor is not None:
            self._executor.shutdown()
        self._executor = self._last = None

    def submit(self, draw: Callable[..., T], *arguments: Any) -> Drawing[T]:
        """Draw in the worker once it is idle, or here when the result is asked for."""
        future = None if self._executor is None else _submit(self._executor, draw, *arguments)
        self._last = future
        return Drawing(draw, arguments, future)

    def draw_now(self, draw: Callable[..., T], *arguments: Any) -> T:
        """Draw in the worker if it is idle, else here."""
        is_idle = self._last is None or self._last.done()
        return self.submit(draw, *arguments).result() if is_idle else draw(*arguments)


figure_worker = FigureWorker()


def _submit(executor: ProcessPoolExecutor, draw: Callable[..., T], *arguments: Any) -> Future[T] | None:
    """Send a drawing to the worker; return None if that was killed."""
    # The worker inherits the mask: Ctrl-C interrupts this process, which then ends the worker.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return executor.submit(draw, *arguments)
    except BrokenProcessPool:
        return None
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _start_silent_tracker() -> None:
    """Start multiprocessing's resource tracker, without its warning when this process is killed.

    The semaphores that it then warns of are removed by it.
    """
    option = "ignore::UserWarning:multiprocessing.resource_tracker"
    sys.warnoptions.append(option)
    try:
        resource_tracker.ensure_running()
    finally:
        sys.warnoptions.remove(option)


def _watch_parent() -> None:
    """End this process, the worker, with its parent, however that ends."""
    threading.Thread(target=_exit_with_parent, daemon=True).start()


def _exit_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(0)


def _import_plots() -> None:
    import regress.plots  # noqa: F401


def _available_cores() -> int:
    """Return how many cores this process may use; macOS only tells how many there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
