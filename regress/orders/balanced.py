"""Orders that help: rows so visited that the gradients' partial sums stay small.

Each lane keeps the gradient of every row that it visits, splits the rows by signs that keep a running sum
small, and in the next epoch visits the left ones forwards, then the right ones backwards (herding;
Lu, Guo, De Sa 2022, "GraB"; Cooper et al. 2023, pairs).
"""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass

from regress.fleet.rearrange import EpochInputs, PreviousEpoch, Rearrangement
from regress.kernels import balance
from regress.kernels.compiler import load_kernels
from regress.orders.drawn import Shuffled
from regress.orders.order import Order, Permutations
from regress.problems.data import Data
from regress.problems.model import Model
from regress.values.text import STRICT

Floats = NDArray[np.float64]
Signs = NDArray[np.bool_]


@dataclass(frozen=True, config=STRICT)
class _Balanced(Order):
    @property
    def follows_model(self) -> bool:
        return True

    @abstractmethod
    def goes_left(self, previous: PreviousEpoch) -> Signs:
        """Whether the row visited j-th goes to the left end of the next epoch (n, G)."""

    def permutations(
        self, data: Data, model: Model, seed: int, epochs: int, batch_size: int
    ) -> Permutations:
        """What the first epoch is, and the others would be without balancing: shuffled."""
        return Shuffled().permutations(data, model, seed, epochs, batch_size)

    def rearrangement(self, batch_size: int) -> Rearrangement:
        return Rearrangement(self._rearranged, by="gradients")

    def _rearranged(self, inputs: EpochInputs) -> Permutations:
        if (previous := inputs.previous) is None:
            return inputs.drawn
        left = self.goes_left(previous)
        order = np.empty(previous.visited.shape, np.intp)
        _kernel("place_at_ends", previous.gradients)(np.ascontiguousarray(previous.visited), left, order)
        return order


@dataclass(frozen=True, config=STRICT)
class Grab(_Balanced):
    """GraB: g = gradient - mean gradient of the epoch before; left and s += g where s . g <= 0, else right
    and s -= g."""

    name = "grab"

    def goes_left(self, previous: PreviousEpoch) -> Signs:
        return _balance(previous.gradients - previous.mean_before)


@dataclass(frozen=True, config=STRICT)
class PairBalance(_Balanced):
    """The same rule for the difference of each two rows in a row, which part: no mean is needed."""

    name = "pair-balance"

    def goes_left(self, previous: PreviousEpoch) -> Signs:
        pairs = len(previous.gradients) // 2
        first, second = previous.gradients[: 2 * pairs : 2], previous.gradients[1 : 2 * pairs : 2]
        left = np.ones(previous.visited.T.shape, bool)  # an odd row out ends up in the middle
        left[: 2 * pairs : 2] = _balance(first - second)
        left[1 : 2 * pairs : 2] = ~left[: 2 * pairs : 2]
        return left


def _balance(vectors: NDArray[Any]) -> Signs:
    """For vectors (n, P, G) one by one: whether s . v <= 0 (n, G), s being the signed sum so far."""
    _, size, lanes = vectors.shape
    left = np.empty((len(vectors), lanes), bool)
    with np.errstate(over="ignore", invalid="ignore"):  # of a lane that became non-finite
        _kernel("balance", vectors)(vectors, np.zeros((size, lanes)), np.empty(lanes), left)
    return left


def _kernel(name: str, vectors: NDArray[Any]) -> Callable[..., None]:
    """A function of `regress.kernels.balance`, compiled where that can be done."""
    kernels = load_kernels("float32" if vectors.dtype == np.float32 else "float64")
    function: Callable[..., None] = getattr(kernels or balance, name)
    return function
