"""What every problem gives the rest of the house."""

from abc import ABC, abstractmethod
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from regress.problems.data import Data
from regress.problems.model import Model
from regress.values.text import Form

Floats = NDArray[np.float64]
Ranking = Literal["param_error", "val_median_abs_residual"]


class Problem(Form, ABC):
    """A data set and a model to fit it; of known parameters, unless a problem says otherwise."""

    @property
    @abstractmethod
    def train_rows(self) -> int:
        """Training rows of one replicate."""

    @property
    @abstractmethod
    def parameter_names(self) -> tuple[str, ...]:
        """Names of the P parameters, the intercept last."""

    @property
    @abstractmethod
    def model(self) -> Model:
        """The model that the fleet trains."""

    @abstractmethod
    def draw(self, seed: int, replicates: int, first: int = 0) -> Data:
        """The clean rows of `replicates` replicates from `first` on; each depends on (seed, index) only."""

    @property
    def knows_truth(self) -> bool:
        """Whether the generating parameters are known."""
        return True

    @property
    def is_portable(self) -> bool:
        """Whether its rows, and what is fitted to them, have the same bits on every processor."""
        return self.model.is_linear

    @property
    def has_real_features(self) -> bool:
        """Whether a feature may be any real number."""
        return True

    @property
    def ranking(self) -> Ranking:
        """The final metric by which trials are ranked, less being better."""
        return "param_error"

    @property
    def identity(self) -> str:
        """What determines the rows and nothing else; goes into every digest."""
        return str(self)

    @property
    def target_scale(self) -> float:
        """Units of the user's target in one unit of the fleet's."""
        return 1.0

    def in_user_units(self, params: Floats) -> Floats:
        """Parameters (..., P) as the fleet trains them, in the units of the user's own columns."""
        return params

    def refuse_start(self, sigma: float) -> str | None:
        """Why no model can start at this initial scale; None where it can."""
        return None
