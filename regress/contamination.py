"""Contaminations: exactly which training rows are replaced, and by what. The mask is kept.

Random rows are the first of one permutation, whatever replaces them, and a row's own draws are keyed by
its place in the data: two contaminations of one share hit the same rows, and a larger share keeps what
a smaller one did. A direction in feature space is the first feature's, u = (1, 0, ..., 0).
"""

import math
from abc import ABC, abstractmethod
from dataclasses import replace
from fractions import Fraction
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from pydantic.dataclasses import dataclass
from scipy.special import stdtrit

from regress import streams
from regress.problems import Data, Model, Problem
from regress.text import STRICT, Form

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Share = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]


class Contamination(Form, ABC):
    """Replaces rows of the training data, and marks them."""

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


@dataclass(frozen=True, config=STRICT)
class Clean(Contamination):
    """Nothing is replaced."""

    name = "clean"

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


@dataclass(frozen=True, config=STRICT)
class _Replaced(Contamination):
    """Replaces exactly floor(fraction * n) rows."""

    fraction: Share

    def count(self, rows: int) -> int:
        """How many of `rows` rows are replaced; the fraction is taken as written, .29 of 100 being 29."""
        return math.floor(_as_written(self.fraction) * rows)

    def rows_needed(self) -> int:
        """Enough for one row to be replaced; a fraction of 0 asks for none."""
        return math.ceil(1 / _as_written(self.fraction)) if self.fraction else 1

    def random_rows(self, data: Data, seed: int) -> Mask:
        """Which rows (R, n) are replaced, any being as likely as another."""
        order = [streams.permutation(data.rows, seed, "contamination", r) for r in data.indices]
        return self.first(np.stack(order))

    def first(self, order: NDArray[np.intp]) -> Mask:
        """Which rows come first in `order` (R, n)."""
        mask = np.zeros(order.shape, bool)
        np.put_along_axis(mask, order[:, : self.count(order.shape[1])], True, axis=1)
        return mask


@dataclass(frozen=True, config=STRICT)
class Vertical(_Replaced):
    """Vertical outliers: y += shift on random rows, whatever their x."""

    name = "vertical"
    shift: float

    def apply(self, data: Data, model: Model, seed: int) -> Data:
        return _where(self.random_rows(data, seed), data, data.train_x, data.train_y + self.shift)


@dataclass(frozen=True, config=STRICT)
class AdaptiveVertical(_Replaced):
    """Vertical outliers that tilt: y += shift * sign(x . u) on the rows with the largest |x . u|.

    sign(0) is 1, and of rows that are alike the first as stored are taken. Nothing is drawn: whoever
    plans this has seen x.
    """

    name = "adaptive-vertical"
    shift: float

    def apply(self, data: Data, model: Model, seed: int) -> Data:
        along = data.train_x[..., 0]
        mask = self.first(np.argsort(-np.abs(along), axis=1, kind="stable"))
        return _where(mask, data, data.train_x, data.train_y + np.where(along < 0, -self.shift, self.shift))


@dataclass(frozen=True, config=STRICT)
class _Leverage(_Replaced):
    """Random rows move to x = scale * u, their targets to the model's plus the row's own noise."""

    scale: Positive

    def moved(self, data: Data, model: Model, seed: int, shift: float) -> Data:
        """The rows moved, their targets `shift` above those of the model."""
        assert data.truth is not None, "a study of a problem without truth has been refused before"
        x = np.zeros_like(data.train_x)
        x[..., 0] = self.scale
        noise = data.train_y - model.predict(data.train_x, data.truth)
        y = model.predict(x, data.truth) + noise + shift
        return _where(self.random_rows(data, seed), data, x, y)

    @property
    def needs_truth(self) -> bool:
        return True


@dataclass(frozen=True, config=STRICT)
class GoodLeverage(_Leverage):
    """Good leverage points: x = scale * u, y = f(x, w*) + the row's own noise, still on the model."""

    name = "good-leverage"

    def apply(self, data: Data, model: Model, seed: int) -> Data:
        return self.moved(data, model, seed, 0.0)


