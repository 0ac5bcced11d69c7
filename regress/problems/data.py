"""The rows of a problem for all replicates."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import wraps
from typing import Any, ParamSpec, TypeVar
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

P = ParamSpec("P")
T = TypeVar("T")

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)  # compared by identity: fits are cached by it
class Data:
    """R replicates of n training rows and m validation rows with F features, in float64.

    `truth` holds the P generating parameters of each replicate, or None if they are unknown; `contaminated`
    marks the training rows that a contamination replaced.
    """

    train_x: Floats  # (R, n, F)
    train_y: Floats  # (R, n)
    val_x: Floats  # (R, m, F)
    val_y: Floats  # (R, m)
    truth: Floats | None  # (R, P)
    contaminated: NDArray[np.bool_]  # (R, n)
    first: int = 0  # index of the first replicate, by which its streams are keyed

    def __post_init__(self) -> None:
        for name, x, y in (
            ("train", self.train_x, self.train_y),
            ("val", self.val_x, self.val_y),
        ):
            # A target of shape (n, 1) and predictions of shape (n,) would broadcast to (n, n).
            if y.shape != x.shape[:2]:
                raise ValueError(
                    f"{name}_y has shape {y.shape}, expected {x.shape[:2]}: one target per row"
                )

    @property
    def replicates(self) -> int:
        return len(self.train_y)

    @property
    def indices(self) -> range:
        """The replicates' indices."""
        return range(self.first, self.first + self.replicates)

    @property
    def rows(self) -> int:
        """Training rows of one replicate, n."""
        return int(self.train_y.shape[1])


def cache_with_data(function: Callable[P, T]) -> Callable[P, T]:
    """Cache the results of a function of hashable values and one `Data` for as long as the data exist."""
    cache: WeakKeyDictionary[Data, dict[Hashable, Any]] = WeakKeyDictionary()

    @wraps(function)
    def lookup(*args: P.args, **kwargs: P.kwargs) -> T:
        data = next(value for value in args if isinstance(value, Data))
        results = cache.setdefault(data, {})
        key = tuple(value for value in args if value is not data)
        if key not in results:
            results[key] = function(*args, **kwargs)
        result: T = results[key]
        return result

    return lookup
