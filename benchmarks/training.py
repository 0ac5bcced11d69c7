"""Microseconds per model: our fleet, a DataLoader with autograd, and scikit-learn.

All models are those of the notebook: linear data of 1,000 rows and 2 features, 3 epochs in batches of 32,
squared loss, float32. Our side trains 2,048 models, 128 learning rates with 16 replicates each.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import SGDRegressor
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.measure import Floats, Result, Side, take_turns
from regress.orders import Shuffled
from regress.pipeline.steps import evaluate_shard, measure_shard, train_shard
from regress.problems import Data
from regress.study import Study
from regress.study.shards import Shard, cut_into_shards

Work = Callable[[Shard, Data, NDArray[np.intp]], object]

STUDY = Study(name="training", lrs=tuple(np.geomspace(0.003, 0.3, 128).tolist()), epochs=3, tail="keep")
BATCH_SIZE = STUDY.batch_sizes[0]
FITS = len(STUDY.lrs) * STUDY.replicates
ROUNDS = 15
STUDIES, LOOPS, REGRESSORS = 8, 2, 64  # per round, so that each side takes tenths of a second


def training() -> list[Result]:
    """Measure training alone, with metrics, and with a study's full results, against peers."""
    data = STUDY.problem.draw(STUDY.seed, STUDY.replicates)
    fleet, threads, kept, alone, loop, sgd = take_turns(
        ROUNDS,
        [
            Side(_fleet(data, _train_and_measure), STUDIES * FITS),
            Side(_fleet(data, _train_and_measure, threads=2), STUDIES * FITS),
            Side(_fleet(data, _train_and_evaluate), STUDIES * FITS),
            Side(_fleet(data, train_shard), STUDIES * FITS),
            Side(lambda: [autograd_fit(data, r, lr) for r, lr in _sample(LOOPS)], LOOPS),
            Side(lambda: [sgd_regressor_fit(data, r, lr) for r, lr in _sample(REGRESSORS)], REGRESSORS),
        ],
    )
    whole = "training, losses and errors at the end of each epoch; ours also digests of the parameters"
    rows = "the same, and ours also quantiles over replicates and the rows of results.parquet"
    only = "training only; scikit-learn makes a step per row, since it has no minibatches"
    return [
        Result("training/autograd-loop", 1e6 * fleet, 1e6 * loop, "µs/model", whole),
        Result("training/two-threads", 1e6 * threads, 1e6 * loop, "µs/model", "ours with 2 threads"),
        Result("training/with-rows", 1e6 * kept, 1e6 * loop, "µs/model", rows),
        Result("training/sklearn-sgd", 1e6 * alone, 1e6 * sgd, "µs/model", only),
    ]


def autograd_fit(
    data: Data, replicate: int, lr: float, epochs: int = STUDY.epochs
) -> tuple[float, float, float]:
    """Train one model by the notebook's loop; return its last training loss, validation loss and error."""
    train = _dataset(data.train_x[replicate], data.train_y[replicate])
    val = _dataset(data.val_x[replicate], data.val_y[replicate])
    w = torch.normal(0, STUDY.sigmas[0], (data.train_x.shape[2], 1), requires_grad=True)
    b = torch.zeros(1, requires_grad=True)
    assert data.truth is not None, "linear data"
    truth = torch.from_numpy(data.truth[replicate])
    optimizer = torch.optim.SGD([w, b], lr=lr)
    batches = DataLoader(train, BATCH_SIZE, shuffle=True)
    for _ in range(epochs):
        for x, y in batches:
            optimizer.zero_grad()
            ((x @ w + b - y) ** 2 / 2).mean().backward()
            optimizer.step()
        with torch.no_grad():
            losses = [_mean_loss(dataset, w, b) for dataset in (train, val)]
            error = float((torch.cat([w[:, 0], b]) - truth).norm())
    return losses[0], losses[1], error


def sgd_regressor_fit(data: Data, replicate: int, lr: float) -> SGDRegressor:
    """Train one model by scikit-learn, as plain SGD with a constant learning rate and three epochs."""
    model = SGDRegressor(
        loss="squared_error",
        penalty=None,
        learning_rate="constant",
        eta0=lr,
        max_iter=STUDY.epochs,
        tol=None,
        shuffle=True,
        random_state=replicate,
    )
    return model.fit(*(rows[replicate].astype(np.float32) for rows in (data.train_x, data.train_y)))


def _fleet(data: Data, work: Work, threads: int = 1) -> Callable[[], object]:
    """Return a call that trains all our models: shuffle the rows, as the peers do, then run each shard."""
    cut = cut_into_shards(STUDY)

    def call() -> None:
        with ThreadPoolExecutor(threads) as pool:
            for _ in range(STUDIES):
                order = Shuffled().permutations(
                    data, STUDY.problem.model, STUDY.seed, STUDY.epochs, BATCH_SIZE
                )
                list(pool.map(lambda shard, order=order: work(shard, data, order), cut))

    return call


def _sample(fits: int) -> list[tuple[int, float]]:
    """Return replicates and learning rates spread evenly over those of the study."""
    lrs = STUDY.lrs[:: len(STUDY.lrs) // fits]
    return [(i % STUDY.replicates, lr) for i, lr in enumerate(lrs)]


def _train_and_measure(shard: Shard, data: Data, order: NDArray[np.intp]) -> object:
    return measure_shard(shard, data, data, train_shard(shard, data, order))


def _train_and_evaluate(shard: Shard, data: Data, order: NDArray[np.intp]) -> object:
    return evaluate_shard(shard, data, data, train_shard(shard, data, order))


def _mean_loss(dataset: TensorDataset, w: torch.Tensor, b: torch.Tensor) -> float:
    batches = DataLoader(dataset, BATCH_SIZE)
    return sum(float(((x @ w + b - y) ** 2 / 2).sum()) for x, y in batches) / len(dataset)


def _dataset(x: Floats, y: Floats) -> TensorDataset:
    return TensorDataset(torch.from_numpy(x).float(), torch.from_numpy(y[:, None]).float())
