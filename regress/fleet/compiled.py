"""Training and metrics of linear models by the compiled kernels, in tiles of lanes."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from regress.fleet.lane import Training
from regress.fleet.rearrange import EpochInputs, PreviousEpoch, Rearrangement
from regress.fleet.tiles import Tile, split_into_tiles
from regress.kernels import WIDTH
from regress.kernels.compiler import Compiled, Dtype, Kernels, load_elementwise, load_kernels
from regress.losses import Loss
from regress.problems.model import Model

Numbers = NDArray[Any]  # in the training dtype
Floats = NDArray[np.float64]
Permutations = NDArray[np.intp]

# Rows, over all lanes with a rearrangement, computed at once, so that their arrays fit into the cache.
_REARRANGED = 1 << 15


@dataclass(frozen=True)
class Engine:
    """The kernels for lanes of one loss and dtype; `apply` computes the loss's psi or rho."""

    kernels: Kernels
    apply: Compiled
    constants: Numbers  # (c,)
    is_scaled: bool


def load_engine(
    model: Model, loss: Loss, dtype: np.dtype[Any], part: Literal["rho", "psi"]
) -> Engine | None:
    """Return the engine that trains a model by psi or measures it by rho, or None where torch does.

    Torch computes models that are not linear, losses without a scalar form, and everything where no kernels
    can be compiled.
    """
    form = loss.scalar_form
    if not model.is_linear or form is None:
        return None
    name: Dtype = "float32" if dtype == np.float32 else "float64"
    kernels = load_kernels(name)
    apply = load_elementwise(getattr(form, part), len(loss.constants), name)
    if kernels is None or apply is None:
        return None
    with np.errstate(over="ignore"):  # a constant beyond the range of float32 becomes infinite
        constants = np.array(loss.constants, dtype)
    return Engine(kernels, apply, constants, loss.is_scaled)


def train_compiled(
    engine: Engine, training: Training, rearrangement: Rearrangement | None
) -> tuple[Numbers, NDArray[np.int64]]:
    """Return the parameters at epoch ends (E, L, R, P) and the first non-finite steps (L, R)."""
    shape = training.start.shape
    params = np.empty((training.orders.shape[1], *shape), training.rows.dtype)
    first_nonfinite = np.zeros(shape[:2], np.int64)
    if rearrangement is None:
        _train_in_shared_orders(engine, training, params, first_nonfinite)
    else:
        _train_rearranged(engine, training, rearrangement, params, first_nonfinite)
    return params, first_nonfinite


def _train_in_shared_orders(
    engine: Engine, training: Training, params: Numbers, first_nonfinite: NDArray[np.int64]
) -> None:
    """Train lanes that visit the rows in their stream's order; fill `params` and `first_nonfinite`."""
    streams, epochs, _ = training.orders.shape
    is_repeated = training.orders.strides[1] == 0  # one order broadcast to all epochs
    orders = _as_kernel_argument(training.orders[:, :1] if is_repeated else training.orders)
    lrs = np.repeat(training.lrs[:, None], streams, axis=1)
    for tile in split_into_tiles(streams, len(lrs)):
        descent = _Descent(engine, training, tile, tile.source, training.start, lrs)
        path = descent.run(orders, tile.source, epochs)
        for epoch, state in enumerate(path):
            params[epoch, :, tile.streams] = tile.read(state.swapaxes(1, 2))
        first_nonfinite[:, tile.streams] = tile.read(descent.first_nonfinite)


