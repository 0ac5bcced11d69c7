"""y = w . x + b + noise with standard normal features: the notebook's synthetic data."""

from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from pydantic.dataclasses import dataclass

from regress import streams
from regress.problems.affine import Affine
from regress.problems.data import Data
from regress.problems.problem import Problem
from regress.text import STRICT

Floats = NDArray[np.float64]
Rows = Annotated[int, Field(ge=1)]


@dataclass(frozen=True, config=STRICT)
class Linear(Problem):
    """x ~ N(0, I), y = w . x + b + noise * N(0, 1); `val` further rows for validation."""

    name = "linear"
    w: Annotated[tuple[float, ...], Field(min_length=1)] = (2.0, -3.4)
    b: float = 4.2
    noise: Annotated[float, Field(ge=0)] = 0.01
    rows: Rows = 1000
    val: Rows = 1000

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
        train = [self._rows(self.rows, seed, "train", r) for r in indices]
        val = [self._rows(self.val, seed, "val", r) for r in indices]
        return Data(
            train_x=np.stack([x for x, _ in train]),
            train_y=np.stack([y for _, y in train]),
            val_x=np.stack([x for x, _ in val]),
            val_y=np.stack([y for _, y in val]),
            truth=np.tile([*self.w, self.b], (replicates, 1)),
            contaminated=np.zeros((replicates, self.rows), bool),
            first=first,
        )

    def _rows(self, n: int, seed: int, split: str, replicate: int) -> tuple[Floats, Floats]:
        features = len(self.w)
        x = streams.normals(n * features, seed, f"{split}/features", replicate).reshape(n, features)
        y = np.full(n, self.b)
        # Term by term, not a dot product, whose rounding may depend on how BLAS splits the work.
        for column, weight in zip(x.T, self.w, strict=True):
            y += weight * column
        return x, y + self.noise * streams.normals(n, seed, f"{split}/noise", replicate)
