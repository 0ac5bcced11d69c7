"""Contaminations that add noise to all rows or to a random number of rows."""

from typing import Annotated

import numpy as np
from pydantic import Field
from pydantic.dataclasses import dataclass
from scipy.special import stdtrit

from regress.contaminations.contamination import (
    Contamination,
    NotNegative,
    OneSidedOutliers,
    Share,
    replace_rows,
)
from regress.numerics import streams
from regress.problems import Data, Model
from regress.values.text import STRICT


@dataclass(frozen=True, config=STRICT)
class HeavyTails(Contamination):
    """Heavy-tailed noise: y += scale * t on every row, t ~ Student's with df degrees of freedom.

    All rows are marked. With df = 1 the noise has no mean, with df = 2 no variance. It is drawn through the
    inverse distribution function, which exceeds float64 for df < 0.1.
    """

    name = "heavy-tails"
    df: Annotated[float, Field(ge=0.1)]
    scale: NotNegative = 1.0

    def apply(self, data: Data, model: Model, seed: int) -> Data:
        u = [streams.uniforms(data.rows, seed, "contamination/heavy-tails", r) for r in data.indices]
        y = data.train_y + self.scale * stdtrit(self.df, np.stack(u))
        return replace_rows(np.ones_like(data.contaminated), data, data.train_x, y)

    @property
    def is_portable(self) -> bool:
        return False  # SciPy's quantiles of Student's t


@dataclass(frozen=True, config=STRICT)
class GrossError(Contamination):
    """Gross errors (Huber 1964): each row, with probability fraction, has y += shift + spread * N(0, 1).

    F = (1 - fraction) F0 + fraction Q; the number of errors is binomial. With spread = 0 these are vertical
    outliers, with shift = 0 the contaminated normal noise of Tukey (1960).
    """

    name = "gross-error"
    fraction: Share
    shift: float
    spread: NotNegative = 0.0

    @property
    def outlier_fraction(self) -> float:
        return self.fraction

    @property
    def one_sided_outliers(self) -> OneSidedOutliers:
        return OneSidedOutliers(self.fraction, self.shift, self.spread)

    def apply(self, data: Data, model: Model, seed: int) -> Data:
        u = [streams.uniforms(data.rows, seed, "contamination/gross-error", r) for r in data.indices]
        error = self.shift + self.spread * streams.normals_by_replicate(
            data.rows, seed, "contamination/gross-error/size", data.indices
        )
        return replace_rows(np.stack(u) < self.fraction, data, data.train_x, data.train_y + error)
