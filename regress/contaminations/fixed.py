"""Contaminations of no row and of a given row."""

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
    """No row is replaced."""

    name = "clean"
    is_clean = True

    @property
    def outlier_fraction(self) -> float:
        return 0.0

    def apply(self, data: Data, model: Model, seed: int) -> Data:
        return data


@dataclass(frozen=True, config=STRICT)
class Single(Contamination):
    """The outlier of the notebook, a leverage point: x[row] *= value / y[row], y[row] = value.

    Rows are counted from 0. Scaling both by the same ratio leaves a residual that is due to the intercept
    alone. If y[row] is 0, x is not changed.
    """

    name = "single"
    row: Annotated[int, Field(ge=0)] = 5
    value: float = 10000.0

    def apply(self, data: Data, model: Model, seed: int) -> Data:
        x, y, mask = data.train_x.copy(), data.train_y.copy(), data.contaminated.copy()
        target = y[:, self.row]
        ratio = np.divide(self.value, target, out=np.ones_like(target), where=target != 0)
        x[:, self.row] *= ratio[:, None]
        y[:, self.row] = self.value
        mask[:, self.row] = True
        return replace(data, train_x=x, train_y=y, contaminated=mask)

    def rows_needed(self) -> int:
        return self.row + 1

    @property
    def needs_real_features(self) -> bool:
        return self.value <= 0
