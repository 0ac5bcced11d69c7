"""Adversarial orders: rows, or whole batches, sorted by how badly a surrogate fits them."""

from abc import abstractmethod
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass

from regress.fleet.rearrange import EpochInputs, Rearrangement
from regress.orders.drawn import Shuffled
from regress.orders.order import Order, Permutations
from regress.orders.surrogate import Surrogate, compute_residuals
from regress.problems import Problem
from regress.problems.data import Data
from regress.problems.model import Model
from regress.values.text import STRICT

Floats = NDArray[np.float64]
Numbers = NDArray[Any]  # of any dtype


@dataclass(frozen=True, config=STRICT)
class _Sorted(Order):
    """Rows sorted by a score of their residuals under `surrogate`.

    With level=example rows are sorted once for all epochs. With level=batch the shuffled batches of each
    epoch are sorted by their mean score ("batch reorder" in Shumailov et al. 2021); a smaller last batch
    stays last. With surrogate=self each model sorts by its own residuals at the start of each epoch.
    """

    surrogate: Surrogate = "ols"
    level: Literal["example", "batch"] = "example"

    @abstractmethod
    def score(self, residual: Floats) -> Floats:
        """Return the score whose mean sorts batches, given residuals (prediction minus target)."""

    def row_score(self, residual: Numbers) -> Numbers:
        """Return what single rows are sorted by: any increasing function of their score."""
        return self.score(residual)

    def places(self, count: int) -> Permutations:
        """Return the ranks of the `count` sorted rows or batches in the order in which they are visited."""
        return np.arange(count)

    def permutations(
        self, data: Data, model: Model, seed: int, epochs: int, batch_size: int
    ) -> Permutations:
        drawn = Shuffled().permutations(data, model, seed, epochs, batch_size)
        if self.follows_model:
            return drawn
        residual = compute_residuals(self.surrogate, data, model, seed)
        if self.level == "example":
            return np.broadcast_to(self._order_rows(self.row_score(residual))[:, None], drawn.shape)
        score = self.score(residual)
        return np.stack(
            [self._order_batches(score, epoch, batch_size) for epoch in drawn.swapaxes(0, 1)], axis=1
        )

    @property
    def is_fixed(self) -> bool:
        return self.level == "example" and not self.follows_model

    @property
    def follows_model(self) -> bool:
        return self.surrogate == "self"

    def rearrangement(self, batch_size: int) -> Rearrangement | None:
        if not self.follows_model:
            return None
        return Rearrangement(partial(self._rearrange, batch_size=batch_size), by="residuals")

    def refuse(self, problem: Problem) -> str | None:
        if self.surrogate == "oracle" and not problem.knows_truth:
            return (
                f"needs the generating parameters, which a {problem.name} does not have; use surrogate=ols"
            )
        if self.surrogate == "trained" and not problem.is_affine:
            return f"needs a linear model to train, which a {problem.name} does not have; use surrogate=ols"
        return None

    def _rearrange(self, inputs: EpochInputs, batch_size: int) -> Permutations:
        assert inputs.residual is not None, "requested with by='residuals'"
        if self.level == "example":
            return self._order_rows(self.row_score(inputs.residual))
        return self._order_batches(self.score(inputs.residual.astype(np.float64)), inputs.drawn, batch_size)

    def _order_rows(self, score: Numbers) -> Permutations:
        """Return row indices (R, n) by score (R, n)."""
        return sort_rows(score)[..., self.places(score.shape[-1])]

    def _order_batches(self, score: Floats, drawn: Permutations, batch_size: int) -> Permutations:
        """Return the order `drawn` (R, n) with its full batches sorted by their mean score."""
        full = drawn.shape[-1] // batch_size
        cut = full * batch_size
        batches = drawn[:, :cut].reshape(len(drawn), full, batch_size)
        means = np.take_along_axis(score, drawn[:, :cut], axis=-1).reshape(batches.shape).mean(axis=-1)
        first_to_last = self._order_rows(means)[..., None]
        by_mean = np.take_along_axis(batches, first_to_last, axis=1).reshape(len(drawn), cut)
        return np.concatenate([by_mean, drawn[:, cut:]], axis=-1)


@dataclass(frozen=True, config=STRICT)
class EasyToHard(_Sorted):
    """Ascending r**2: well-fitted rows first (the malicious data set of the notebook)."""

    name = "easy-to-hard"

    def score(self, residual: Floats) -> Floats:
        return _square(residual)

    def row_score(self, residual: Numbers) -> Numbers:
        return np.abs(residual)


@dataclass(frozen=True, config=STRICT)
class HardToEasy(_Sorted):
    """Descending r**2."""

    name = "hard-to-easy"

    def score(self, residual: Floats) -> Floats:
        return -_square(residual)

    def row_score(self, residual: Numbers) -> Numbers:
        return -np.abs(residual)


@dataclass(frozen=True, config=STRICT)
class OscillatingIn(_Sorted):
    """The hardest row, the easiest, the next hardest, the next easiest, ... up to the median of r**2."""

    name = "oscillating-in"

    def score(self, residual: Floats) -> Floats:
        return _square(residual)

    def row_score(self, residual: Numbers) -> Numbers:
        return np.abs(residual)

    def places(self, count: int) -> Permutations:
        halves = np.arange(count) // 2
        return np.where(np.arange(count) % 2 == 0, count - 1 - halves, halves)


@dataclass(frozen=True, config=STRICT)
class OscillatingOut(OscillatingIn):
    """From the median of r**2 alternately to the easiest and the hardest row: oscillating-in reversed."""

    name = "oscillating-out"

    def places(self, count: int) -> Permutations:
        return super().places(count)[::-1]


@dataclass(frozen=True, config=STRICT)
class Signed(_Sorted):
    """Ascending target minus prediction: gradients of one sign first, then of the other."""

    name = "signed"

    def score(self, residual: Floats) -> Floats:
        return -residual


def sort_rows(score: Numbers) -> Permutations:
    """Return indices (R, n) that sort each row of score (R, n) stably, nan last."""
    if score.dtype != np.float32:
        return np.argsort(score, axis=-1, kind="stable")
    # A float32 and its index fit into one integer; sorting integers is three times as fast as argsort.
    numbers = np.where(np.isnan(score), np.float32(np.nan), score + np.float32(0))  # -0 is 0
    raw = numbers.view(np.uint32)
    ascending = np.where(raw >> 31, ~raw, raw | np.uint32(1 << 31))
    keys = (ascending.astype(np.uint64) << np.uint64(32)) | np.arange(score.shape[-1], dtype=np.uint64)
    keys.sort(axis=-1)
    return (keys & np.uint64(0xFFFFFFFF)).astype(np.intp)


def _square(residual: Floats) -> Floats:
    with np.errstate(over="ignore"):
        return residual * residual
