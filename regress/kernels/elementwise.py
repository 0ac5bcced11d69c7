"""Loops that apply a function of one number to every element of an array."""

from collections.abc import Callable
from functools import cache
from types import FunctionType
from typing import Any

from numba import types
from numba.extending import register_jitable
from numba.np.unsafe.ndarray import to_fixed_tuple


def signature(number: types.Float) -> Any:
    """Return the Numba signature of all elementwise kernels: u (n,), count, constants (c,)."""
    return types.void(number[::1], types.intp, number[::1])


def make_loop(function: Callable[..., float], constants: int) -> Callable[..., None]:
    """Return the uncompiled loop u[i] = function(u[i], *constants) over the first `count` elements of u.

    Its closure holds importable functions and numbers only, since Numba's cache is keyed by the closure.
    """
    for called in called_functions(function):
        _inline(called)

    def apply(u, count, values):  # type: ignore[no-untyped-def]
        arguments = to_fixed_tuple(values, constants)
        for i in range(count):
            u[i] = function(u[i], *arguments)

    # Compiled symbols are named after __qualname__ and a counter that starts anew in each process. Without
    # distinct names, kernels cached by two processes could share a symbol, and one would run as the other.
    apply.__qualname__ = f"apply.{function.__module__}.{function.__qualname__}"
    return apply


def called_functions(function: Callable[..., float]) -> set[FunctionType]:
    """Return `function` and all Python functions that it calls by name, directly or indirectly."""
    functions: set[FunctionType] = set()
    candidates: list[Any] = [function]
    while candidates:
        candidate = candidates.pop()
        if isinstance(candidate, FunctionType) and candidate not in functions:
            functions.add(candidate)
            candidates += [candidate.__globals__.get(name) for name in candidate.__code__.co_names]
    return functions


@cache
def _inline(function: FunctionType) -> None:
    """Let Numba inline `function` into compiled code that calls it."""
    register_jitable(forceinline=True)(function)
