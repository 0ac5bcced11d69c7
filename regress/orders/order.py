"""What every order gives: permutations, and how a lane rearranges them if it does."""

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from regress.fleet.rearrange import Rearrangement
from regress.problems import Problem
from regress.problems.data import Data
from regress.problems.model import Model
from regress.values.text import Form

Permutations = NDArray[np.intp]


class Order(Form, ABC):
    """The order in which an epoch visits the training rows."""

    @abstractmethod
    def permutations(
        self, data: Data, model: Model, seed: int, epochs: int, batch_size: int
    ) -> Permutations:
        """Row indices (R, epochs, n): in each epoch every row once; `model` is what fits the data."""

    def rearrangement(self, batch_size: int) -> Rearrangement | None:
        """How each lane orders its own epochs; None where all lanes of a stream share them."""
        return None

    def refuse(self, problem: Problem) -> str | None:
        """Why this problem has no such order; None where it has."""
        return None
