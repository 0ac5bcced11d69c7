"""Trains and measures linear models by the compiled kernels, WIDTH lanes at a time."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from regress.fleet.lane import Training
from regress.fleet.rearrange import LastEpoch, Rearrangement, Standing
from regress.fleet.tiles import Tile, tiles
from regress.kernels import WIDTH
from regress.kernels.compiler import Compiled, Dtype, Kernels, load, load_elementwise
from regress.losses import Loss
from regress.problems.model import Model

Numbers = NDArray[Any]  # of the training dtype
Floats = NDArray[np.float64]
Permutations = NDArray[np.intp]

# Rows of lanes that order their epochs themselves, computed at once: their arrays fit the cache.
_REARRANGED = 1 << 15


@dataclass(frozen=True)
class Engine:
    """The kernels for lanes of one loss and dtype; `apply` computes its psi, or its rho."""

    kernels: Kernels
    apply: Compiled
    constants: Numbers  # (c,)
    is_scaled: bool


def compiled_engine(
    model: Model, loss: Loss, dtype: np.dtype[Any], part: Literal["rho", "psi"]
) -> Engine | None:
    """What trains this model by psi, or measures it by rho; None where that is torch."""
    form = loss.scalar_form
    if not model.is_linear or form is None:
        return None
    name: Dtype = "float32" if dtype == np.float32 else "float64"
    kernels = load(name)
    apply = load_elementwise(getattr(form, part), len(loss.constants), name)
    if kernels is None or apply is None:
        return None
    with np.errstate(over="ignore"):  # a constant beyond float32 is infinite there
        constants = np.array(loss.constants, dtype)
    return Engine(kernels, apply, constants, loss.is_scaled)


def train_compiled(
    engine: Engine, training: Training, rearrangement: Rearrangement | None
) -> tuple[Numbers, NDArray[np.int64]]:
    """Paths (E, L, R, P) and first non-finite steps (L, R)."""
    shape = training.start.shape
    params = np.empty((training.orders.shape[1], *shape), training.rows.dtype)
    first_nonfinite = np.zeros(shape[:2], np.int64)
    if rearrangement is None:
        _train_in_shared_orders(engine, training, params, first_nonfinite)
    else:
        _train_in_own_orders(engine, training, rearrangement, params, first_nonfinite)
    return params, first_nonfinite


def _train_in_shared_orders(
    engine: Engine, training: Training, params: Numbers, first_nonfinite: NDArray[np.int64]
) -> None:
    """All lanes of a stream visit its rows in the same order."""
    streams, epochs, _ = training.orders.shape
    repeats = training.orders.strides[1] == 0  # one order for all epochs, which need not be copied for each
    orders = _as_kernel_takes_it(training.orders[:, :1] if repeats else training.orders)
    lrs = np.repeat(training.lrs[:, None], streams, axis=1)
    for tile in tiles(streams, len(lrs)):
        descent = _Descent(engine, training, tile, tile.source, training.start, lrs)
        path = descent.run(orders, tile.source, epochs)
        for epoch, reached in enumerate(path):
            params[epoch, :, tile.streams] = tile.read(reached.swapaxes(1, 2))
        first_nonfinite[:, tile.streams] = tile.read(descent.first_nonfinite)


def _train_in_own_orders(
    engine: Engine,
    training: Training,
    rearrangement: Rearrangement,
    params: Numbers,
    first_nonfinite: NDArray[np.int64],
) -> None:
    """Every lane has orders of its own, as the only one of its stream."""
    lanes, streams = (index.ravel() for index in np.indices(first_nonfinite.shape))
    most = max(WIDTH, _REARRANGED // training.orders.shape[2])
    for first in range(0, len(lanes), most):
        at = lanes[first : first + most], streams[first : first + most]
        descents = _RearrangedDescents(engine, training, *at)
        for epoch in range(len(params)):
            drawn = training.orders[at[1], epoch]
            params[epoch, *at] = descents.run_epoch(drawn, rearrangement)
        first_nonfinite[at] = descents.first_nonfinite


def _as_kernel_takes_it(orders: Permutations) -> Permutations:
    """`orders` as contiguous, writable indices, copied only where they are not."""
    return np.require(orders, np.intp, ["C", "W"])


class _Descent:
    """Training of one tile: current parameters, which models have stopped, and the steps made."""

    def __init__(
        self,
        engine: Engine,
        training: Training,
        tile: Tile,
        source: Permutations,
        start: Floats,
        lrs: Floats,
    ) -> None:
        """Starts at `start` (L, S, P) with learning rates (L, S), for L lanes on S streams of a tile.

        `source` (WIDTH,) says which of the rows (R, n, C) a slot reads.
        """
        rows, schedule = training.rows, training.schedule
        length, dtype = rows.shape[1], rows.dtype
        lr = tile.place(lrs)
        self.engine, self.rows, self.source = engine, rows, source
        self.batch_size, self.visited = schedule.batch_size, schedule.visited(length)
        self.rates = np.stack([lr / divisor for divisor in schedule.divisors(length)]).astype(dtype)
        scale = np.ones(len(rows)) if training.scale is None else training.scale
        self.scale = scale[source].astype(dtype)
        self.state = np.ascontiguousarray(tile.place(start).swapaxes(1, 2), dtype)  # (K, P, WIDTH)
        self.stopped = np.zeros(lr.shape, dtype)
        self.first_nonfinite = np.zeros(lr.shape, np.intp)
        self.steps = 0

    def run(
        self,
        orders: Permutations,
        order_of: Permutations,
        epochs: int,
        row_gradients: Numbers | None = None,
    ) -> Numbers:
        """Parameters (E, K, P, WIDTH) at the ends of `epochs` epochs in `orders` (O, E or 1, n)."""
        path = np.empty((epochs, *self.state.shape), self.state.dtype)
        self.engine.kernels.descend(
            self.engine.apply,
            self.engine.constants,
            self.scale,
            self.engine.is_scaled,
            self.rows,
            orders,
            self.source,
            order_of,
            self.batch_size,
            self.visited,
            self.rates,
            self.state,
            self.stopped,
            self.first_nonfinite,
            self.steps,
            path,
            np.empty((0, *self.state.shape[1:]), path.dtype) if row_gradients is None else row_gradients,
        )
        self.steps += epochs * -(-self.visited // self.batch_size)
        return path


class _RearrangedDescents:
    """G lanes that order each epoch themselves, by their residuals or gradients."""

    def __init__(
        self, engine: Engine, training: Training, lanes: Permutations, source: Permutations
    ) -> None:
        """Lane `lanes` (G,) of the training on its stream `source` (G,)."""
        self.rows, self.source = training.rows, source
        self.last: LastEpoch | None = None
        self.tiles = list(tiles(len(source), 1))
        # The streams of these tiles are the lanes, with one lane each.
        start, lrs = training.start[lanes, source][None], training.lrs[lanes][None]
        self.descents = [
            _Descent(engine, training, tile, source[tile.source], start, lrs) for tile in self.tiles
        ]

    def run_epoch(self, drawn: Permutations, rearrangement: Rearrangement) -> Numbers:
        """Parameters (G, P) after an epoch for which the streams drew `drawn` (G, n)."""
        if rearrangement.by == "residuals":
            order = rearrangement.order(Standing(drawn, self._residuals(), None))
            return self._run(_as_kernel_takes_it(order), None)
        order = _as_kernel_takes_it(rearrangement.order(Standing(drawn, None, self.last)))
        gradients = np.zeros((order.shape[1], self.rows.shape[2] - 1, len(order)), self.rows.dtype)
        params = self._run(order, gradients)
        before = np.zeros_like(params.T) if self.last is None else self.last.mean
        self.last = LastEpoch(order, gradients, before)
        return params

    @property
    def first_nonfinite(self) -> NDArray[np.int64]:
        """The step (G,) at which a lane's parameters first were not finite, or 0."""
        found = zip(self.tiles, self.descents, strict=True)
        return np.concatenate([tile.read(descent.first_nonfinite)[0] for tile, descent in found])

    def _run(self, order: Permutations, gradients: Numbers | None) -> Numbers:
        """Parameters (G, P) after an epoch in `order` (G, n); `gradients` (n, P, G) is filled."""
        ends = []
        for tile, descent in zip(self.tiles, self.descents, strict=True):
            shape = (len(gradients) if gradients is not None else 0, *descent.state.shape[1:])
            seen = np.zeros(shape, descent.state.dtype)
            reached = descent.run(order[:, None], tile.source, 1, seen)[0]
            ends.append(tile.read(reached.swapaxes(1, 2))[0])
            if gradients is not None:
                gradients[..., tile.streams] = seen[..., : tile.size]
        return np.concatenate(ends)

    def _residuals(self) -> Numbers:
        """Prediction minus target (G, n), by row."""
        found = []
        for tile, descent in zip(self.tiles, self.descents, strict=True):
            residual = np.empty((self.rows.shape[1], WIDTH), self.rows.dtype)
            descent.engine.kernels.residuals(self.rows, descent.source, descent.state[0], residual)
            found.append(residual.T[: tile.size])
        return np.concatenate(found)


