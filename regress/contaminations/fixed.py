"""Contaminations of no row, or of one that is named."""

from dataclasses import replace
from typing import Annotated

import numpy as np
from pydantic import Field
from pydantic.dataclasses import dataclass

from regress.contaminations.contamination import Contamination
from regress.problems import Data, Model
from regress.values.text import STRICT


@dataclass(frozen=True, config=STRICT)
class Clean(Contamination):
    """Nothing is replaced."""

    name = "clean"
    is_clean = True

    @property
    def outlier_fraction(self) -> float:
        return 0.0

    def apply(self, data: Data, model: Model, seed: int) -> Data:
        return data


@dataclass(frozen=True, config=STRICT)
class Single(Contamination):
    """The notebook's outlier: x[row] *= value / y[row], y[row] = value, a far leverage point.

    The row is counted from 0. The point misses the model by the intercept's share alone, a ratio off.
    Where y[row] is 0 there is no ratio, and x stays.
    """

    name = "single"
    row: Annotated[int, Field(ge=0)] = 5
    value: float = 10000.0

    def apply(self, data: Data, model: Model, seed: int) -> Data:
        x, y, mask = data.train_x.copy(), data.train_y.copy(), data.contaminated.copy()
        here = y[:, self.row]
        ratio = np.divide(self.value, here, out=np.ones_like(here), where=here != 0)
        x[:, self.row] *= ratio[:, None]
        y[:, self.row] = self.value
        mask[:, self.row] = True
        return replace(data, train_x=x, train_y=y, contaminated=mask)

    def rows_needed(self) -> int:
        return self.row + 1

    @property
    def needs_real_features(self) -> bool:
        return self.value <= 0
