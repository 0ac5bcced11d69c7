"""Contaminations that replace an exact number of rows."""

import math
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass

from regress.contaminations.contamination import (
    Contamination,
    Mask,
    NotNegative,
    OneSidedOutliers,
    Positive,
    Share,
    replace_rows,
)
from regress.numerics import streams
from regress.problems import Data, Model
from regress.values.text import STRICT


@dataclass(frozen=True, config=STRICT)
class _Replaced(Contamination):
    """A contamination that replaces exactly floor(fraction * n) rows."""

    fraction: Share

    @property
    def outlier_fraction(self) -> float:
        return self.fraction

    def count(self, rows: int) -> int:
        """Return how many of `rows` rows are replaced, computed in decimal: .29 of 100 is 29."""
        return math.floor(_as_decimal(self.fraction) * rows)

    def rows_needed(self) -> int:
        """Return how many rows are needed for one to be replaced."""
        return math.ceil(1 / _as_decimal(self.fraction)) if self.fraction else 1

    def select_random_rows(self, data: Data, seed: int) -> Mask:
        """Return a mask (R, n) of rows drawn uniformly."""
        order = [streams.permutation(data.rows, seed, "contamination", r) for r in data.indices]
        return self.select_first(np.stack(order))

    def select_first(self, order: NDArray[np.intp]) -> Mask:
        """Return a mask (R, n) of the first rows in `order` (R, n)."""
        mask = np.zeros(order.shape, bool)
        np.put_along_axis(mask, order[:, : self.count(order.shape[1])], True, axis=1)
        return mask


@dataclass(frozen=True, config=STRICT)
class Vertical(_Replaced):
    """Vertical outliers: y += shift on random rows, independently of x."""

    name = "vertical"
    shift: float

    @property
    def one_sided_outliers(self) -> OneSidedOutliers:
        return OneSidedOutliers(self.fraction, self.shift, spread=0.0)

    def apply(self, data: Data, model: Model, seed: int) -> Data:
        return replace_rows(
            self.select_random_rows(data, seed), data, data.train_x, data.train_y + self.shift
        )


@dataclass(frozen=True, config=STRICT)
class AdaptiveVertical(_Replaced):
    """Vertical outliers that tilt the fit: y += shift * sign(x . u) on the rows with the largest |x . u|.

    sign(0) is 1; ties are resolved in stored order. The adversary knows x, and nothing is random.
    """

    name = "adaptive-vertical"
    shift: float

    def apply(self, data: Data, model: Model, seed: int) -> Data:
        along = data.train_x[..., 0]
        mask = self.select_first(np.argsort(-np.abs(along), axis=1, kind="stable"))
        return replace_rows(
            mask, data, data.train_x, data.train_y + np.where(along < 0, -self.shift, self.shift)
        )


@dataclass(frozen=True, config=STRICT)
class _Leverage(_Replaced):
    """Random rows are moved to x = scale * u; their targets follow the model and keep their noise."""

    scale: Positive

    def move_rows(self, data: Data, model: Model, seed: int, shift: float) -> Data:
        """Return `data` with random rows moved and their targets `shift` above the model."""
        assert data.truth is not None, "a study of a problem without truth is refused"
        x = np.zeros_like(data.train_x)
        x[..., 0] = self.scale
        noise = data.train_y - model.predict(data.train_x, data.truth)
        y = model.predict(x, data.truth) + noise + shift
        return replace_rows(self.select_random_rows(data, seed), data, x, y)

    @property
    def needs_truth(self) -> bool:
        return True


@dataclass(frozen=True, config=STRICT)
class GoodLeverage(_Leverage):
    """Good leverage points, which fit the model: x = scale * u, y = f(x, w*) + the noise of the row."""

    name = "good-leverage"

    def apply(self, data: Data, model: Model, seed: int) -> Data:
        return self.move_rows(data, model, seed, 0.0)


@dataclass(frozen=True, config=STRICT)
class BadLeverage(_Leverage):
    """Bad leverage points: x = scale * u, y = f(x, w*) + the noise of the row + shift."""

    name = "bad-leverage"
    shift: float

    def apply(self, data: Data, model: Model, seed: int) -> Data:
        return self.move_rows(data, model, seed, self.shift)


@dataclass(frozen=True, config=STRICT)
class Cluster(_Replaced):
    """A cluster: random rows are replaced by (x, y) ~ N((x * u, y), spread**2 I)."""

    name = "cluster"
    x: float
    y: float
    spread: NotNegative

    def apply(self, data: Data, model: Model, seed: int) -> Data:
        replicates, n, features = data.train_x.shape
        draws = streams.normals_by_replicate(
            n * (features + 1), seed, "contamination/cluster", data.indices
        )
        point = self.spread * draws.reshape(replicates, n, features + 1)
        point[..., 0] += self.x
        point[..., -1] += self.y
        return replace_rows(self.select_random_rows(data, seed), data, point[..., :-1], point[..., -1])

    @property
    def needs_real_features(self) -> bool:
        return True


def _as_decimal(fraction: float) -> Fraction:
    # In binary floating point floor(0.29 * 100) is 28.
    return Fraction(repr(fraction))
