"""Where a step of a study runs: directly, or wherever a `Submit` sends it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Pending(Protocol[T_co]):
    """The result of a step that may not have run yet, as `concurrent.futures.Future` is one."""

    def result(self) -> T_co:
        """Wait for the step and return its result; raise what it raised."""


class Submit(Protocol):
    """Decides where a step runs.

    Called with the step, a module-level function, and its arguments. An argument may be the pending
    result of another step, which the step then receives as a value.
    """

    def __call__(self, step: Callable[..., T], /, *arguments: Any) -> Pending[T]:
        """Send the step off and return its pending result."""


@dataclass(frozen=True)
class Finished(Generic[T]):
    """The result of a step that ran when it was submitted."""

    value: T

    def result(self) -> T:
        """Return the result."""
        return self.value


def run_directly(step: Callable[..., T], /, *arguments: Any) -> Finished[T]:
    """Run the step at once, in this thread."""
    values = (argument.value if isinstance(argument, Finished) else argument for argument in arguments)
    return Finished(step(*values))


Progress = Callable[[str, int], None]  # a unit, `models` or `trials`, and how many more of it are done


def ignore_progress(unit: str, count: int) -> None:
    """Do nothing."""
