"""Values that a command has read already and hands to its flow run."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Generic, TypeVar

T = TypeVar("T")


class Handover(Generic[T]):
    """A value for flow runs of this process; a flow's parameters carry only JSON."""

    def __init__(self, name: str) -> None:
        self._value: ContextVar[T | None] = ContextVar(name, default=None)

    @contextmanager
    def give(self, value: T) -> Iterator[None]:
        """Hand `value` to the flow runs within the context."""
        token = self._value.set(value)
        try:
            yield
        finally:
            self._value.reset(token)

    def take_or(self, read: Callable[[], T]) -> T:
        """Return the value that was handed over, or what `read` returns."""
        value = self._value.get()
        return read() if value is None else value
