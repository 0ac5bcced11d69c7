"""Compile the kernels on first use, and cache them in the folder `home()`.

Where Numba is missing or cannot compile, a warning is logged once, and torch trains instead.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from threading import RLock
from typing import Any, Literal

from regress.errors import InputError
from regress.home import home

Dtype = Literal["float32", "float64"]
Compiled = Callable[..., Any]

_PACKAGE = Path(__file__).parents[1]
_SOURCES = ("kernels", "numerics", "losses")

_log = logging.getLogger(__name__)
_lock = RLock()


@dataclass(frozen=True)
class Kernels:
    """The entry points of `linear_models` and `balance`, compiled for one dtype."""

    descend: Compiled
    mean_loss: Compiled
    residuals: Compiled
    balance: Compiled
    place_at_ends: Compiled


def load_kernels(dtype: Dtype) -> Kernels | None:
    """Return the kernels for `dtype`, or None where this machine cannot compile them."""
    with _lock:
        return _load_kernels(dtype)


def load_elementwise(function: Callable[..., float], constants: int, dtype: Dtype) -> Compiled | None:
    """Return a kernel that applies `function(u, *constants)` in place, or None where it cannot be compiled.

    The kernel has the arguments u (n,), count, constants (c,) and replaces the first `count` elements of u.
    """
    with _lock:
        return _load_elementwise(function, constants, dtype)


def describe_engine() -> str:
    """Return what trains linear models on this machine: `numba` and its version, or `torch`."""
    return "torch" if load_kernels("float64") is None else f"numba {version('numba')}"


def are_kernels_cached() -> bool:
    """Return whether kernels of this version of the sources are in this machine's cache."""
    try:
        return any((home() / "kernels" / _sources_digest()).rglob("*.nbc"))
    except (InputError, OSError):
        return False


@lru_cache(maxsize=1)
def _is_numba_usable() -> bool:
    try:
        from numba import config

        if config.DISABLE_JIT:
            raise RuntimeError("NUMBA_DISABLE_JIT is set")
    except Exception as error:  # a broken installation may raise anything
        _warn_once(f"linear models are trained by torch: {_reason(error)}")
        return False
    return True


@lru_cache
def _load_kernels(dtype: Dtype) -> Kernels | None:
    if not _is_numba_usable():
        return None
    try:
        from numba import types

        from regress.kernels import balance, linear_models
        from regress.kernels.elementwise import signature

        number = getattr(types, dtype)
        apply = types.FunctionType(signature(number))
        vector, matrix = number[::1], number[:, ::1]
        cube, indices = number[:, :, ::1], types.intp[::1]
        loss = (apply, vector, vector, types.boolean)
        orders, flags = types.intp[:, ::1], types.boolean[:, ::1]
        descend = (
            *loss,
            *(cube, types.intp[:, :, ::1], indices, indices),
            *(types.intp, types.intp, cube),
            *(cube, matrix, types.intp[:, ::1], types.intp),
            *(number[:, :, :, ::1], cube),
        )
        return Kernels(
            descend=_compile(linear_models.descend, types.void(*descend)),
            mean_loss=_compile(linear_models.mean_loss, types.void(*loss, cube, indices, cube, matrix)),
            residuals=_compile(linear_models.residuals, types.void(cube, indices, matrix, matrix)),
            balance=_compile(
                balance.balance, types.void(cube, types.float64[:, ::1], types.float64[::1], flags)
            ),
            place_at_ends=_compile(balance.place_at_ends, types.void(orders, flags, orders)),
        )
    except Exception as error:  # Numba raises errors of many kinds
        _warn_once(f"linear models are trained by torch: {_reason(error)}")
        return None


@lru_cache
def _load_elementwise(function: Callable[..., float], constants: int, dtype: Dtype) -> Compiled | None:
    if not _is_numba_usable():
        return None
    try:
        from numba import types

        from regress.kernels.elementwise import called_functions, make_loop, signature

        # Functions of installed packages change independently: their files are part of the cache's key.
        files = frozenset(Path(called.__code__.co_filename) for called in called_functions(function))
        return _compile(make_loop(function, constants), signature(getattr(types, dtype)), files)
    except Exception as error:
        _warn_once(f"{function.__name__} is computed by torch: {_reason(error)}")
        return None


def _compile(
    function: Callable[..., Any], signature: Any, files: frozenset[Path] = frozenset()
) -> Compiled:
    """Compile `function` for `signature`; `files` are its source files outside this package."""
    from numba import njit

    with _cache_folder(files) as is_writable:
        compiled: Compiled = njit(signature, nogil=True, error_model="numpy", cache=is_writable)(function)
    return compiled


@contextmanager
def _cache_folder(files: frozenset[Path]) -> Iterator[bool]:
    """Make Numba cache in our own folder within the block; yield False where it is not writable.

    Holds a lock between processes: Numba numbers its files by the length of an index, so that two processes
    writing at once would use the same file for different functions.
    """
    from filelock import FileLock
    from numba import config

    folder = _writable_folder(files)
    if folder is None:
        yield False
        return
    with FileLock(folder / "lock"):
        previous, config.CACHE_DIR = config.CACHE_DIR, str(folder)
        try:
            yield True
        finally:
            config.CACHE_DIR = previous


@lru_cache
def _writable_folder(files: frozenset[Path]) -> Path | None:
    """Create and return the cache folder of this version of the sources, or None where it is not writable.

    Its name holds a digest of all sources, since Numba invalidates its cache by the date of one file only.
    """
    from filelock import FileLock

    try:
        folder = home() / "kernels" / _sources_digest(files)
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / "lock"):
            return folder
    except (InputError, OSError, NotImplementedError) as error:  # the last: file locks are not supported
        _warn_once(f"kernels cannot be cached, each process compiles them: {_reason(error)}")
        return None


@lru_cache
def _sources_digest(files: frozenset[Path] = frozenset()) -> str:
    """Return the first 16 hexadecimal digits of SHA-256 over the kernels' sources and further `files`."""
    kernels = {file for name in _SOURCES for file in (_PACKAGE / name).glob("*.py")}
    digest = sha256()
    for file in (*sorted(kernels), *sorted(files - kernels)):
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:16]


@lru_cache
def _warn_once(message: str) -> None:
    _log.warning(message)


def _reason(error: Exception) -> str:
    """Return the first line of the error's message, or the name of its type if it has none."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
