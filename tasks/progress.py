"""Progress of a flow run, reported by its tasks to a listener such as a progress bar."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Listener = Callable[[str, int], None]  # a unit, and how many more of it are finished

# A context variable: Prefect runs each task in a copy of the flow's context.
_listener: ContextVar[Listener | None] = ContextVar("progress", default=None)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Within the context, pass each `advance` to `listener`."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def advance(unit: str, count: int) -> None:
    """Report that `count` more models have been trained, or trials tracked; `unit` says which."""
    if (listener := _listener.get()) is not None:
        listener(unit, count)
