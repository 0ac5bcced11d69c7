"""Orders that depend on a lane's own residuals or gradients, computed at the start of each epoch."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from regress.numerics.linear_algebra import pairwise_sum

Permutations = NDArray[np.intp]
Numbers = NDArray[Any]  # in the training dtype


@dataclass(frozen=True)
class PreviousEpoch:
    """The gradients that G lanes recorded in the previous epoch.

    `gradients[j]` is the gradient of the row visited j-th, at the parameters when it was visited; it is 0
    for rows that the epoch did not visit (tail=drop).
    """

    visited: Permutations  # (G, n) row indices, as visited
    gradients: Numbers  # (n, P, G)
    mean_before: Numbers  # (P, G) mean gradient of the epoch before that one, or 0 if there was none

    @property
    def mean(self) -> Numbers:
        """The mean gradient (P, G) of the epoch."""
        total = pairwise_sum(np.moveaxis(self.gradients, 0, -1))
        return np.asarray(total / self.gradients.dtype.type(len(self.gradients)))


@dataclass(frozen=True)
class EpochInputs:
    """The inputs from which G lanes order an epoch of n rows.

    `residual` is None unless the rearrangement is by residuals, `previous` unless it is by gradients.
    """

    drawn: Permutations  # (G, n) the order that the lane's stream drew for this epoch
    residual: Numbers | None  # (G, n) prediction minus target, of the rows as they are stored
    previous: PreviousEpoch | None  # None in the first epoch as well


@dataclass(frozen=True)
class Rearrangement:
    """A rule by which lanes order each epoch, and the quantity that it depends on."""

    order: Callable[[EpochInputs], Permutations]
    by: Literal["residuals", "gradients"]
