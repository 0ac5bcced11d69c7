"""A second process for figures, where there is a second core: matplotlib holds the interpreter's lock.

It is a child that reads pickled calls from its standard input, hence ends with this process however that
ends. Unlike those of `multiprocessing` it never imports this process's main module, which may be anything.
"""

import atexit
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import lru_cache
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_STOPPING = 5.0  # seconds
_in_use = threading.Lock()


def warm_up() -> None:
    """Starts the other process, which is busy for seconds with importing what it draws with."""
    aside(_import)


def shared(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What `work` returns, done by the other process if it is free, else here."""
    if not _in_use.acquire(blocking=False):
        return work(*args, **kwargs)
    try:
        return _there(work, *args, **kwargs)
    finally:
        _in_use.release()


def aside(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
    """What `work` will have returned, done by the other process once it is free."""

    def call() -> T:
        with _in_use:
            return _there(work, *args, **kwargs)

    return _waiting().submit(call)


def _there(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What `work` returns there; what cannot be done there is done here, and may fail as it likes."""
    if _cores() == 1:
        return work(*args, **kwargs)
    try:
        call = pickle.dumps((work, args, kwargs), pickle.HIGHEST_PROTOCOL)
    except Exception:  # of whatever kind: objects refuse in their own ways
        return work(*args, **kwargs)
    child = _child()
    assert child.stdin and child.stdout
    try:
        pickle.dump(call, child.stdin)  # bytes, which it reads whole whatever they hold
        child.stdin.flush()
        answer = pickle.load(child.stdout)
    except (OSError, EOFError, pickle.PickleError):  # it was killed
        _child.cache_clear()
        answer = None
    if answer is None:
        return work(*args, **kwargs)
    result: T = pickle.loads(answer)
    return result


def _cores() -> int:
    """How many this process may use; macOS knows only how many there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@lru_cache(maxsize=1)
def _waiting() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1)


@lru_cache(maxsize=1)
def _child() -> "subprocess.Popen[bytes]":
    # In a session of its own: Ctrl-C is for this process.
    child = subprocess.Popen(
        [sys.executable, "-m", __name__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    atexit.register(_stop, child)
    return child


def _stop(child: "subprocess.Popen[bytes]") -> None:
    assert child.stdin
    with suppress(OSError):
        child.stdin.close()
    try:
        child.wait(_STOPPING)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _import() -> None:
    import regress.plots  # noqa: F401


def _serve() -> None:
    """Answers calls until there are no more; what else is printed does not come between."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    while True:
        answer: bytes | None
        try:
            work, args, kwargs = pickle.loads(pickle.load(sys.stdin.buffer))
            answer = pickle.dumps(work(*args, **kwargs), pickle.HIGHEST_PROTOCOL)
        except EOFError:
            return
        except Exception:
            answer = None  # the caller finds out for itself
        pickle.dump(answer, answers)
        answers.flush()


if __name__ == "__main__":
    _serve()
