"""Linear data y = w . x + b + noise with standard normal features, as in the notebook."""

from dataclasses import replace
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from pydantic.dataclasses import dataclass

from regress.numerics import streams
from regress.problems.affine import Affine
from regress.problems.data import Data
from regress.problems.problem import NormalDesign, Problem
from regress.values.text import STRICT

Floats = NDArray[np.float64]
Rows = Annotated[int, Field(ge=1)]


@dataclass(frozen=True, config=STRICT)
class Linear(Problem):
    """x ~ N(0, I), y = w . x + b + noise * N(0, 1), with `val` additional rows for validation."""

    name = "linear"
    w: Annotated[tuple[float, ...], Field(min_length=1)] = (2.0, -3.4)
    b: float = 4.2
    noise: Annotated[float, Field(ge=0)] = 0.01
    rows: Rows = 1000
    val: Rows = 1000

    @property
    def normal_noise(self) -> float:
        return self.noise

    @property
    def normal_design(self) -> NormalDesign:
        return NormalDesign(len(self.w), self.rows, self.noise)

    def with_least_validation(self) -> "Linear":
        return replace(self, val=1)

    @property
    def train_rows(self) -> int:
        return self.rows

    @property
    def parameter_names(self) -> tuple[str, ...]:
        return (*(f"w{i}" for i in range(1, len(self.w) + 1)), "b")

    @property
    def model(self) -> Affine:
        return Affine(len(self.w))

    def draw(self, seed: int, replicates: int, first: int = 0) -> Data:
        indices = range(first, first + replicates)
        train_x, train_y = self._rows(self.rows, seed, "train", indices)
        val_x, val_y = self._rows(self.val, seed, "val", indices)
        return Data(
            train_x=train_x,
            train_y=train_y,
            val_x=val_x,
            val_y=val_y,
            truth=np.tile([*self.w, self.b], (replicates, 1)),
            contaminated=np.zeros((replicates, self.rows), bool),
            first=first,
        )

    def _rows(self, n: int, seed: int, split: str, replicates: range) -> tuple[Floats, Floats]:
        """Return features (R, n, F) and targets (R, n)."""
        size = len(self.w)
        x = streams.normals_by_replicate(n * size, seed, f"{split}/features", replicates)
        x = x.reshape(-1, n, size)
        noise = streams.normals_by_replicate(n, seed, f"{split}/noise", replicates)
        y = np.full(noise.shape, self.b)
        # Term by term, because the rounding of a dot product depends on how BLAS splits the work.
        for i, weight in enumerate(self.w):
            y += weight * x[..., i]
        return x, y + self.noise * noise
