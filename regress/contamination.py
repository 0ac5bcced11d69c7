"""Contaminations: exactly which training rows are replaced, and by what. The mask is kept."""

import math
from abc import ABC, abstractmethod
from dataclasses import replace
from decimal import Decimal
from typing import Annotated

import numpy as np
from pydantic import Field
from pydantic.dataclasses import dataclass

from regress import streams
from regress.problems import Data
from regress.text import STRICT, Form


class Contamination(Form, ABC):
    """Replaces rows of the training data, and marks them."""

    @abstractmethod
    def apply(self, data: Data, seed: int) -> Data:
        """The contaminated data; `data` itself is left as it is."""

    def rows_needed(self) -> int:
        """The least number of training rows that this contamination makes sense for."""
        return 1


@dataclass(frozen=True, config=STRICT)
class Clean(Contamination):
    """Nothing is replaced."""

    name = "clean"

    def apply(self, data: Data, seed: int) -> Data:
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

    def apply(self, data: Data, seed: int) -> Data:
        x, y, mask = data.train_x.copy(), data.train_y.copy(), data.contaminated.copy()
        here = y[:, self.row]
        ratio = np.divide(self.value, here, out=np.ones_like(here), where=here != 0)
        x[:, self.row] *= ratio[:, None]
        y[:, self.row] = self.value
        mask[:, self.row] = True
        return replace(data, train_x=x, train_y=y, contaminated=mask)

    def rows_needed(self) -> int:
        return self.row + 1


@dataclass(frozen=True, config=STRICT)
class Vertical(Contamination):
    """Vertical outliers: y += shift on floor(fraction * n) random rows, whatever their x."""

    name = "vertical"
    fraction: Annotated[float, Field(ge=0, lt=1)]
    shift: float

    def apply(self, data: Data, seed: int) -> Data:
        # Decimal: floor(0.29 * 100) is 29, and 28 in binary.
        count = math.floor(Decimal(repr(self.fraction)) * data.rows)
        y, mask = data.train_y.copy(), data.contaminated.copy()
        for r, index in enumerate(data.indices):
            rows = streams.permutation(data.rows, seed, "contamination", index)[:count]
            y[r, rows] += self.shift
            mask[r, rows] = True
        return replace(data, train_y=y, contaminated=mask)


CONTAMINATIONS: dict[str, type[Contamination]] = {cls.name: cls for cls in (Clean, Single, Vertical)}
