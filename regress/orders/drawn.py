"""Orders that do not depend on the rows' values: random ones, and the rows as stored."""

from abc import abstractmethod

import numpy as np
from pydantic.dataclasses import dataclass

from regress.numerics import streams
from regress.orders.order import Order, Permutations
from regress.problems.data import Data
from regress.problems.model import Model
from regress.values.text import STRICT


@dataclass(frozen=True, config=STRICT)
class _Drawn(Order):
    looks_at_rows = False

    @abstractmethod
    def draw_epoch(self, rows: int, seed: int, replicate: int, epoch: int) -> Permutations:
        """Return the row indices (n,) of one epoch, counted from 0."""

    def permutations(
        self, data: Data, model: Model, seed: int, epochs: int, batch_size: int
    ) -> Permutations:
        return np.stack(
            [
                np.stack([self.draw_epoch(data.rows, seed, r, e) for e in range(epochs)])
                for r in data.indices
            ]
        )


@dataclass(frozen=True, config=STRICT)
class Shuffled(_Drawn):
    """Random reshuffling: a fresh permutation each epoch."""

    name = "shuffled"
    is_shuffled = True

    def draw_epoch(self, rows: int, seed: int, replicate: int, epoch: int) -> Permutations:
        return streams.permutation(rows, seed, "order", replicate, epoch)

    def permutations(
        self, data: Data, model: Model, seed: int, epochs: int, batch_size: int
    ) -> Permutations:
        return streams.permutations(data.rows, seed, "order", data.indices, range(epochs))


@dataclass(frozen=True, config=STRICT)
class ShuffleOnce(_Drawn):
    """The permutation of the first shuffled epoch, repeated in every epoch."""

    name = "shuffle-once"

    @property
    def is_fixed(self) -> bool:
        return True

    def draw_epoch(self, rows: int, seed: int, replicate: int, epoch: int) -> Permutations:
        return streams.permutation(rows, seed, "order", replicate)


@dataclass(frozen=True, config=STRICT)
class FlipFlop(_Drawn):
    """A fresh permutation every other epoch, its reverse in between (Rajput, Lee, Papailiopoulos 2022)."""

    name = "flip-flop"

    def draw_epoch(self, rows: int, seed: int, replicate: int, epoch: int) -> Permutations:
        drawn = streams.permutation(rows, seed, "order", replicate, epoch - epoch % 2)
        return drawn[::-1] if epoch % 2 else drawn


@dataclass(frozen=True, config=STRICT)
class WithReplacement(_Drawn):
    """n independent draws per epoch, as theory of SGD assumes; some rows occur twice, others not at all."""

    name = "with-replacement"
    draws_with_replacement = True

    def draw_epoch(self, rows: int, seed: int, replicate: int, epoch: int) -> Permutations:
        draws = streams.uniforms(rows, seed, "order/with-replacement", replicate, epoch)
        return (draws * rows).astype(np.intp)


@dataclass(frozen=True, config=STRICT)
class Sequential(_Drawn):
    """The rows as stored, in every epoch (the incremental gradient method)."""

    name = "sequential"

    @property
    def is_fixed(self) -> bool:
        return True

    def draw_epoch(self, rows: int, seed: int, replicate: int, epoch: int) -> Permutations:
        return np.arange(rows)
