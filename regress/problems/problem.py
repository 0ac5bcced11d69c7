"""Base class of problems."""

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
    """A data set and a model to fit to it.

    By default the parameters that generated the data are known. The properties are traits that other
    packages read.
    """

    registers_model: ClassVar[bool] = False  # the default of a study's field `register`

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
        """Draw the clean rows of replicates `first` to `first + replicates`.

        Each replicate depends only on the seed and its index.
        """

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
        """The distribution of the rows, if epochs to tolerance are predicted from it; else None."""
        return None

    @property
    def columns(self) -> Columns | None:
        """The user's table; None if rows are generated."""
        return None

    @property
    def source(self) -> str | None:
        """Path or name of the user's table; None if rows are generated."""
        return None

    @property
    def source_file(self) -> Path | None:
        """The file that the table is read from; None if there is none."""
        return None

    @property
    def published_name(self) -> str | None:
        """The data set's name in the literature; None if no fits to it are published."""
        return None

    @property
    def is_portable(self) -> bool:
        """Whether its rows and the fits to them have the same bits on every processor."""
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
        """Text that identifies the rows; part of every digest."""
        return str(self)

    @property
    def target_scale(self) -> float:
        """One unit of the trained target, in the units of the user's target."""
        return 1.0

    def in_user_units(self, params: Floats) -> Floats:
        """Return trained parameters (..., P) in the units of the user's columns."""
        return params

    def with_least_validation(self) -> "Problem":
        """Return the same problem with the smallest number of validation rows."""
        return self

    def refuse_start(self, sigma: float) -> str | None:
        """Return why models cannot start from this initial scale; None if they can."""
        return None
