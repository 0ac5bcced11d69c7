"""Base class of orders: permutations of the rows, and how models rearrange them during training."""

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from regress.fleet.rearrange import Rearrangement
from regress.problems import Problem
from regress.problems.data import Data
from regress.problems.model import Model
from regress.values.text import Form

Permutations = NDArray[np.intp]


class Order(Form, ABC):
    """The order in which an epoch visits the training rows.

    The class variables are traits that other packages read.
    """

    is_shuffled: ClassVar[bool] = False  # random reshuffling, which other orders are compared with
    draws_with_replacement: ClassVar[bool] = False
    looks_at_rows: ClassVar[bool] = True  # whether the order depends on the rows' values

    @abstractmethod
    def permutations(
        self, data: Data, model: Model, seed: int, epochs: int, batch_size: int
    ) -> Permutations:
        """Return row indices (R, epochs, n) in the order in which `model` visits them."""

    @property
    def is_fixed(self) -> bool:
        """Whether every epoch visits the rows in the same order."""
        return False

    @property
    def follows_model(self) -> bool:
        """Whether each model orders its own epochs, by its residuals or gradients."""
        return False

    def rearrangement(self, batch_size: int) -> Rearrangement | None:
        """Return how each model orders its own epochs; None if all models of a stream share them."""
        return None

    def refuse(self, problem: Problem) -> str | None:
        """Return why the order is impossible for a problem; None if it is possible."""
        return None
