"""What every problem gives the rest of the house."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from regress.problems.columns import Columns
from regress.problems.data import Data
from regress.problems.model import Model
from regress.values.text import Form

Floats = NDArray[np.float64]
Ranking = Literal["param_error", "val_median_abs_residual"]


class NormalDesign(NamedTuple):
    """Rows drawn from x ~ N(0, I), y = w . x + b + noise * N(0, 1), the intercept b being fitted."""

    features: int
    rows: int
    noise: float


class Problem(Form, ABC):
    """A data set and a model to fit it; of known parameters, unless a problem says otherwise."""

    registers_model: ClassVar[bool] = False  # by default; a study may say otherwise

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
    def is_affine(self) -> bool:
        """Whether the prediction is linear in the parameters."""
        return self.model.is_linear

    @property
    def normal_noise(self) -> float | None:
        """Standard deviation of the normal errors of a linear model with an intercept and centred features.

        None for other models.
        """
        return None

    @property
    def normal_design(self) -> NormalDesign | None:
        """The distribution of the rows, where epochs to tolerance are predicted from it; None elsewhere."""
        return None

    @property
    def columns(self) -> Columns | None:
        """The user's own table; None where rows are drawn."""
        return None

    @property
    def source(self) -> str | None:
        """Where the user's own table comes from; None where rows are drawn."""
        return None

    @property
    def source_file(self) -> Path | None:
        """The file that the table is read from, if it is one."""
        return None

    @property
    def published_name(self) -> str | None:
        """The data set's name in the literature, where others have published fits to it."""
        return None

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

    def with_least_validation(self) -> "Problem":
        """Return the same problem with as few validation rows as it may have."""
        return self

    def refuse_start(self, sigma: float) -> str | None:
        """Why no model can start at this initial scale; None where it can."""
        return None
