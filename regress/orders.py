"""Orders: pure functions from data to permutations of its training rows, one for each epoch."""

from abc import ABC, abstractmethod
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass

from regress import streams
from regress.problems.data import Data
from regress.problems.model import Model
from regress.text import STRICT, Form

Floats = NDArray[np.float64]
Permutations = NDArray[np.intp]


class Order(Form, ABC):
    """The order in which an epoch visits the training rows."""

    @abstractmethod
    def permutations(self, data: Data, model: Model, seed: int, epochs: int) -> Permutations:
        """Row indices (R, epochs, n): in each epoch every row once; `model` is what fits the data."""

    @property
    def needs_truth(self) -> bool:
        """Whether the generating parameters must be known."""
        return False


@dataclass(frozen=True, config=STRICT)
class Shuffled(Order):
    """Random reshuffling: a fresh permutation each epoch."""

    name = "shuffled"

    def permutations(self, data: Data, model: Model, seed: int, epochs: int) -> Permutations:
        def epoch(r: int, e: int) -> Permutations:
            return streams.permutation(data.rows, seed, "order", r, e)

        return np.stack([np.stack([epoch(r, e) for e in range(epochs)]) for r in data.indices])


@dataclass(frozen=True, config=STRICT)
class Sequential(Order):
    """As stored, every epoch (the incremental gradient method)."""

    name = "sequential"

    def permutations(self, data: Data, model: Model, seed: int, epochs: int) -> Permutations:
        return np.broadcast_to(np.arange(data.rows), (data.replicates, epochs, data.rows))


@dataclass(frozen=True, config=STRICT)
class _Sorted(Order):
    """Rows sorted once by a score of their residual under a surrogate model.

    The surrogate is least squares on the same, contaminated rows (`ols`) or the generating
    parameters (`oracle`).
    """

    surrogate: Literal["ols", "oracle"] = "ols"

    @abstractmethod
    def score(self, residual: Floats) -> Floats:
        """What to sort by, ascending; `residual` is prediction minus target."""

    def permutations(self, data: Data, model: Model, seed: int, epochs: int) -> Permutations:
        order = np.argsort(self.score(self._residuals(data, model)), axis=-1, kind="stable")
        return np.broadcast_to(order[:, None], (data.replicates, epochs, data.rows))

    def _residuals(self, data: Data, model: Model) -> Floats:
        if self.needs_truth:
            assert data.truth is not None, "a study that asks for the oracle has been refused before"
            surrogate = data.truth
        else:
            rows = zip(data.train_x, data.train_y, strict=True)
            surrogate = np.stack([model.least_squares(x, y) for x, y in rows])
        return np.asarray(model.predict(data.train_x, surrogate) - data.train_y)

    @property
    def needs_truth(self) -> bool:
        return self.surrogate == "oracle"


@dataclass(frozen=True, config=STRICT)
class EasyToHard(_Sorted):
    """Ascending |r|: what the model already fits comes first (the notebook's malicious data set)."""

    name = "easy-to-hard"

    def score(self, residual: Floats) -> Floats:
        return np.abs(residual)


@dataclass(frozen=True, config=STRICT)
class HardToEasy(_Sorted):
    """Descending |r|."""

    name = "hard-to-easy"

    def score(self, residual: Floats) -> Floats:
        return -np.abs(residual)


@dataclass(frozen=True, config=STRICT)
class Signed(_Sorted):
    """Ascending target minus prediction: an epoch's gradients pull one way first, then the other."""

    name = "signed"

    def score(self, residual: Floats) -> Floats:
        return -residual


ORDERS: dict[str, type[Order]] = {
    cls.name: cls for cls in (Shuffled, Sequential, EasyToHard, HardToEasy, Signed)
}
