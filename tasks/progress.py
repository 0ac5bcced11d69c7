"""Where the steps report to, whoever listens: a progress bar, plain lines, nobody."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Listener = Callable[[str, int], None]  # a unit and how many more of it are done

# A context variable: Prefect runs each task in a copy of the flow's context.
_listener: ContextVar[Listener | None] = ContextVar("progress", default=None)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Within the context, `listener` hears of every `advance`."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def advance(unit: str, count: int) -> None:
    """Reports that `count` more lanes have been trained, or trials tracked."""
    if (listener := _listener.get()) is not None:
        listener(unit, count)