def _train_rearranged(
    engine: Engine,
    training: Training,
    rearrangement: Rearrangement,
    params: Numbers,
    first_nonfinite: NDArray[np.int64],
) -> None:
    """Train lanes with a different order each, every lane as the only one of a stream."""
    lanes, streams = (index.ravel() for index in np.indices(first_nonfinite.shape))
    lanes_at_once = max(WIDTH, _REARRANGED // training.orders.shape[2])
    for first in range(0, len(lanes), lanes_at_once):
        chunk = slice(first, first + lanes_at_once)
        indices = lanes[chunk], streams[chunk]
        descents = _RearrangedDescents(engine, training, *indices)
        for epoch in range(len(params)):
            drawn = training.orders[streams[chunk], epoch]
            params[epoch, *indices] = descents.run_epoch(drawn, rearrangement)
        first_nonfinite[indices] = descents.first_nonfinite


def _as_kernel_argument(orders: Permutations) -> Permutations:
    """Return `orders` as a contiguous, writable array of indices, copied only if it is not one already."""
    return np.require(orders, np.intp, ["C", "W"])


class _Descent:
    """SGD of one tile: the current parameters, which models have stopped, and the number of steps made."""

    def __init__(
        self,
        engine: Engine,
        training: Training,
        tile: Tile,
        source: Permutations,
        start: Floats,
        lrs: Floats,
    ) -> None:
        """Begin at parameters `start` (L, S, P) with learning rates `lrs` (L, S).

        The tile has L lanes on each of S streams; `source` (WIDTH,) is the stream of the training's rows
        (R, n, C) that each slot reads.
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
        """Return the parameters (E, K, P, WIDTH) at the end of each of `epochs` further epochs.

        `order_of` (WIDTH,) selects each slot's order among `orders` (O, E, n), or (O, 1, n) if all epochs
        have the same. `row_gradients` (n, P, WIDTH) receives the gradients of layer 0 in the last epoch.
        """
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
    """SGD of G lanes that reorder each epoch by their residuals or gradients."""

    def __init__(
        self, engine: Engine, training: Training, lanes: Permutations, source: Permutations
    ) -> None:
        """Select lane `lanes[g]` on stream `source[g]` of the training, for g < G."""
        self.rows, self.source = training.rows, source
        self.previous: PreviousEpoch | None = None
        self.tiles = list(split_into_tiles(len(source), 1))
        # In these tiles every lane is a stream of its own, since no two lanes share an order.
        start, lrs = training.start[lanes, source][None], training.lrs[lanes][None]
        self.descents = [
            _Descent(engine, training, tile, source[tile.source], start, lrs) for tile in self.tiles
        ]

    def run_epoch(self, drawn: Permutations, rearrangement: Rearrangement) -> Numbers:
        """Return the parameters (G, P) after an epoch for which the streams drew `drawn` (G, n)."""
        if rearrangement.by == "residuals":
            order = rearrangement.order(EpochInputs(drawn, self._residuals(), None))
            return self._run(_as_kernel_argument(order), None)
        order = _as_kernel_argument(rearrangement.order(EpochInputs(drawn, None, self.previous)))
        gradients = np.zeros((order.shape[1], self.rows.shape[2] - 1, len(order)), self.rows.dtype)
        params = self._run(order, gradients)
        mean_before = np.zeros_like(params.T) if self.previous is None else self.previous.mean
        self.previous = PreviousEpoch(order, gradients, mean_before)
        return params

    @property
    def first_nonfinite(self) -> NDArray[np.int64]:
        """The step (G,) at which each lane's parameters became non-finite, or 0."""
        pairs = zip(self.tiles, self.descents, strict=True)
        return np.concatenate([tile.read(descent.first_nonfinite)[0] for tile, descent in pairs])

    def _run(self, order: Permutations, gradients: Numbers | None) -> Numbers:
        """Return the parameters (G, P) after an epoch in `order` (G, n); fill `gradients` (n, P, G)."""
        params = []
        for tile, descent in zip(self.tiles, self.descents, strict=True):
            shape = (len(gradients) if gradients is not None else 0, *descent.state.shape[1:])
            tile_gradients = np.zeros(shape, descent.state.dtype)
            state = descent.run(order[:, None], tile.source, 1, tile_gradients)[0]
            params.append(tile.read(state.swapaxes(1, 2))[0])
            if gradients is not None:
                gradients[..., tile.streams] = tile_gradients[..., : tile.size]
        return np.concatenate(params)

    def _residuals(self) -> Numbers:
        """Return prediction minus target (G, n) of all rows as they are stored."""
        residuals = []
        for tile, descent in zip(self.tiles, self.descents, strict=True):
            residual = np.empty((self.rows.shape[1], WIDTH), self.rows.dtype)
            descent.engine.kernels.residuals(self.rows, descent.source, descent.state[0], residual)
            residuals.append(residual.T[: tile.size])
        return np.concatenate(residuals)


def mean_loss_compiled(engine: Engine, rows: Floats, params: Floats, scale: Floats | None) -> Floats:
    """Return the mean rho (K, R) over rows (R, n, C) at parameters (K, R, P).

    `scale` (R,) is that of the residuals on each stream, for a loss that uses it.
    """
    count, streams, _ = params.shape
    result = np.empty((count, streams))
    for tile in split_into_tiles(streams, count):
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
    """Return prediction minus target (K, R, n) of rows (R, n, C) at parameters (K, R, P)."""
    count, streams, _ = params.shape
    result = np.empty((count, streams, rows.shape[1]))
    residual = np.empty((rows.shape[1], WIDTH))
    for tile in split_into_tiles(streams, count):
        for layer, placed in enumerate(tile.place(params)):
            kernels.residuals(rows, tile.source, np.ascontiguousarray(placed.T), residual)
            lanes = slice(layer * tile.lanes_per_layer, min((layer + 1) * tile.lanes_per_layer, count))
            used = residual[:, : tile.lanes_per_layer * tile.size].T.reshape(
                tile.lanes_per_layer, tile.size, -1
            )
            result[lanes, tile.streams] = used[: lanes.stop - lanes.start]
    return result
