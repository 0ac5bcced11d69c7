"""Functions of one number, made into kernels over arrays."""

from collections.abc import Callable
from functools import cache
from types import FunctionType
from typing import Any

from numba import types
from numba.extending import register_jitable
from numba.np.unsafe.ndarray import to_fixed_tuple


def signature(number: types.Float) -> Any:
    """The types of (u (n,), how many of them, constants (c,)), the same for all functions."""
    return types.void(number[::1], types.intp, number[::1])


def over_array(function: Callable[..., float], constants: int) -> Callable[..., None]:
    """Return the uncompiled loop u[i] = function(u[i], *constants) over the first `count` numbers of u.

    Its closure holds nothing but importable functions and numbers: Numba's cache is keyed by it.
    """
    for called in reachable(function):
        _register(called)

    def apply(u, count, values):  # type: ignore[no-untyped-def]
        arguments = to_fixed_tuple(values, constants)
        for i in range(count):
            u[i] = function(u[i], *arguments)

    # The names of compiled symbols derive from it. Numba only adds a number that each process counts anew:
    # otherwise kernels cached by two processes could share a name, and one would run as the other.
    apply.__qualname__ = f"apply.{function.__module__}.{function.__qualname__}"
    return apply


def reachable(function: Callable[..., float]) -> set[FunctionType]:
    """`function`, and all Python functions that it calls by their names."""
    found: set[FunctionType] = set()
    waiting: list[Any] = [function]
    while waiting:
        called = waiting.pop()
        if isinstance(called, FunctionType) and called not in found:
            found.add(called)
            waiting += [called.__globals__.get(name) for name in called.__code__.co_names]
    return found


@cache
def _register(function: FunctionType) -> None:
    """Lets compiled code call `function`, and make its instructions part of a loop."""
    register_jitable(forceinline=True)(function)
