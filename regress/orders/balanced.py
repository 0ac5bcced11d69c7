"""Orders that help: rows so visited that the gradients' partial sums stay small.

Each lane watches the gradient of every row as it passes, splits the rows by signs that keep a running
sum small, and visits the next epoch's left ones forwards, then the right ones backwards (herding;
Lu, Guo, De Sa 2022, "GraB"; Cooper et al. 2023, pairs).
"""

from abc import abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass

from regress.fleet.rearrange import LastEpoch, Rearrangement, Standing
from regress.orders.drawn import Shuffled
from regress.orders.order import Order, Permutations
from regress.problems.data import Data
from regress.problems.model import Model
from regress.text import STRICT

Floats = NDArray[np.float64]
Signs = NDArray[np.bool_]


@dataclass(frozen=True, config=STRICT)
class _Balanced(Order):
    @abstractmethod
    def goes_left(self, last: LastEpoch) -> Signs:
        """Whether the row (G, n) visited j-th goes to the left end of the next epoch."""

    def permutations(
        self, data: Data, model: Model, seed: int, epochs: int, batch_size: int
    ) -> Permutations:
        """What the first epoch is, and the others would be without balancing: shuffled."""
        return Shuffled().permutations(data, model, seed, epochs, batch_size)

    def rearrangement(self, batch_size: int) -> Rearrangement:
        return Rearrangement(self._rearranged, by="gradients")

    def _rearranged(self, standing: Standing) -> Permutations:
        if (last := standing.last) is None:
            return standing.drawn
        left = self.goes_left(last)
        turn = np.arange(left.shape[1])
        ends = np.argsort(np.where(left, turn, 2 * len(turn) - turn), axis=1)
        return np.take_along_axis(last.visited, ends, axis=1)


@dataclass(frozen=True, config=STRICT)
class Grab(_Balanced):
    """GraB: g = gradient - mean gradient of the epoch before; left and s += g where s . g <= 0, else right
    and s -= g."""

    name = "grab"

    def goes_left(self, last: LastEpoch) -> Signs:
        return _balance(last.gradients - last.mean_before[:, None])


@dataclass(frozen=True, config=STRICT)
class PairBalance(_Balanced):
    """The same rule for the difference of each two rows in a row, which part: no mean is needed."""

    name = "pair-balance"

    def goes_left(self, last: LastEpoch) -> Signs:
        pairs = last.gradients.shape[1] // 2
        first, second = last.gradients[:, : 2 * pairs : 2], last.gradients[:, 1 : 2 * pairs : 2]
        left = np.ones(last.visited.shape, bool)  # an odd row out ends up in the middle
        left[:, : 2 * pairs : 2] = _balance(first - second)
        left[:, 1 : 2 * pairs : 2] = ~left[:, : 2 * pairs : 2]
        return left


def _balance(vectors: NDArray[Any]) -> Signs:
    """For vectors (G, n, P) one by one: whether s . v <= 0 (G, n), s being the signed sum so far."""
    each = vectors.transpose(1, 2, 0).astype(np.float64)
    total = np.zeros(each.shape[1:])
    left = np.empty((each.shape[2], each.shape[0]), bool)
    with np.errstate(over="ignore", invalid="ignore"):  # of a lane that left the numbers
        for j, vector in enumerate(each):
            left[:, j] = _dot(total, vector) <= 0
            total += np.where(left[:, j], vector, -vector)
    return left


def _dot(a: Floats, b: Floats) -> Floats:
    """Sum over the first axis, term by term: the same roundings however many lanes there are."""
    total = np.multiply(a[0], b[0])
    for i in range(1, len(a)):
        total += a[i] * b[i]
    return np.asarray(total)
