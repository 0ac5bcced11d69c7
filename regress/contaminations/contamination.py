"""The base class of contaminations, and what they share."""

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import Annotated, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from regress.problems import Data, Model, Problem
from regress.values.text import Form

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Share = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]


class OneSidedOutliers(NamedTuple):
    """Targets of a `fraction` of the rows are raised by `shift` + `spread` * N(0, 1), whatever their
    features."""

    fraction: float
    shift: float  # negative where targets are lowered
    spread: float


class Contamination(Form, ABC):
    """Replaces rows of the training data, and marks them."""

    is_clean: ClassVar[bool] = False  # replaces no row

    @abstractmethod
    def apply(self, data: Data, model: Model, seed: int) -> Data:
        """The contaminated data, `data` itself being left as it is; `model` is what fits the data."""

    def refuse(self, problem: Problem) -> str | None:
        """Why this problem's rows cannot be contaminated so; None where they can."""
        needed, rows = self.rows_needed(), problem.train_rows
        if needed > rows:
            return f"needs {needed} training rows, there are {rows}"
        if self.needs_truth and not problem.knows_truth:
            return (
                f"needs the generating parameters, which a {problem.name} does not have;"
                " use cluster(fraction, x, y, spread)"
            )
        if self.needs_real_features and not problem.has_real_features:
            return f"may make a feature negative, which those of {problem.name} cannot be"
        return None

    def rows_needed(self) -> int:
        """The least number of training rows that this contamination makes sense for."""
        return 1

    @property
    def outlier_fraction(self) -> float | None:
        """The fraction of rows that are outliers, of a contamination that has one as a parameter."""
        return None

    @property
    def one_sided_outliers(self) -> OneSidedOutliers | None:
        """The outliers, where random targets are shifted to one side and nothing else is done."""
        return None

    @property
    def is_portable(self) -> bool:
        """Whether its rows have the same bits on every processor."""
        return True

    @property
    def needs_truth(self) -> bool:
        """Whether the generating parameters must be known."""
        return False

    @property
    def needs_real_features(self) -> bool:
        """Whether features may come out as any real number, negative ones too."""
        return False


def replace_rows(mask: Mask, data: Data, x: Floats, y: Floats) -> Data:
    """`data` with features x (R, n, F) and targets y (R, n) where `mask` (R, n) says so."""
    return replace(
        data,
        train_x=data.train_x if x is data.train_x else np.where(mask[..., None], x, data.train_x),
        train_y=np.where(mask, y, data.train_y),
        contaminated=data.contaminated | mask,
    )
