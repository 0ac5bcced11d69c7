"""Orders that speed training up by keeping the partial sums of gradients small.

Each model keeps the gradient of every row that it visits and assigns the rows signs that keep a running
sum small. In the next epoch it visits the rows of one sign forwards, then those of the other backwards
(herding; Lu, Guo, De Sa 2022, "GraB"; Cooper et al. 2023, pairs).
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
    """An order of rows whose gradients are balanced by signs."""

    @property
    def follows_model(self) -> bool:
        return True

    @abstractmethod
    def assign_left(self, previous: PreviousEpoch) -> Signs:
        """Return whether the j-th visited row goes to the left end of the next epoch (n, G)."""

    def permutations(
        self, data: Data, model: Model, seed: int, epochs: int, batch_size: int
    ) -> Permutations:
        """Return shuffled epochs, of which training uses the first and rearranges the others."""
        return Shuffled().permutations(data, model, seed, epochs, batch_size)

    def rearrangement(self, batch_size: int) -> Rearrangement:
        return Rearrangement(self._rearranged, by="gradients")

    def _rearranged(self, inputs: EpochInputs) -> Permutations:
        if (previous := inputs.previous) is None:
            return inputs.drawn
        left = self.assign_left(previous)
        order = np.empty(previous.visited.shape, np.intp)
        _kernel("place_at_ends", previous.gradients)(np.ascontiguousarray(previous.visited), left, order)
        return order


@dataclass(frozen=True, config=STRICT)
class Grab(_Balanced):
    """GraB: balances g = gradient - mean gradient of the epoch before.

    A row goes left, and s += g, where s . g <= 0; else it goes right, and s -= g.
    """

    name = "grab"

    def assign_left(self, previous: PreviousEpoch) -> Signs:
        return _balance(previous.gradients - previous.mean_before)


@dataclass(frozen=True, config=STRICT)
class PairBalance(_Balanced):
    """The rule of GraB for the gradient difference of each pair of consecutive rows.

    The rows of a pair go to opposite ends, so that no mean is needed.
    """

    name = "pair-balance"

    def assign_left(self, previous: PreviousEpoch) -> Signs:
        pairs = len(previous.gradients) // 2
        first, second = previous.gradients[: 2 * pairs : 2], previous.gradients[1 : 2 * pairs : 2]
        left = np.ones(
            previous.visited.T.shape, bool
        )  # the last row of an odd number ends up in the middle
        left[: 2 * pairs : 2] = _balance(first - second)
        left[1 : 2 * pairs : 2] = ~left[: 2 * pairs : 2]
        return left


def _balance(vectors: NDArray[Any]) -> Signs:
    """Return whether s . v <= 0 (n, G) for vectors v (n, P, G) in turn, s being the signed sum so far."""
    _, size, lanes = vectors.shape
    left = np.empty((len(vectors), lanes), bool)
    with np.errstate(over="ignore", invalid="ignore"):  # of a model that became non-finite
        _kernel("balance", vectors)(vectors, np.zeros((size, lanes)), np.empty(lanes), left)
    return left


def _kernel(name: str, vectors: NDArray[Any]) -> Callable[..., None]:
    """Return a function of `regress.kernels.balance`, compiled if possible."""
    kernels = load_kernels("float32" if vectors.dtype == np.float32 else "float64")
    function: Callable[..., None] = getattr(kernels or balance, name)
    return function
