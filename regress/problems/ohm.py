"""Ohm's law: the voltage across a resistor is its resistance times the current."""

from dataclasses import replace
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from pydantic.dataclasses import dataclass

from regress.problems.affine import Affine
from regress.problems.data import Data
from regress.problems.linear import Linear
from regress.problems.model import Model
from regress.problems.problem import Problem
from regress.values.text import STRICT

Floats = NDArray[np.float64]
Rows = Annotated[int, Field(ge=1)]


@dataclass(frozen=True, config=STRICT)
class Ohm(Problem):
    """V = R I + noise * N(0, 1) at currents I ~ N(0, 1), fitted with an intercept or through the origin."""

    name = "ohm"
    resistance: float = 5.1
    noise: Annotated[float, Field(ge=0)] = 1.0
    intercept: bool = True
    rows: Rows = 1000
    val: Rows = 1000

    @property
    def normal_noise(self) -> float | None:
        return self.noise if self.intercept else None

    def with_least_validation(self) -> "Ohm":
        return replace(self, val=1)

    @property
    def train_rows(self) -> int:
        return self.rows

    @property
    def parameter_names(self) -> tuple[str, ...]:
        return ("R", "b") if self.intercept else ("R",)

    @property
    def model(self) -> Model:
        return Affine(1, self.intercept)

    def draw(self, seed: int, replicates: int, first: int = 0) -> Data:
        data = Linear((self.resistance,), 0.0, self.noise, self.rows, self.val).draw(
            seed, replicates, first
        )
        truth = np.tile([self.resistance, 0.0][: self.model.parameters], (replicates, 1))
        return replace(data, truth=truth)
