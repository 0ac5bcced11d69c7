"""Training time per model in microseconds: our kernels, JAX, and a plain loop compiled by Numba.

All train the same models from the same rows, permutations and initial parameters. They are those of the
notebook: 1,000 rows, 2 features, 3 epochs in batches of 32, squared loss, float32. The last 8 rows of an
epoch are dropped, since all steps of a scan in JAX must have the same size.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.measure import Missing, Result, Side, take_turns
from regress.fleet import Lane, Schedule, train
from regress.losses import L2
from regress.orders import Shuffled
from regress.problems import Linear

Train = Callable[[], NDArray[Any]]

ROUNDS = 9
EPOCHS, BATCH_SIZE = 3, 32
REPLICATES = 16
MODELS = (2_048, 16_384)
WITHOUT_JAX = "not measured: JAX is not installed; pip install -e '.[bench]'"


@dataclass(frozen=True)
class Fits:
    """L learning rates on R replicates of rows x (R, n, F), y (R, n), in the orders (R, E, n)."""

    x: NDArray[np.float32]
    y: NDArray[np.float32]
    orders: NDArray[np.intp]
    lrs: NDArray[np.float32]
    start: NDArray[np.float32]  # (L, R, F + 1)

    @property
    def count(self) -> int:
        return len(self.lrs) * len(self.x)


def compiled() -> list[Result | Missing]:
    """Measure each number of models with both peers, and our kernels with one and two threads."""
    results: list[Result | Missing] = []
    for models in MODELS:
        fits = _fits(models // REPLICATES)
        one_thread, two_threads, numba = _ours(fits, 1), _ours(fits, 2), _numba_loop(fits)
        expected = two_threads()
        np.testing.assert_allclose(numba(), expected, rtol=1e-3, atol=1e-3)
        peers = [numba]
        if find_spec("jax"):
            jax = _jax(fits)
            np.testing.assert_allclose(jax(), expected, rtol=1e-3, atol=1e-3)
            peers.append(jax)
        sides = [Side(call, fits.count) for call in (one_thread, two_threads, *peers)]
        ours, ours_threaded, loop, *jax_times = (1e6 * seconds for seconds in take_turns(ROUNDS, sides))
        name = f"compiled/{models}"
        results += [
            Result(
                f"{name}-threads",
                ours_threaded,
                ours,
                "µs/model",
                "ours with 2 threads; the peer is ours with 1",
            ),
            Result(
                f"{name}-numba",
                ours,
                loop,
                "µs/model",
                "1 thread each; the peer trains one model at a time",
            ),
            Result(
                f"{name}-jax",
                ours_threaded,
                jax_times[0],
                "µs/model",
                "training only, 2 threads each; the peer is JAX jit(vmap(scan))",
            )
            if jax_times
            else Missing(f"{name}-jax", WITHOUT_JAX),
        ]
    return results


def _fits(lrs: int) -> Fits:
    problem = Linear()
    data = problem.draw(0, REPLICATES)
    start = np.random.default_rng(0).normal(size=(lrs, REPLICATES, 3)) * 0.01
    return Fits(
        data.train_x.astype(np.float32),
        data.train_y.astype(np.float32),
        Shuffled().permutations(data, problem.model, 0, EPOCHS, BATCH_SIZE),
        np.geomspace(0.003, 0.3, lrs, dtype=np.float32),
        start.astype(np.float32),
    )


def _ours(fits: Fits, threads: int) -> Train:
    model = Linear().model
    rows = model.table(fits.x.astype(float), fits.y.astype(float), torch.float32)
    schedule, loss = Schedule(BATCH_SIZE, "mean", "drop"), L2()
    chunks = [
        ([Lane(loss, float(lr)) for lr in fits.lrs[indices]], fits.start[indices].astype(float))
        for indices in np.array_split(np.arange(len(fits.lrs)), threads)
    ]

    def train_chunk(chunk: tuple[list[Lane], NDArray[np.float64]]) -> NDArray[Any]:
        lanes, start = chunk
        return train(model, rows, fits.orders, start, lanes, schedule).params[-1].numpy()

    def call() -> NDArray[Any]:
        with ThreadPoolExecutor(threads) as pool:
            return np.concatenate(list(pool.map(train_chunk, chunks)))

    return call


def _jax(fits: Fits) -> Train:
    import jax
    import jax.numpy as jnp

    def fit(x: Any, y: Any, orders: Any, w: Any, lr: Any) -> Any:
        steps = x.shape[0] // BATCH_SIZE
        batches = orders[:, : steps * BATCH_SIZE].reshape(-1, BATCH_SIZE)

        def step(w: Any, batch: Any) -> tuple[Any, None]:
            z = jnp.concatenate([x[batch], jnp.ones((BATCH_SIZE, 1), x.dtype)], axis=1)
            return w - lr * (z.T @ (z @ w - y[batch])) / BATCH_SIZE, None

        return jax.lax.scan(step, w, batches)[0]

    by_replicate = jax.vmap(fit, in_axes=(0, 0, 0, 0, None))
    fit_all = jax.jit(jax.vmap(by_replicate, in_axes=(None, None, None, 0, 0)))
    arrays = [jnp.asarray(a) for a in (fits.x, fits.y, fits.orders.astype(np.int32), fits.start, fits.lrs)]
    return lambda: np.asarray(fit_all(*arrays))


def _numba_loop(fits: Fits) -> Train:
    from numba import njit

    @njit(error_model="numpy")  # type: ignore[untyped-decorator]
    def loop(x: Any, y: Any, orders: Any, lrs: Any, w: Any) -> None:
        count = x.shape[1] // BATCH_SIZE * BATCH_SIZE
        gradient = np.zeros(3, np.float32)
        for lane in range(len(lrs)):
            for r in range(len(x)):
                for epoch in range(orders.shape[1]):
                    for start in range(0, count, BATCH_SIZE):
                        gradient[:] = 0
                        for row in orders[r, epoch, start : start + BATCH_SIZE]:
                            u = x[r, row, 0] * w[lane, r, 0] + x[r, row, 1] * w[lane, r, 1]
                            u += w[lane, r, 2] - y[r, row]
                            gradient[0] += u * x[r, row, 0]
                            gradient[1] += u * x[r, row, 1]
                            gradient[2] += u
                        for p in range(3):
                            w[lane, r, p] -= lrs[lane] / np.float32(BATCH_SIZE) * gradient[p]

    def call() -> NDArray[Any]:
        w = fits.start.copy()
        loop(fits.x, fits.y, fits.orders, fits.lrs, w)
        return w

    return call