@dataclass(frozen=True, config=STRICT)
class BadLeverage(_Leverage):
    """Bad leverage points: x = scale * u, y = f(x, w*) + the row's own noise + shift, off the model."""

    name = "bad-leverage"
    shift: float

    def apply(self, data: Data, model: Model, seed: int) -> Data:
        return self.moved(data, model, seed, self.shift)


@dataclass(frozen=True, config=STRICT)
class Cluster(_Replaced):
    """A cluster: random rows are drawn anew, (x, y) ~ N((x * u, y), spread**2 I)."""

    name = "cluster"
    x: float
    y: float
    spread: NotNegative

    def apply(self, data: Data, model: Model, seed: int) -> Data:
        replicates, n, features = data.train_x.shape
        draws = _normals(n * (features + 1), data, seed, "contamination/cluster")
        point = self.spread * draws.reshape(replicates, n, features + 1)
        point[..., 0] += self.x
        point[..., -1] += self.y
        return _where(self.random_rows(data, seed), data, point[..., :-1], point[..., -1])

    @property
    def needs_real_features(self) -> bool:
        return True


@dataclass(frozen=True, config=STRICT)
class HeavyTails(Contamination):
    """Heavy-tailed noise: y += scale * t on every row, t ~ Student's with df degrees of freedom.

    Every row is marked. With df = 1 the noise has no mean, with df = 2 no variance. Drawn by the inverse
    distribution function, which below df = .1 is too steep for float64.
    """

    name = "heavy-tails"
    df: Annotated[float, Field(ge=0.1)]
    scale: NotNegative = 1.0

    def apply(self, data: Data, model: Model, seed: int) -> Data:
        u = [streams.uniforms(data.rows, seed, "contamination/heavy-tails", r) for r in data.indices]
        y = data.train_y + self.scale * stdtrit(self.df, np.stack(u))
        return _where(np.ones_like(data.contaminated), data, data.train_x, y)

    @property
    def is_portable(self) -> bool:
        return False  # SciPy's quantiles of Student's t


@dataclass(frozen=True, config=STRICT)
class GrossError(Contamination):
    """Gross errors (Huber 1964): each row, with probability fraction, has y += shift + spread * N(0, 1).

    F = (1 - fraction) F0 + fraction Q: how many rows it hits is random, binomial. With spread = 0 these
    are vertical outliers, with shift = 0 the contaminated normal noise of Tukey (1960).
    """

    name = "gross-error"
    fraction: Share
    shift: float
    spread: NotNegative = 0.0

    def apply(self, data: Data, model: Model, seed: int) -> Data:
        u = [streams.uniforms(data.rows, seed, "contamination/gross-error", r) for r in data.indices]
        error = self.shift + self.spread * _normals(data.rows, data, seed, "contamination/gross-error/size")
        return _where(np.stack(u) < self.fraction, data, data.train_x, data.train_y + error)


def _where(mask: Mask, data: Data, x: Floats, y: Floats) -> Data:
    """`data` with features x (R, n, F) and targets y (R, n) where `mask` (R, n) says so."""
    return replace(
        data,
        train_x=data.train_x if x is data.train_x else np.where(mask[..., None], x, data.train_x),
        train_y=np.where(mask, y, data.train_y),
        contaminated=data.contaminated | mask,
    )


def _normals(n: int, data: Data, seed: int, purpose: str) -> Floats:
    """`n` standard normal numbers for each replicate (R, n)."""
    return streams.normals_by_replicate(n, seed, purpose, data.indices)


def _as_written(fraction: float) -> Fraction:
    # Exact: floor(0.29 * 100) is 29, and 28 in binary.
    return Fraction(repr(fraction))


CONTAMINATIONS: dict[str, type[Contamination]] = {
    cls.name: cls
    for cls in (
        Clean,
        Single,
        Vertical,
        AdaptiveVertical,
        GoodLeverage,
        BadLeverage,
        Cluster,
        HeavyTails,
        GrossError,
    )
}