def mean_loss_compiled(engine: Engine, rows: Floats, params: Floats, scale: Floats | None) -> Floats:
    """Mean rho (K, R) over rows (R, n, C) at parameters (K, R, P)."""
    count, streams, _ = params.shape
    result = np.empty((count, streams))
    for tile in tiles(streams, count):
        placed = tile.place(params)
        means = np.empty(placed.shape[:2])
        engine.kernels.mean_loss(
            engine.apply,
            engine.constants,
            np.ones(WIDTH) if scale is None else scale[tile.source],
            engine.is_scaled,
            rows,
            tile.source,
            np.ascontiguousarray(placed.swapaxes(1, 2)),
            means,
        )
        result[:, tile.streams] = tile.read(means)
    return result


def residuals_compiled(kernels: Kernels, rows: Floats, params: Floats) -> Floats:
    """Prediction minus target (K, R, n) of rows (R, n, C) at parameters (K, R, P)."""
    count, streams, _ = params.shape
    result = np.empty((count, streams, rows.shape[1]))
    residual = np.empty((rows.shape[1], WIDTH))
    for tile in tiles(streams, count):
        for layer, placed in enumerate(tile.place(params)):
            kernels.residuals(rows, tile.source, np.ascontiguousarray(placed.T), residual)
            lanes = slice(layer * tile.copies, min((layer + 1) * tile.copies, count))
            used = residual[:, : tile.copies * tile.size].T.reshape(tile.copies, tile.size, -1)
            result[lanes, tile.streams] = used[: lanes.stop - lanes.start]
    return result
