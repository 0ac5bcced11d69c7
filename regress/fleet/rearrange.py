"""Orders that a lane chooses itself, epoch by epoch, by its own residuals or gradients."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from regress.numerics.linear_algebra import halving_sum

Permutations = NDArray[np.intp]
Numbers = NDArray[Any]  # of the training dtype


@dataclass(frozen=True)
class LastEpoch:
    """What G lanes recorded in the previous epoch.

    Row j of `gradients` belongs to the row visited j-th and is as it was then; rows that a dropped
    tail left out count as 0.
    """

    visited: Permutations  # (G, n)
    gradients: Numbers  # (n, P, G)
    mean_before: Numbers  # (P, G), the mean gradient of the epoch before that; at first 0

    @property
    def mean(self) -> Numbers:
        """The epoch's mean gradient (P, G)."""
        total = halving_sum(np.moveaxis(self.gradients, 0, -1))
        return np.asarray(total / self.gradients.dtype.type(len(self.gradients)))


@dataclass(frozen=True)
class Standing:
    """What G lanes know as an epoch of n rows begins; what was not asked for is None."""

    drawn: Permutations  # (G, n), the order that their stream drew for this epoch
    residual: Numbers | None  # (G, n), prediction minus target, by row
    last: LastEpoch | None  # None in the first epoch, too


@dataclass(frozen=True)
class Rearrangement:
    """How a lane orders the epoch that begins."""

    order: Callable[[Standing], Permutations]
    by: Literal["residuals", "gradients"]
