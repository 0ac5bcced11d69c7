"""Base class of contaminations and functions that they share."""

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
    """A `fraction` of the targets is raised by `shift` + `spread` * N(0, 1), whatever the features."""

    fraction: float
    shift: float  # negative where targets are lowered
    spread: float


class Contamination(Form, ABC):
    """A replacement of training rows, which are marked."""

    is_clean: ClassVar[bool] = False  # replaces no row

    @abstractmethod
    def apply(self, data: Data, model: Model, seed: int) -> Data:
        """Return a contaminated copy of `data`, to which `model` is fitted."""

    def refuse(self, problem: Problem) -> str | None:
        """Return why the rows of a problem cannot be contaminated in this way; None if they can."""
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
        """Return the smallest number of training rows that can be contaminated in this way."""
        return 1

    @property
    def outlier_fraction(self) -> float | None:
        """The fraction of outliers, if it is a parameter of the contamination."""
        return None

    @property
    def one_sided_outliers(self) -> OneSidedOutliers | None:
        """The outliers, if the contamination only shifts random targets to one side."""
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
        """Whether a contaminated feature may be any real number, including negative ones."""
        return False


def replace_rows(mask: Mask, data: Data, x: Floats, y: Floats) -> Data:
    """Return `data` with features x (R, n, F) and targets y (R, n) in the rows of `mask` (R, n)."""
    return replace(
        data,
        train_x=data.train_x if x is data.train_x else np.where(mask[..., None], x, data.train_x),
        train_y=np.where(mask, y, data.train_y),
        contaminated=data.contaminated | mask,
    )
